//! `seal`: values that the caller holds, passed on to the key that was attested at login.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use protocol::release::{Base64, Sealed};
use serde_json::{Value, json};

use crate::machine::{Key, Machine, sealed};
use crate::server::{Answer, SECRET, Server, policy};
use crate::token::{token, trusting};
use crate::workload::grants;

/// A server that seals for logins under the policy `simulated`.
fn sealing() -> Server {
    let server = trusting();
    server.write("attest-keys/config/seal", &json!({ "policies": ["simulated"] })).ok();
    server
}

fn seal(server: &Server, token: &str, key: &Key, mut body: Value) -> Answer {
    body["kem"] = json!(key.offered.kem.name());
    body["public_key"] = json!(Base64(key.offered.public.clone()));
    server.call("POST", "attest-keys/seal", Some(&body), token)
}

#[test]
fn a_value_goes_sealed_to_the_attested_key_and_the_record_does_not_know_it() {
    let server = sealing();
    for key in [Key::x_wing(), Key::x25519()] {
        let machine = Machine { key, ..Machine::good() };
        let token = token(&machine.login(&server));
        let body = json!({ "data": { "password": SECRET, "port": 5432 } });
        let fields: Sealed = sealed(&seal(&server, &token, &machine.key, body));
        assert_eq!(machine.key.field(&fields, "password").as_deref(), Some(SECRET));
        assert_eq!(machine.key.field(&fields, "port").as_deref(), Some("5432"));
        assert!((1..=300).contains(&fields.lease_seconds), "{}", fields.lease_seconds);
        let body = json!({ "plaintext": STANDARD.encode(SECRET) });
        let plain: Sealed = sealed(&seal(&server, &token, &machine.key, body));
        assert_eq!(machine.key.field(&plain, "plaintext").as_deref(), Some(SECRET));
        let record = server.read(&format!("attest-keys/record/{}", plain.decision)).ok();
        let file = STANDARD.decode(record.json["data"]["bundle"].as_str().unwrap()).unwrap();
        assert!(file.windows(4).any(|part| part == b"seal"), "it says what was done");
        assert!(!file.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()));
    }
}

#[test]
fn a_stolen_token_has_nothing_sealed_to_the_thiefs_key() {
    let server = sealing();
    let token = token(&Machine::good().login(&server));
    let thief = seal(&server, &token, &Key::x25519(), json!({ "data": { "a": "b" } }));
    assert_eq!(thief.status, 403, "{thief:?}");
    assert!(thief.errors().contains("which was attested at login"), "{thief:?}");
}

#[test]
fn a_login_under_a_policy_that_is_not_named_has_nothing_sealed() {
    let server = trusting();
    let machine = Machine::good();
    let body = json!({ "data": { "a": "b" } });
    let first = token(&machine.login(&server));
    let none = seal(&server, &first, &machine.key, body.clone());
    assert!(none.errors().contains("config/seal is not set"), "{none:?}");
    let other = policy(1).replace("\"simulated\"", "\"other\"");
    server.write("attest-keys/policy/other", &json!({ "policy": other })).ok();
    server.write("attest-keys/config/seal", &json!({ "policies": ["other"] })).ok();
    let refused = seal(&server, &first, &machine.key, body.clone());
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(refused.errors().contains("the login was judged under"), "{refused:?}");
    server.write("attest-keys/config/seal", &json!({ "policies": ["other", "simulated"] })).ok();
    sealed(&seal(&server, &first, &machine.key, body));
    let missing = server.write("attest-keys/config/seal", &json!({ "policies": ["nobody"] }));
    assert!(missing.errors().contains("is not stored in this mount"), "{missing:?}");
}

#[test]
fn a_policy_with_grants_says_whether_values_are_sealed() {
    let server = sealing();
    let machine = Machine::good();
    let body = json!({ "data": { "a": "b" } });
    grants(&server, 2, "[[grant]]\npaths = { any_of = [\"auth/attest/login/*\"] }");
    let refused = seal(&server, &token(&machine.login(&server)), &machine.key, body.clone());
    assert!(refused.errors().contains("policy.grant"), "{refused:?}");
    let both = "[[grant]]\npaths = { any_of = [\"auth/attest/login/*\", \"attest-keys/seal\"] }";
    grants(&server, 3, both);
    sealed(&seal(&server, &token(&machine.login(&server)), &machine.key, body));
}

#[test]
fn a_body_that_is_odd_is_refused_and_never_repeated() {
    let server = sealing();
    let machine = Machine::good();
    let token = token(&machine.login(&server));
    for body in [
        json!({}),
        json!({ "data": {} }),
        json!({ "data": SECRET }),
        json!({ "data": { "a": SECRET }, "plaintext": STANDARD.encode(SECRET) }),
        json!({ "plaintext": SECRET }),
        json!({ "plaintext": { "a": SECRET } }),
        json!({ "data": { "a": SECRET }, "to": SECRET }),
        json!({ "data": { "a": "b".repeat(1024 * 1024) } }),
    ] {
        let answer = seal(&server, &token, &machine.key, body);
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(!answer.errors().contains(SECRET), "{answer:?}");
    }
    assert!(!server.log().contains(SECRET));
}
