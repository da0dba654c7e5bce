//! The way out: from the plugin's seal to OpenBao's own Shamir seal, with the recovery keys.

use serde_json::{Value, json};

use crate::bao::eventually;
use crate::machine::Machine;
use crate::peer::Peer;
use crate::sealed::Sealed;

#[test]
fn while_the_peer_still_releases_a_server_moves_to_shamir_and_needs_the_peer_no_more() {
    let Some(machine) = Machine::good() else { return };
    let mut peer = Peer::start();
    let mut sealed = Sealed::by_peer(&peer, &machine);
    sealed.start();
    let keys = sealed.bao.initialise();
    sealed.bao.write("sys/mounts/kv", &json!({ "type": "kv" })).ok();
    sealed.bao.write("kv/kept", &json!({ "word": "kept" })).ok();
    sealed.bao.stop();
    sealed.settings += "disabled = \"true\"\n";
    sealed.start();
    let unseal = |migrate: bool| {
        let body = json!({ "key": keys["recovery_keys_base64"][0], "migrate": migrate });
        sealed.bao.call("PUT", "sys/unseal", &body).unwrap()
    };
    let without = unseal(false);
    assert_ne!(without.json["sealed"], false, "{without:?}");
    unseal(true).ok();
    sealed.bao.wait_until_unsealed();
    eventually("the move", || sealed.bao.said("seal migration complete") > 0);
    sealed.bao.stop();
    peer.bao.stop();
    // Neither the stanza nor the peer: a plain server, opened by its key.
    sealed.bao.launch("");
    sealed.bao.wait_for_answer();
    assert_eq!(sealed.bao.health(), Some(503));
    let body = json!({ "key": keys["recovery_keys_base64"][0] });
    sealed.bao.call("PUT", "sys/unseal", &body).unwrap().ok();
    sealed.bao.wait_until_unsealed();
    eventually("the word", || {
        sealed.bao.call("GET", "kv/kept", &Value::Null).unwrap().json["data"]["word"] == "kept"
    });
}
