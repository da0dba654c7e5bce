//! What goes well: the first start, later ones, a killed plugin, a rotated key.

use serde_json::json;

use crate::bao::{eventually, lives, signal};
use crate::machine::Machine;
use crate::peer::Peer;
use crate::sealed::Sealed;

#[test]
fn a_server_on_an_attested_machine_is_initialised_and_unseals_itself_at_every_start() {
    let Some(machine) = Machine::good() else { return };
    let peer = Peer::start();
    let mut sealed = Sealed::initialised(&peer, &machine);
    assert!(sealed.bao.log().contains("Auto Seal: attestseal (builtin: false, peer_address:"));
    sealed.bao.write("sys/mounts/kv", &json!({ "type": "kv" })).ok();
    sealed.bao.write("kv/kept", &json!({ "word": "kept" })).ok();
    sealed.restart();
    sealed.bao.wait_until_unsealed();
    eventually("the word", || {
        let answer = sealed.bao.call("GET", "kv/kept", &json!(null)).unwrap();
        answer.json["data"]["word"] == "kept"
    });
    // Each operation was a release with a decision of its own, which both sides name.
    let log = sealed.bao.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("key released by peer")).collect();
    assert!(told.len() >= 4, "{log}");
    let decision = told[0].split("decision=").nth(1).unwrap().split_whitespace().next().unwrap();
    let record = peer.bao.call("GET", &format!("attest-keys/record/{decision}"), &json!(null)).unwrap();
    assert_eq!(record.status, 200, "{record:?}");
}

#[test]
fn a_plugin_that_was_killed_is_started_again_and_still_opens() {
    let Some(machine) = Machine::good() else { return };
    let peer = Peer::start();
    let mut sealed = Sealed::by_peer(&peer, &machine);
    sealed.start();
    let first = sealed.plugin();
    signal("KILL", first);
    eventually("the plugin's end", || !lives(first));
    sealed.bao.initialise();
    assert_ne!(sealed.plugin(), first);
    sealed.restart();
    sealed.bao.wait_until_unsealed();
}

#[test]
fn after_a_rotation_the_root_key_moves_to_the_new_key_and_older_copies_still_open() {
    let Some(machine) = Machine::good() else { return };
    let peer = Peer::start();
    let mut sealed = Sealed::initialised(&peer, &machine);
    peer.rotate();
    sealed.restart();
    sealed.bao.wait_until_unsealed();
    sealed.bao.wait_for_word("upgrading stored keys", 0);
    // Encrypted anew, and from now on opened with the new one alone.
    sealed.bao.wait_for_word("post-unseal setup complete", 2);
    let (first, second) = (sealed.bao.said("key=1"), sealed.bao.said("key=2"));
    sealed.restart();
    sealed.bao.wait_until_unsealed();
    sealed.bao.wait_for_word("post-unseal setup complete", 3);
    assert_eq!(sealed.bao.said("upgrading stored keys"), 1);
    assert_eq!(sealed.bao.said("key=1"), first);
    assert!(sealed.bao.said("key=2") > second);
}

#[test]
fn the_key_is_nowhere_in_logs_arguments_or_environment() {
    let Some(machine) = Machine::good() else { return };
    let peer = Peer::start();
    // A key that a person chose, so that the test knows it.
    let kek = "0b5e55ed".repeat(8);
    let body = json!({ "policy": "simulated", "data": { "kek.7": kek } });
    peer.bao.call("DELETE", "attest-keys/keys/unseal", &json!(null)).unwrap().ok();
    peer.bao.write("attest-keys/keys/unseal", &body).ok();
    let mut sealed = Sealed::initialised(&peer, &machine);
    sealed.restart();
    sealed.bao.wait_until_unsealed();
    let process = sealed.plugin();
    let read = |name: &str| {
        match std::fs::read(format!("/proc/{process}/{name}")) {
            // Only root reads the environment: the process is not dumpable.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => String::new(),
            read => String::from_utf8_lossy(&read.unwrap()).into_owned(),
        }
    };
    for text in [sealed.bao.log(), peer.bao.log(), read("cmdline"), read("environ")] {
        assert!(!text.contains(&kek));
    }
    assert!(sealed.bao.log().contains("key=7"), "{}", sealed.bao.log());
}
