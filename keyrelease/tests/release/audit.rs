//! OpenBao's own audit log, and the server's log: which decision it was, and never a secret.

use serde_json::{Value, json};
use simulator::snp::ReportBuilder;

use crate::machine::{Machine, sealed};
use crate::server::{SECRET, Server};

/// The answers to calls of this path.
fn answered(server: &Server, path: &str) -> Vec<Value> {
    let audit = server.audit();
    let entries = audit.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries.filter(|entry| entry["type"] == "response" && entry["request"]["path"] == path).collect()
}

#[test]
fn the_audit_log_names_the_decision_once_the_mount_is_tuned_to_say_it_in_clear() {
    let server = Server::start();
    let before = sealed(&Machine::good().open(&server));
    let tune = json!({ "audit_non_hmac_response_keys": ["decision"] });
    server.write("sys/mounts/attest-keys/tune", &tune).ok();
    server.write("sys/auth/attest/tune", &tune).ok();
    let after = sealed(&Machine::good().open(&server));
    let found = answered(&server, "attest-keys/release/db/open");
    let told: Vec<_> = found.iter().map(|entry| entry["response"]["data"]["decision"].clone()).collect();
    assert!(told[0].as_str().unwrap().starts_with("hmac-sha256:"), "{told:?}");
    assert_eq!(told[1], json!(after.decision));
    assert!(!server.audit().contains(&before.decision), "not in clear before");
    // A login's answer says it, and so does every later entry of its token, without tuning.
    let login = Machine::good().login(&server).ok();
    let decision = &login.json["data"]["decision"];
    assert_eq!(&answered(&server, "auth/attest/login")[0]["response"]["data"]["decision"], decision);
    assert_eq!(&answered(&server, "auth/attest/login")[0]["auth"]["metadata"]["decision"], decision);
}

#[test]
fn a_refusal_is_a_line_of_the_servers_log_with_its_decision_and_checks() {
    let server = Server::start();
    let answer = Machine::spoiled(ReportBuilder::debug).open(&server);
    assert_eq!(answer.failing(), ["snp.policy.debug"]);
    let decision = answer.json["data"]["decision"].as_str().unwrap().to_owned();
    let line = server.logged(&decision);
    for field in ["refused", "failing=snp.policy.debug", "platform=sev-snp", "policy_version=1"] {
        assert!(line.contains(field), "{field} in {line}");
    }
}

#[test]
fn neither_log_has_a_secret_or_evidence_whatever_was_asked() {
    let server = Server::start();
    assert_eq!(Machine::good().open(&server).status, 200);
    assert_eq!(Machine::good().login(&server).status, 200);
    Machine::spoiled(ReportBuilder::debug).open(&server);
    server.write("attest-keys/keys/db", &json!({ "data": { "password": SECRET, "odd": 7 } }));
    server.write("attest-keys/keys/db", &json!({ "data": SECRET }));
    server.call("POST", "attest-keys/release/db/open", Some(&json!({ "debug": SECRET })), "");
    let (log, audit) = (server.log(), server.audit());
    let evidence = answered(&server, "attest-keys/release/db/open")[0]["request"]["data"]["evidence"].clone();
    assert!(evidence.as_str().unwrap().starts_with("hmac-sha256:"), "{evidence}");
    assert!(!log.contains(SECRET), "the server's log");
    let value = |line: &&str| line.contains(SECRET);
    assert_eq!(audit.lines().find(value), None, "the audit log");
}
