//! What the peer refuses keeps the server sealed, and the log says which check.

use crate::bao::eventually;
use crate::machine::Machine;
use crate::peer::Peer;
use crate::sealed::Sealed;
use simulator::snp::ReportBuilder;

#[test]
fn a_debug_guest_stays_sealed_and_the_log_names_the_check() {
    let (Some(good), Some(debug)) = (Machine::good(), Machine::with(ReportBuilder::debug)) else { return };
    let peer = Peer::start();
    let mut sealed = Sealed::initialised(&peer, &good);
    sealed.bao.stop();
    sealed.move_to(&peer, &debug);
    sealed.start();
    sealed.bao.wait_for_word("refused by peer: snp.policy.debug (expected ", 0);
    assert_eq!(sealed.bao.health(), Some(503));
    // It asks again, and is refused again; from now on whatever it shows, until somebody has looked at it.
    sealed.bao.wait_for_word("refused by peer: standing.failed (expected ", 0);
    assert_eq!(sealed.bao.health(), Some(503));
    sealed.bao.stop();
    peer.forgive();
    sealed.move_to(&peer, &good);
    sealed.start();
    sealed.bao.wait_until_unsealed();
}

#[test]
fn a_debug_guest_is_not_even_initialised() {
    let Some(debug) = Machine::with(ReportBuilder::debug) else { return };
    let peer = Peer::start();
    let mut sealed = Sealed::by_peer(&peer, &debug);
    sealed.start();
    let answer = sealed.bao.try_initialise();
    assert_eq!(answer.status, 400, "{answer:?}");
    let told = answer.json.to_string();
    assert!(
        told.contains("error initializing seal") && told.contains("refused by peer: snp.policy.debug"),
        "{told}"
    );
    // Nothing of worth was written, but raft was set up: its folder is emptied first.
    let Some(good) = Machine::good() else { return };
    sealed.bao.stop();
    let raft = sealed.bao.dir.path().join("raft");
    std::fs::remove_dir_all(&raft).unwrap();
    std::fs::create_dir(&raft).unwrap();
    peer.forgive();
    sealed.move_to(&peer, &good);
    sealed.start();
    sealed.bao.initialise();
}

#[test]
fn a_machine_that_was_revoked_goes_on_until_it_restarts_and_opens_when_it_is_reinstated() {
    let Some(machine) = Machine::good() else { return };
    let peer = Peer::start();
    let mut sealed = Sealed::initialised(&peer, &machine);
    peer.revoke();
    assert_eq!(sealed.bao.health(), Some(200));
    sealed.restart();
    sealed.bao.wait_for_word("refused by peer: standing.revoked (expected ", 0);
    assert_eq!(sealed.bao.health(), Some(503));
    peer.reinstate();
    sealed.bao.wait_until_unsealed();
}

#[test]
fn an_image_that_the_policy_no_longer_admits_does_not_open() {
    let Some(machine) = Machine::good() else { return };
    let peer = Peer::start();
    let mut sealed = Sealed::initialised(&peer, &machine);
    peer.narrow();
    sealed.restart();
    sealed.bao.wait_for_word("refused by peer: snp.measurement (expected ", 0);
    assert_eq!(sealed.bao.health(), Some(503));
}

#[test]
fn a_key_that_the_peer_deleted_is_told_and_nothing_is_lost() {
    let Some(machine) = Machine::good() else { return };
    let peer = Peer::start();
    let mut sealed = Sealed::initialised(&peer, &machine);
    peer.bao.call("DELETE", "attest-keys/keys/unseal", &serde_json::Value::Null).unwrap().ok();
    sealed.restart();
    sealed.bao.wait_for_word("peer: OpenBao answered 404: no such key", 0);
    // Another key under the same name is not taken for it.
    peer.rotate();
    let before = sealed.bao.said("the stored ciphertext does not open: another key, or altered");
    sealed.bao.wait_for_word("the stored ciphertext does not open: another key, or altered", before);
    assert_eq!(sealed.bao.health(), Some(503));
    eventually("the plugin still being there", || sealed.plugin() > 0);
}
