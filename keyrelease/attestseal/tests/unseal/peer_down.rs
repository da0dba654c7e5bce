//! A peer or an agent that is away for a while: sealed until it is back, then open without a hand.

use crate::machine::Machine;
use crate::peer::Peer;
use crate::sealed::Sealed;

#[test]
fn while_the_peer_is_down_the_server_stays_sealed_and_opens_by_itself_when_it_is_back() {
    let Some(machine) = Machine::good() else { return };
    let mut peer = Peer::start();
    let mut sealed = Sealed::initialised(&peer, &machine);
    sealed.bao.stop();
    peer.bao.stop();
    sealed.start();
    sealed.bao.wait_for_word("peer unreachable: io: Connection refused", 0);
    assert_eq!(sealed.bao.health(), Some(503));
    peer.resume();
    sealed.bao.wait_until_unsealed();
}

#[test]
fn a_sealed_peer_is_told_from_one_that_is_gone() {
    let Some(machine) = Machine::good() else { return };
    let mut peer = Peer::start();
    let mut sealed = Sealed::initialised(&peer, &machine);
    sealed.bao.stop();
    peer.bao.call("PUT", "sys/seal", &serde_json::Value::Null).unwrap().ok();
    sealed.start();
    sealed.bao.wait_for_word("peer sealed: it must be unsealed first", 0);
    assert_eq!(sealed.bao.health(), Some(503));
    peer.bao.stop();
    peer.resume();
    sealed.bao.wait_until_unsealed();
}

#[test]
fn a_peer_that_nobody_vouches_for_is_not_asked() {
    let Some(machine) = Machine::good() else { return };
    let (peer, stranger) = (Peer::start(), Peer::start());
    let settings = crate::sealed::peer_settings(&peer.address(), &stranger.authority(), &machine.socket());
    let mut sealed = Sealed::by(&settings);
    sealed.start();
    let answer = sealed.bao.try_initialise();
    assert_eq!(answer.status, 400, "{answer:?}");
    let told = answer.json.to_string();
    assert!(told.contains("peer unreachable: ") && told.contains("invalid peer certificate"), "{told}");
}

#[test]
fn without_an_agent_the_server_stays_sealed_and_says_where_it_looked() {
    let Some(machine) = Machine::good() else { return };
    let peer = Peer::start();
    let mut sealed = Sealed::initialised(&peer, &machine);
    let socket = machine.socket();
    drop(machine);
    sealed.restart();
    sealed.bao.wait_for_word(&format!("node agent at {}: No such file", socket.display()), 0);
    assert_eq!(sealed.bao.health(), Some(503));
    let Some(machine) = Machine::good() else { return };
    sealed.bao.stop();
    sealed.move_to(&peer, &machine);
    sealed.start();
    sealed.bao.wait_until_unsealed();
}
