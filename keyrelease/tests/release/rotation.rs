//! Keys that the engine draws itself: every version stays, whoever rotates, however often at once.

use std::collections::BTreeSet;

use protocol::release::open_context;
use serde_json::json;

use crate::machine::{Machine, challenge, sealed};
use crate::server::Server;

/// The keys that a good machine is given.
fn given(server: &Server) -> Vec<String> {
    let machine = Machine::good();
    let challenge = challenge(server, "attest-keys");
    let presentation = machine.answer(&challenge, &open_context("attest-keys", "unseal"));
    let body = serde_json::to_value(presentation).unwrap();
    let answer = server.call("POST", "attest-keys/release/unseal/open", Some(&body), "");
    let sealed = sealed(&answer);
    (1..20).map_while(|number| machine.key.field(&sealed, &format!("kek.{number}"))).collect()
}

#[test]
fn a_rotated_key_is_released_with_all_its_versions_and_shown_to_nobody() {
    let server = Server::start();
    let rotate = |body| server.write("attest-keys/keys/unseal/rotate", &body);
    let without = rotate(json!({}));
    assert_eq!((without.status, without.errors().as_str()), (400, "policy: expected the name of a policy"));
    let first = rotate(json!({ "policy": "simulated" })).ok();
    assert_eq!(first.json["data"], json!({ "version": 1, "key": 1 }));
    let before = given(&server);
    assert_eq!(rotate(json!({})).ok().json["data"], json!({ "version": 2, "key": 2 }));
    let after = given(&server);
    assert_eq!((after.len(), &after[..1]), (2, &before[..]));
    assert!(after.iter().all(|key| key.len() == 64 && hex::decode(key).is_ok()), "{after:?}");
    assert!(!server.read("attest-keys/keys/unseal").ok().json.to_string().contains(&after[1]));
    // A write that would lose one is refused; one without a token has no say at all.
    let lost = server.write("attest-keys/keys/unseal", &json!({ "data": { "kek.1": after[0] } }));
    assert_eq!(lost.status, 400, "{lost:?}");
    assert!(lost.errors().starts_with("data: kek.2 would be lost"), "{lost:?}");
    assert_eq!(server.call("POST", "attest-keys/keys/unseal/rotate", Some(&json!({})), "").status, 403);
    assert_eq!(given(&server), after);
    let password = server.write("attest-keys/keys/db/rotate", &json!({ "policy": "simulated" }));
    assert!(password.errors().contains("it cannot be rotated"), "{password:?}");
}

#[test]
fn of_rotations_at_once_none_loses_the_key_of_another() {
    let server = Server::start();
    server.write("attest-keys/keys/unseal/rotate", &json!({ "policy": "simulated" })).ok();
    let before = given(&server);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let rotate = || scope.spawn(|| server.write("attest-keys/keys/unseal/rotate", &json!({})));
        let running: Vec<_> = (0..8).map(|_| rotate()).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let told: Vec<u64> = answers
        .iter()
        .filter(|answer| answer.status == 200)
        .map(|answer| answer.json["data"]["key"].as_u64().unwrap())
        .collect();
    let different: BTreeSet<&u64> = told.iter().collect();
    assert_eq!(different.len(), told.len(), "{told:?}");
    assert!(answers.iter().all(|answer| [200, 409].contains(&answer.status)), "{answers:?}");
    let after = given(&server);
    assert_eq!(after.len(), told.len() + 1, "{told:?}");
    assert_eq!(after[0], before[0]);
}
