//! The token path: login, identity, release to the key that was attested.

use protocol::release::Sealed;
use serde_json::{Value, json};
use simulator::snp::ReportBuilder;

use crate::admission::record;
use crate::machine::{Key, Machine, sealed};
use crate::server::{Answer, SECRET, Server, shared};

/// A server whose secrets engine trusts the auth mount, and an ACL policy for machines.
pub(crate) fn trusting() -> Server {
    let server = Server::start();
    let mounts = server.read("sys/auth").ok();
    let accessor = mounts.json["data"]["attest/"]["accessor"].clone();
    server.write("attest-keys/config/auth", &json!({ "accessor": accessor })).ok();
    let acl = r#"path "attest-keys/release/*" { capabilities = ["update"] }
        path "attest-keys/seal" { capabilities = ["update"] }"#;
    server.write("sys/policies/acl/machine", &json!({ "policy": acl })).ok();
    server
}

pub(crate) fn release(server: &Server, token: &str, key: &Key) -> Answer {
    let kem = key.offered.kem.name();
    let body = json!({ "kem": kem, "public_key": protocol::release::Base64(key.offered.public.clone()) });
    server.call("POST", "attest-keys/release/db", Some(&body), token)
}

pub(crate) fn token(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json["auth"]["client_token"].as_str().unwrap().to_owned()
}

#[test]
fn an_admitted_machine_logs_in_with_a_batch_token_that_names_what_was_found() {
    let answer = Machine::good().login(shared());
    let auth = &answer.json["auth"];
    assert!(token(&answer).starts_with("b."), "{answer:?}");
    assert_eq!(auth["token_policies"], json!(["machine"]));
    assert_eq!(auth["renewable"], false);
    assert!(auth["lease_duration"].as_u64().unwrap() <= 300, "no longer than the verdict");
    let metadata = &auth["metadata"];
    assert_eq!(metadata["platform"], "sev-snp");
    assert_eq!(metadata["roots"], "simulated");
    assert_eq!(metadata["measurement"], "5a".repeat(48));
    let bundle = record(shared(), "auth/attest", "verdict", metadata["decision"].as_str().unwrap());
    assert_eq!(bundle.request, "login as node");
}

#[test]
fn the_same_machine_is_the_same_entity_however_often_it_logs_in() {
    let entity = |answer: Answer| answer.json["auth"]["entity_id"].as_str().unwrap().to_owned();
    let first = entity(Machine::good().login(shared()));
    assert_eq!(first, entity(Machine::good().login(shared())));
    assert!(!first.is_empty());
}

#[test]
fn a_machine_that_is_not_admitted_gets_no_token() {
    let answer = Machine::spoiled(ReportBuilder::debug).login(shared());
    assert_eq!(answer.failing(), ["snp.policy.debug"]);
    assert!(answer.json.get("auth").is_none_or(Value::is_null), "{answer:?}");
}

#[test]
fn the_token_releases_to_the_attested_key_and_a_stolen_one_to_nobody_else() {
    let server = trusting();
    let machine = Machine::good();
    let token = token(&machine.login(&server));
    let sealed: Sealed = sealed(&release(&server, &token, &machine.key));
    assert_eq!(machine.key.field(&sealed, "password").as_deref(), Some(SECRET));
    let thief = release(&server, &token, &Key::x25519());
    assert_eq!(thief.status, 403, "{thief:?}");
    assert!(thief.errors().contains("which was attested at login"), "{}", thief.errors());
}

#[test]
fn a_token_of_another_auth_method_is_refused_whatever_it_says() {
    let server = trusting();
    server.write("sys/auth/userpass", &json!({ "type": "userpass" })).ok();
    let user = json!({ "password": "p", "token_policies": ["machine"] });
    server.write("auth/userpass/users/eve", &user).ok();
    let login = json!({ "password": "p" });
    let token = token(&server.call("POST", "auth/userpass/login/eve", Some(&login), ""));
    let answer = release(&server, &token, &Key::x25519());
    assert_eq!(answer.status, 403);
    assert!(
        answer.errors().contains("expected a token of the auth mount that config/auth names"),
        "{answer:?}"
    );
}

#[test]
fn without_a_trusted_auth_mount_no_token_releases_anything() {
    let answer = release(shared(), "root", &Key::x25519());
    assert_eq!(answer.status, 403);
    assert!(answer.errors().contains("no auth mount is trusted"), "{answer:?}");
}

#[test]
fn a_login_under_another_policy_than_the_keys_is_refused() {
    let server = trusting();
    let machine = Machine::good();
    let token = token(&machine.login(&server));
    server.write("attest-keys/policy/simulated", &json!({ "policy": crate::server::policy(2) })).ok();
    let answer = release(&server, &token, &machine.key);
    assert_eq!(answer.status, 403);
    assert!(answer.errors().contains("the login was judged under"), "{answer:?}");
}

/// A quota on a role has OpenBao ask for the role of a login before it is one.
#[test]
fn a_role_that_is_no_string_does_not_panic_the_server() {
    let server = Server::start();
    let quota = json!({ "path": "auth/attest", "role": "node", "rate": 1000 });
    server.write("sys/quotas/rate-limit/node", &quota).ok();
    for role in [json!(5), json!({ "a": 1 }), json!(null)] {
        let answer = server.call("POST", "auth/attest/login", Some(&json!({ "role": role })), "");
        assert_eq!(answer.status, 400, "{answer:?}");
    }
    assert!(!server.log().contains("panic"));
}

/// A login is for itself: what its policy grants is asked again when a secret is.
#[test]
fn a_token_releases_only_what_the_policy_grants() {
    let server = trusting();
    let grants = |paths: &str, version: u64| {
        let text =
            format!("{}\n[[grant]]\npaths = {{ any_of = [{paths}] }}\n", crate::server::policy(version));
        for mount in ["auth/attest", "attest-keys"] {
            server.write(&format!("{mount}/policy/simulated"), &json!({ "policy": text })).ok();
        }
    };
    let machine = Machine::good();
    grants(r#""auth/attest/login/*""#, 2);
    let answer = release(&server, &token(&machine.login(&server)), &machine.key);
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(answer.errors().contains("policy.grant"), "{answer:?}");
    assert_eq!(machine.open(&server).failing(), ["policy.grant"]);
    grants(r#""auth/attest/login/node", "attest-keys/release/d*""#, 3);
    sealed(&release(&server, &token(&machine.login(&server)), &machine.key));
    assert_eq!(machine.open(&server).status, 200);
    grants(r#""attest-keys/release/db""#, 4);
    assert_eq!(machine.login(&server).failing(), ["policy.grant"]);
}
