//! `cloudtaser recall|revoke|reinstate` against a real server with both faces of the plugin, and machines that ask it.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::guest::Guest;
use crate::server::Server;
use crate::told::Told;

pub(crate) fn run(server: &Server, token: &str, words: &[&str]) -> Told {
    let output = Command::new(env!("CARGO_BIN_EXE_cloudtaser"))
        .args(words)
        .env_clear()
        .envs([("BAO_ADDR", server.address.as_str()), ("BAO_TOKEN", token)])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(!err.contains("panicked"), "{err}");
    Told { code: output.status.code().unwrap_or(-1), out, err }
}

#[track_caller]
pub(crate) fn says(told: Told, code: i32, words: &[&str]) -> String {
    let told = told.ends(code);
    for word in words {
        assert!(told.out.contains(word) || told.err.contains(word), "{word:?}\n{}\n{}", told.out, told.err);
    }
    told.out
}

/// The checks that a refusal names.
fn failing(answer: &crate::server::Answer) -> Vec<&str> {
    assert_eq!(answer.status, 403, "{answer:?}");
    let failing = answer.json["data"]["failing"].as_array().unwrap();
    failing.iter().map(|check| check["id"].as_str().unwrap()).collect()
}

/// The name of a guest's chip, from what a mount tells.
fn chip(server: &Server, number: usize) -> String {
    let found = run(server, "root", &["recall", "platform=sev-snp", "-o", "json"]).ends(0).json();
    let machines = found["mounts"][0]["report"]["recipients"].clone();
    format!("hardware={}", machines[number]["hardware"].as_str().unwrap())
}

#[test]
fn a_revocation_is_told_first_then_holds_in_both_mounts_and_is_taken_back_in_both() {
    let server = Server::attesting();
    let guest = Guest::on(1);
    guest.open(&server).ok();
    guest.log_in(&server).ok();
    let whom = format!("measurement={}", "5a".repeat(48));
    let told = run(&server, "root", &["revoke", &whom]);
    says(told, 0, &["in 2 of 2 mounts", "db version 1, 1 times", "1 machines", "nothing was revoked"]);
    guest.open(&server).ok();
    let revoke = ["revoke", &whom, "--reason", "CVE-2026-1"];
    let words = ["REVOKED: ", "barred in 2 of 2 mounts", "CHANGE BY HAND  db", "for 15 minutes at most"];
    let said = says(run(&server, "root", &revoke), 0, &words);
    assert!(!said.contains("NOT"), "{said}");
    assert_eq!(failing(&guest.open(&server)), ["standing.revoked"]);
    assert_eq!(failing(&guest.log_in(&server)), ["standing.revoked"]);
    // Once more: it is still so.
    says(run(&server, "root", &revoke), 0, &["barred in 2 of 2 mounts"]);
    let lift = ["reinstate", &whom, "--reason", "fixed"];
    let said = says(run(&server, "root", &lift), 0, &["REINSTATED: "]);
    assert_eq!(said.matches("decision").count(), 2, "{said}");
    guest.open(&server).ok();
    guest.log_in(&server).ok();
    says(run(&server, "root", &lift), 2, &["NOT REINSTATED", "nothing to take back"]);
}

#[test]
fn a_mount_that_was_not_reached_is_loud_and_the_command_is_repeated_until_it_was() {
    let server = Server::attesting();
    let guest = Guest::on(1);
    let acl = r#"path "attest-keys/revoke" { capabilities = ["update"] }
        path "+/+/revocation/*" { capabilities = ["read"] }"#;
    server.write("sys/policies/acl/half", &json!({ "policy": acl })).ok();
    let half = server.token(&["half"]);
    let revoke = ["revoke", "platform=sev-snp", "--reason", "INC-7"];
    let words = [
        "REVOKED IN PART: platform=sev-snp is barred in 1 of 2 mounts",
        "this mount goes on admitting them",
        "this token may not update auth/attest/revoke",
        "NOT EVERYTHING WAS DONE",
    ];
    says(run(&server, &half, &revoke), 1, &words);
    assert_eq!(failing(&guest.open(&server)), ["standing.revoked"]);
    guest.log_in(&server).ok();
    says(run(&server, "root", &revoke), 0, &["barred in 2 of 2 mounts"]);
    assert_eq!(failing(&guest.log_in(&server)), ["standing.revoked"]);
    // Who may not revoke is told that the bar stands; what its mount did is not known.
    let words = ["REVOKED IN PART: platform=sev-snp is barred in 2 of 2 mounts", ": INC-7", "UNKNOWN"];
    says(run(&server, &half, &revoke), 1, &words);
    let elsewhere = [&revoke[..], &["--mount", "attest-keys", "--mount", "team/keys"]].concat();
    says(run(&server, "root", &elsewhere), 1, &["barred in 1 of 2 mounts", "team/keys/revoke answered 404"]);
    let nowhere = [&revoke[..], &["--mount", "team/keys"]].concat();
    says(run(&server, "root", &nowhere), 2, &["NOT REVOKED", "barred in 0 of 1 mounts"]);
    let gone = [&revoke[..], &["--address", "http://127.0.0.1:1"]].concat();
    says(run(&server, "root", &gone), 2, &["NOT REVOKED", "barred in 0 of 2 mounts"]);
    says(run(&server, "", &revoke), 2, &["NOT REVOKED", "BAO_TOKEN is not set"]);
    let told = run(&server, &half, &["reinstate", "platform=sev-snp", "--reason", "x"]);
    says(told, 2, &["NOT REINSTATED", "this token may not update attest-keys/reinstate"]);
    says(run(&server, &half, &["recall", "platform=sev-snp"]), 2, &["INCOMPLETE", "in 0 of 2 mounts"]);
}

#[test]
fn a_selector_that_names_nobody_is_not_taken_and_one_that_names_others_touches_nobody() {
    let server = Server::attesting();
    let guest = Guest::on(1);
    guest.open(&server).ok();
    for (selector, words) in [
        ("everything", "expected hardware=HEX"),
        ("hardware=5a", "expected 64 hex digits"),
        ("platform=abacus", "expected a platform's name (sev-snp, tpm2, "),
        ("policy=simulated", "expected policy=NAME@VERSION"),
    ] {
        for verb in ["recall", "revoke", "reinstate"] {
            let told = run(
                &server,
                "root",
                &[verb, selector, "--reason", "x"][..if verb == "recall" { 2 } else { 4 }],
            );
            says(told, 2, &[words]);
        }
    }
    let other = format!("hardware={}", "11".repeat(32));
    let said = says(run(&server, "root", &["revoke", &other, "--reason", "x"]), 0, &["0 releases"]);
    assert!(said.contains("CHANGE BY HAND  none"), "{said}");
    guest.open(&server).ok();
    let told = run(&server, "root", &["revoke", "platform=tdx", "--disable-entities"]);
    says(told, 2, &["--reason"]);
    let told = run(&server, "root", &["revoke", "platform=tdx", "--reason", " "]);
    says(told, 2, &["'--reason <REASON>': expected 1 to 200 printable bytes, found 0"]);
    let told = run(&server, "root", &["reinstate", "platform=tdx", "--reason", ""]);
    says(told, 2, &["'--reason <REASON>': expected 1 to 200 printable bytes, found 0"]);
}

#[test]
fn tokens_that_openbao_gave_end_with_the_identities_of_the_revoked_and_no_others_do() {
    let server = Server::attesting();
    let (stolen, other) = (Guest::on(1), Guest::on(2));
    stolen.open(&server).ok();
    let whom = chip(&server, 0);
    let (its, others) = (stolen.token(&server), other.token(&server));
    let reads = |token: &str| server.call("GET", "secret/data/x", None, token).status;
    let revoke = ["revoke", &whom, "--reason", "stolen"];
    says(run(&server, "root", &revoke), 0, &["--disable-entities ends them now"]);
    assert_eq!([reads(&its), reads(&others)], [200, 200], "OpenBao's tokens are its own");
    let disable = [&revoke[..], &["--disable-entities"]].concat();
    says(run(&server, "root", &disable), 0, &["disabled        1 identities of OpenBao"]);
    assert_eq!([reads(&its), reads(&others)], [403, 200]);
    says(
        run(&server, "root", &disable),
        0,
        &["disabled        0 identities", "as before       1 identities"],
    );
    let lift = ["reinstate", &whom, "--reason", "found again"];
    says(run(&server, "root", &lift), 0, &["REINSTATED"]);
    assert_eq!(stolen.log_in(&server).status, 403, "its identity is disabled");
    let enable = [&lift[..], &["--enable-entities"]].concat();
    says(run(&server, "root", &enable), 0, &["REINSTATED", "no bar", "enabled"]);
    assert_eq!([reads(&its), stolen.log_in(&server).status], [200, 200]);
}

#[test]
fn an_identity_that_somebody_else_disabled_stays_disabled() {
    let server = Server::attesting();
    let guest = Guest::on(1);
    let answer = guest.log_in(&server).ok();
    let entity = format!("identity/entity/id/{}", answer.json["auth"]["entity_id"].as_str().unwrap());
    server.write(&entity, &json!({ "disabled": true, "metadata": { "by": "hr" } })).ok();
    let whom = "product-line=Genoa";
    let words = ["revoke", whom, "--reason", "x", "--disable-entities"];
    says(run(&server, "root", &words), 0, &["0 identities", "as before       1 identities"]);
    let words = ["reinstate", whom, "--reason", "x", "--enable-entities"];
    says(run(&server, "root", &words), 0, &["as before   1 identities"]);
    let found = server.read(&entity).ok().json["data"].clone();
    assert_eq!([&found["disabled"], &found["metadata"]], [&json!(true), &json!({ "by": "hr" })]);
}

#[test]
fn identities_that_may_not_be_changed_leave_the_revocation_in_part() {
    let server = Server::attesting();
    Guest::on(1).log_in(&server).ok();
    let acl = r#"path "+/revoke" { capabilities = ["update"] }
        path "auth/attest/revoke" { capabilities = ["update"] }"#;
    server.write("sys/policies/acl/revoker", &json!({ "policy": acl })).ok();
    let token = server.token(&["revoker"]);
    let words = ["revoke", "platform=sev-snp", "--reason", "x", "--disable-entities", "-o", "json"];
    let found = run(&server, &token, &words).ends(1).json();
    let auth = &found["mounts"].as_array().unwrap()[1];
    assert_eq!(auth["mount"], "auth/attest");
    assert!(auth["revoked"]["decision"].is_string(), "{found}");
    assert_eq!(auth["entities"]["problems"], json!(["not seen: this token may not read sys/auth/attest"]));
    assert_eq!(found["mounts"][0]["entities"], Value::Null);
}
