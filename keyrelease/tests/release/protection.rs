//! Protection reports through a real OpenBao: signed, judged, demanded by keys, on record, and judged again.

use attest::crypto::AwsLcRs;
use attest::protection::{Check, Measured, Report, Score, State};
use attest::{Crypto, Digest};
use protocol::release::{Base64, Presentation, Sealed, login_context, open_context, purpose_with};
use serde_json::{Value, json};

use crate::admission::{anchors, record};
use crate::machine::{Machine, challenge, present, sealed};
use crate::server::{Answer, SECRET, Server};
use crate::token::trusting;

/// A wrapper without an enforcer: 80 points of its own, 65 of the verdict's.
fn report() -> Report {
    let measure = |check: Check| {
        let missed = check == Check::GuardPages || check.name().starts_with("ebpf");
        let state = if missed { State::Missed } else { State::Reached };
        Measured { check, state, found: format!("as {check} was found") }
    };
    Report {
        version: Report::VERSION,
        program: "cloudtaser-wrapper 0.1.0".to_owned(),
        attacker: "uid 0, may trace".to_owned(),
        attacks: vec![],
        measures: Check::ALL.into_iter().filter(|check| !check.is_attested()).map(measure).collect(),
    }
}

fn digest(report: &Report) -> Digest<32> {
    report.digest(&AwsLcRs)
}

fn with(presentation: Presentation, signed: Option<&Report>, came: Option<&Report>) -> Presentation {
    let protection = came.map(|report| Base64(report.to_cbor()));
    Presentation { protection, protection_digest: signed.map(digest), ..presentation }
}

/// Asks for `db`, with the report that the hardware signed and the one that comes.
fn open(server: &Server, machine: &Machine, signed: Option<&Report>, came: Option<&Report>) -> Answer {
    let challenge = challenge(server, "attest-keys");
    let context = purpose_with(&open_context("attest-keys", "db"), None, signed.map(digest));
    present(server, &with(machine.answer(&challenge, &context), signed, came))
}

fn login(server: &Server, machine: &Machine, report: Option<&Report>) -> Answer {
    let challenge = challenge(server, "auth/attest");
    let context = purpose_with(&login_context("auth/attest", "node"), None, report.map(digest));
    let mut body = serde_json::to_value(with(machine.answer(&challenge, &context), report, report)).unwrap();
    body["role"] = Value::from("node");
    server.call("POST", "auth/attest/login", Some(&body), "")
}

fn release(server: &Server, machine: &Machine, login: &Answer) -> Answer {
    let offered = &machine.key.offered;
    let body = json!({ "kem": offered.kem.name(), "public_key": Base64(offered.public.clone()) });
    let token = login.json["auth"]["client_token"].as_str().unwrap();
    server.call("POST", "attest-keys/release/db", Some(&body), token)
}

fn demand(server: &Server, demand: &Value) -> Answer {
    let mut body = json!({ "data": { "password": SECRET } });
    body.as_object_mut().unwrap().extend(demand.as_object().unwrap().clone());
    server.write("attest-keys/keys/db", &body)
}

/// The only check that failed, what was expected and what was found.
#[track_caller]
fn why(answer: &Answer) -> (String, String, String) {
    let failing = answer.failing();
    assert_eq!(failing.len(), 1, "{answer:?}");
    let text = |field: &str| answer.json["data"]["failing"][0][field].as_str().unwrap().to_owned();
    (text("id"), text("expected"), text("found"))
}

/// The recorded score of a decision, which replays to the same bytes.
fn recorded(server: &Server, decision: &str) -> String {
    let bundle = record(server, "attest-keys", "record", decision);
    assert!(bundle.replay(&AwsLcRs, &anchors()).unwrap().identical);
    let score = bundle.appraisal.checks.iter().find(|check| check.id == "protection.score");
    score.map(|check| check.found.clone()).unwrap_or_default()
}

const FOUND: &str =
    "145 of 200: missed guard_pages, ebpf_agent_connected, ebpf_enforce_mode, ebpf_lsm_enforce, ebpf_kprobes";

#[test]
fn a_report_is_taken_scored_recorded_and_replayed_with_its_bytes() {
    let (server, machine, report) = (trusting(), Machine::good(), report());
    let given: Sealed = sealed(&open(&server, &machine, Some(&report), Some(&report)));
    assert_eq!(machine.key.field(&given, "password").as_deref(), Some(SECRET));
    assert_eq!(recorded(&server, &given.decision), FOUND);
    let bundle = record(&server, "attest-keys", "record", &given.decision);
    let kept = bundle.standing.as_ref().unwrap().protection.as_ref().unwrap();
    assert_eq!(kept.report.as_ref().map(|bytes| bytes.to_vec()), Some(report.to_cbor()));
    // Whoever brings none is asked nothing, as before.
    let given: Sealed = sealed(&machine.open(&server));
    assert_eq!(recorded(&server, &given.decision), "");
}

#[test]
fn an_altered_report_is_refused_by_name_and_the_refusal_replays() {
    let (server, machine, mine) = (trusting(), Machine::good(), report());
    let mut better = report();
    better.measures[4].state = State::Reached;
    let answer = open(&server, &machine, Some(&mine), Some(&better));
    let signed = format!("protection report {}, which the hardware signed", digest(&mine));
    assert_eq!(why(&answer), ("protection.bound".to_owned(), signed, format!("report {}", digest(&better))));
    let id = answer.json["data"]["decision"].as_str().unwrap();
    recorded(&server, id);
    assert_eq!(why(&open(&server, &machine, Some(&mine), None)).2, "no report");
    assert_eq!(why(&open(&server, &machine, None, Some(&mine))).0, "protection.bound");
    // The digest of the better one, over an answer whose hardware signed another purpose.
    let challenge = challenge(&server, "attest-keys");
    let context = purpose_with(&open_context("attest-keys", "db"), None, Some(digest(&mine)));
    let forged = with(machine.answer(&challenge, &context), Some(&better), Some(&better));
    assert_eq!(present(&server, &forged).failing(), ["challenge.bound"]);
}

#[test]
fn bytes_that_are_no_report_are_refused_on_record_and_too_many_are_not_judged() {
    let (server, machine) = (trusting(), Machine::good());
    let send = |bytes: Vec<u8>| {
        let challenge = challenge(&server, "attest-keys");
        let signed = Some(AwsLcRs.sha256(&[&bytes]));
        let context = purpose_with(&open_context("attest-keys", "db"), None, signed);
        let answer = machine.answer(&challenge, &context);
        present(
            &server,
            &Presentation { protection: Some(Base64(bytes)), protection_digest: signed, ..answer },
        )
    };
    let (id, _, found) = why(&send(vec![0xff; 100]));
    assert_eq!(id, "protection.report");
    assert_eq!(found, "expected the CBOR of a report of words that are known here, found other bytes");
    let answer = send(vec![0; Report::MAX_BYTES + 1]);
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.errors().contains("protection: at most 8192 bytes, found 8193"), "{answer:?}");
}

#[test]
fn a_key_may_demand_points_and_protections_and_what_is_missed_is_refused_by_name() {
    let (server, machine, report) = (trusting(), Machine::good(), report());
    let ask = || open(&server, &machine, Some(&report), Some(&report));
    demand(&server, &json!({ "min_protection": 145, "require_protection": ["memfd_secret"] })).ok();
    let given: Sealed = sealed(&ask());
    assert_eq!(recorded(&server, &given.decision), FOUND);
    let none = why(&machine.open(&server));
    assert_eq!(
        (none.0.as_str(), none.2.as_str()),
        ("protection.report", "none, and what is asked for demands one")
    );

    demand(&server, &json!({ "min_protection": 146 })).ok();
    let read = server.read("attest-keys/keys/db").ok();
    assert_eq!(read.json["data"]["min_protection"], 146);
    assert_eq!(read.json["data"]["require_protection"], json!(["memfd_secret"]), "as before unless given");
    let refused = ask();
    assert_eq!(
        why(&refused),
        ("protection.score".to_owned(), "at least 146 points".to_owned(), FOUND.to_owned())
    );
    assert_eq!(recorded(&server, refused.json["data"]["decision"].as_str().unwrap()), FOUND);

    demand(&server, &json!({ "min_protection": 0, "require_protection": ["ebpf_enforce_mode", "mlock"] }))
        .ok();
    let found = ("ebpf_enforce_mode reached".to_owned(), "as ebpf_enforce_mode was found".to_owned());
    let (id, expected, said) = why(&ask());
    assert_eq!((id.as_str(), (expected, said)), ("protection.check.ebpf_enforce_mode", found));

    demand(&server, &json!({ "min_protection": 0, "require_protection": [] })).ok();
    let _lifted: Sealed = sealed(&machine.open(&server));
}

#[test]
fn the_way_with_a_token_is_no_way_around_a_demand() {
    let (server, report) = (trusting(), report());
    demand(&server, &json!({ "min_protection": 145 })).ok();
    let (machine, other) = (Machine::good(), Machine::good());
    let bare = login(&server, &machine, None).ok();
    let refused = release(&server, &machine, &bare);
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(
        refused.errors().contains("protection.report: expected a login with a protection report"),
        "{refused:?}"
    );
    let reported = login(&server, &other, Some(&report)).ok();
    assert_eq!(reported.json["auth"]["metadata"]["protection_points"], "145", "{reported:?}");
    let _given: Sealed = sealed(&release(&server, &other, &reported));
    demand(&server, &json!({ "require_protection": ["guard_pages"] })).ok();
    let refused = release(&server, &other, &reported);
    let expected = "protection.check.guard_pages: expected guard_pages reached, found not reached";
    assert!(refused.errors().contains(expected), "{refused:?}");
    // Who logs in without a report after one with it has none.
    demand(&server, &json!({ "min_protection": 1, "require_protection": [] })).ok();
    let bare = login(&server, &other, None).ok();
    assert!(release(&server, &other, &bare).errors().contains("protection.report"), "{bare:?}");
}

#[test]
fn a_demand_that_nobody_could_meet_is_not_stored() {
    let server = trusting();
    let too_much = demand(&server, &json!({ "min_protection": Score::MAX + 1 }));
    assert_eq!(too_much.status, 400, "{too_much:?}");
    assert!(too_much.errors().contains("min_protection: expected at most 200 points, found 201"));
    let unknown = demand(&server, &json!({ "require_protection": ["trust_me"] }));
    assert_eq!(unknown.status, 400, "{unknown:?}");
    assert!(unknown.errors().contains("unknown variant `trust_me`"), "{unknown:?}");
    let twice = demand(&server, &json!({ "require_protection": ["mlock", "mlock"] }));
    assert!(twice.errors().contains("require_protection: expected each protection once"), "{twice:?}");
}
