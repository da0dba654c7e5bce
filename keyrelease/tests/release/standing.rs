//! Standing: what revocation closes, what a failure leaves behind, what a lease asks for.

use std::time::Duration;

use protocol::release::Sealed;
use serde_json::json;
use simulator::snp::ReportBuilder;

use crate::machine::{Machine, sealed};
use crate::server::{Answer, Server, policy};
use crate::token::{token, trusting};

/// The guest that these tests launch once: its state changes, its report id does not.
fn guest(spoil: fn(ReportBuilder) -> ReportBuilder) -> Machine {
    Machine { spoil, ..Machine::good() }
}

fn good(report: ReportBuilder) -> ReportBuilder {
    report.report_id([0x1d; 32])
}

fn debugged(report: ReportBuilder) -> ReportBuilder {
    good(report).debug()
}

fn revoke(server: &Server, selector: &str) -> Answer {
    server.write("attest-keys/revoke", &json!({ "selector": selector, "reason": "ticket 7" }))
}

fn lift(server: &Server, cause: &str, selector: &str) -> Answer {
    let body = json!({ "selector": selector, "cause": cause, "reason": "looked at it" });
    server.write("attest-keys/reinstate", &body)
}

/// A machine's names, as its admission's entry has them.
fn names(server: &Server) -> Vec<String> {
    let recall = json!({ "selector": "platform=sev-snp" });
    let report = server.write("attest-keys/recall", &recall).ok().json["data"].clone();
    let machine = &report["recipients"][0];
    let text = |name: &str| machine[name].as_str().unwrap().to_owned();
    vec![
        format!("hardware={}", text("hardware")),
        format!("instance={}", text("instance")),
        format!("measurement={}", text("measurement")),
        format!("product-line={}", text("product_line")),
        "platform=sev-snp".to_owned(),
        "policy=simulated@1".to_owned(),
    ]
}

#[test]
fn a_revocation_by_any_name_closes_the_release_and_lifting_it_opens_it_again() {
    let server = Server::start();
    assert_eq!(guest(good).open(&server).status, 200);
    for name in names(&server) {
        let answer = revoke(&server, &name).ok().json["data"].clone();
        assert_eq!(answer["touched"]["secrets"][0]["name"], "db", "{name}: {answer}");
        assert_eq!(answer["change_by_hand"], json!(["db"]), "{name}");
        let refused = guest(good).open(&server);
        assert_eq!(refused.failing(), ["standing.revoked"], "{name}");
        assert!(refused.errors().contains("ticket 7"), "{}", refused.errors());
        let listed = server.list("attest-keys/revocation").ok().json["data"]["keys"].clone();
        assert_eq!(listed, json!([name]));
        lift(&server, "revoked", &name).ok();
        assert_eq!(guest(good).open(&server).status, 200, "{name}");
    }
}

#[test]
fn a_revocation_of_something_else_touches_nobody() {
    let server = Server::start();
    assert_eq!(guest(good).open(&server).status, 200);
    for name in [
        format!("hardware={}", "11".repeat(32)),
        format!("instance={}", "11".repeat(32)),
        format!("measurement={}", "11".repeat(48)),
        "product-line=Turin".to_owned(),
        "platform=tdx".to_owned(),
        "policy=simulated@0".to_owned(),
        "policy=other@9".to_owned(),
    ] {
        let answer = revoke(&server, &name).ok();
        assert_eq!(answer.json["data"]["touched"]["releases"], 0, "{name}");
        assert_eq!(guest(good).open(&server).status, 200, "{name}");
    }
}

#[test]
fn a_dry_run_reports_what_it_would_touch_and_bars_nobody() {
    let server = Server::start();
    assert_eq!(guest(good).open(&server).status, 200);
    let body = json!({ "selector": "platform=sev-snp", "reason": "drill", "dry_run": true });
    let answer = server.write("attest-keys/revoke", &body).ok().json["data"].clone();
    assert_eq!(answer["touched"]["releases"], 1, "{answer}");
    assert!(answer.get("decision").is_none(), "{answer}");
    assert_eq!(guest(good).open(&server).status, 200);
}

#[test]
fn a_revocation_without_a_reason_or_of_nothing_is_not_taken() {
    let server = crate::server::shared();
    let wrong = [
        (
            json!({ "selector": "platform=sev-snp", "reason": " " }),
            "reason: expected 1 to 200 printable bytes",
        ),
        (json!({ "selector": "everything", "reason": "x" }), "expected hardware=HEX"),
        (json!({ "selector": "platform=abacus", "reason": "x" }), "a platform's name"),
        (json!({ "selector": "platform=tdx", "reason": "x", "force": true }), "unknown field `force`"),
    ];
    for (body, expected) in wrong {
        let answer = server.write("attest-keys/revoke", &body);
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.errors().contains(expected), "{body}: {}", answer.errors());
    }
}

/// Lesson L17: a machine that failed is not silently healthy again.
#[test]
fn l17_a_machine_that_failed_stays_failed_until_somebody_has_looked() {
    let server = Server::start();
    assert_eq!(guest(good).open(&server).status, 200);
    assert_eq!(guest(debugged).open(&server).failing(), ["snp.policy.debug"]);
    let again = guest(good).open(&server);
    assert_eq!(again.failing(), ["standing.failed"]);
    assert!(again.errors().contains("snp.policy.debug"), "{}", again.errors());
    // Another guest on the same chip did nothing.
    assert_eq!(guest(|report| report.report_id([0x2d; 32])).open(&server).status, 200);
    let failures = server.list("attest-keys/failure").ok().json["data"]["keys"].clone();
    let failure = failures[0].as_str().unwrap().to_owned();
    lift(&server, "failed", &failure).ok();
    assert_eq!(guest(good).open(&server).status, 200);
}

#[test]
fn a_failure_is_one_under_an_edition_of_the_policy() {
    let server = Server::start();
    assert_eq!(guest(debugged).open(&server).failing(), ["snp.policy.debug"]);
    assert_eq!(guest(good).open(&server).failing(), ["standing.failed"]);
    server.write("attest-keys/policy/simulated", &json!({ "policy": policy(2) })).ok();
    assert_eq!(guest(good).open(&server).status, 200);
}

/// Nobody can make another's machine fail: not by an old answer of it, not by one for another key.
#[test]
fn an_answer_that_is_not_fresh_makes_nobody_fail() {
    let server = Server::start();
    let challenge = crate::machine::challenge(&server, "attest-keys");
    let other = crate::machine::challenge(&server, "attest-keys");
    let mut stale = guest(debugged).answer(&challenge, "attest-keys/release/db");
    stale.challenge = other.challenge;
    assert_eq!(crate::machine::present(&server, &stale).failing(), ["challenge.bound", "snp.policy.debug"]);
    assert_eq!(guest(good).open(&server).status, 200);
}

#[test]
fn a_token_of_a_revoked_machine_releases_nothing_any_more() {
    let server = trusting();
    let machine = guest(good);
    let token = token(&machine.login(&server));
    assert_eq!(crate::token::release(&server, &token, &machine.key).status, 200);
    revoke(&server, &format!("measurement={}", "5a".repeat(48))).ok();
    let refused = crate::token::release(&server, &token, &machine.key);
    assert_eq!(refused.status, 403);
    assert!(refused.errors().contains("revoked at"), "{}", refused.errors());
}

#[test]
fn a_secret_that_is_drawn_here_is_drawn_anew_when_its_reader_is_revoked() {
    let server = Server::start();
    let key = json!({ "policy": "simulated", "data": { "username": "app" }, "draw": { "password": 24 } });
    server.write("attest-keys/keys/db", &key).ok();
    let read = |machine: &Machine| {
        let sealed: Sealed = sealed(&machine.open(&server));
        (sealed.version, machine.key.field(&sealed, "password").unwrap())
    };
    let machine = guest(good);
    let (version, password) = read(&machine);
    assert_eq!(password.len(), 24);
    let other = "product-line=Turin";
    revoke(&server, other).ok();
    assert_eq!(read(&machine), (version, password.clone()), "it was not touched");
    let instance = names(&server).remove(1);
    let answer = revoke(&server, &instance).ok();
    assert_eq!(answer.json["data"]["drawn_anew"], json!(["db"]));
    let (newer, changed) = read(&guest(|report| report.report_id([0x2d; 32])));
    assert_eq!(newer, version + 1);
    assert_ne!(changed, password);
}

#[test]
fn a_lease_is_prolonged_only_on_new_evidence_and_never_for_a_revoked_machine() {
    let server = trusting();
    let lease = json!({ "seconds": 600, "reattest_interval": 2 });
    let key = json!({ "policy": "simulated", "data": { "password": "x" }, "lease": lease });
    server.write("attest-keys/keys/db", &key).ok();
    server.write("auth/attest/role/node", &json!({
        "policy": "simulated", "token_policies": ["machine"], "token_ttl_seconds": 600, "token_type": "service",
    })).ok();
    let machine = guest(good);
    let token = token(&machine.login(&server));
    let released = crate::token::release(&server, &token, &machine.key).ok();
    let id = released.json["lease_id"].as_str().unwrap().to_owned();
    assert!(released.json["renewable"].as_bool().unwrap());
    let renew = || server.call("POST", "sys/leases/renew", Some(&json!({ "lease_id": id })), "root");
    assert_eq!(renew().status, 200, "{:?}", renew());
    std::thread::sleep(Duration::from_secs(3));
    let late = renew();
    assert_ne!(late.status, 200);
    assert!(late.errors().contains("attest again"), "{}", late.errors());
    machine.login(&server).ok();
    assert_eq!(renew().status, 200, "{:?}", renew());
    revoke(&server, &format!("measurement={}", "5a".repeat(48))).ok();
    let barred = renew();
    assert_ne!(barred.status, 200);
    assert!(barred.errors().contains("revoked at"), "{}", barred.errors());
}

#[test]
fn a_service_token_is_prolonged_only_on_new_evidence() {
    let server = trusting();
    let role = json!({
        "policy": "simulated", "token_policies": ["machine", "renewing"], "token_ttl_seconds": 600,
        "token_type": "service", "reattest_interval": 2,
    });
    let acl = r#"path "auth/token/renew-self" { capabilities = ["update"] }"#;
    server.write("sys/policies/acl/renewing", &json!({ "policy": acl })).ok();
    server.write("auth/attest/role/node", &role).ok();
    let machine = guest(good);
    let token = token(&machine.login(&server));
    let renew = || server.call("POST", "auth/token/renew-self", Some(&json!({})), &token);
    assert_eq!(renew().status, 200, "{:?}", renew());
    std::thread::sleep(Duration::from_secs(3));
    let late = renew();
    // OpenBao keeps the reason from a renewing token's holder.
    assert!(late.status == 403 && late.errors().contains("permission denied"), "{late:?}");
    machine.login(&server).ok();
    assert_eq!(renew().status, 200);
    let name = format!("measurement={}", "5a".repeat(48));
    server.write("auth/attest/revoke", &json!({ "selector": name, "reason": "ticket 8" })).ok();
    let barred = renew();
    assert!(barred.status == 403, "{barred:?}");
    let refused = machine.login(&server);
    assert_eq!(refused.failing(), ["standing.revoked"]);
}
