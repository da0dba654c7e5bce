//! The emergency path in a real OpenBao: one is enough, not for long, and not unseen.

use std::time::Duration;

use attest::crypto::AwsLcRs;
use attest::governance::{Act, Change, Emergency, Item, Kind};
use attest::log::Text;
use attest::{Crypto, UnixTime};
use serde_json::{Value, json};

use crate::governance::{Person, alice, deeds, refused, ruled};
use crate::machine::Machine;
use crate::server::{Answer, Server, now, policy};

/// A policy that refuses the machine.
pub(crate) fn strict(version: u64) -> String {
    policy(version).replace("insecure-accept-simulated-roots = true\n", "")
}

pub(crate) fn emergency(
    server: &Server,
    kind: Kind,
    name: &str,
    content: &str,
    until: UnixTime,
) -> Emergency {
    let rest = if name.is_empty() { kind.name().to_owned() } else { format!("{kind}/{name}") };
    let base = server.read(&format!("attest-keys/in-force/{rest}")).ok();
    let mount = server.read("attest-keys/governance").ok();
    let change = Change {
        mount: Text::new(mount.json["data"]["mount"].as_str().unwrap()).unwrap(),
        item: Item::new(kind, name).unwrap(),
        content: AwsLcRs.sha256(&[content.as_bytes()]),
        version: base.json["data"]["version"].as_u64().unwrap().saturating_add(1),
        replaces: serde_json::from_value(base.json["data"]["digest"].clone()).unwrap(),
    };
    let (reason, ticket) = (Text::new("a leak").unwrap(), Text::new("INC-7").unwrap());
    Emergency { change, until, reason, ticket }
}

pub(crate) fn body(emergency: &Emergency, content: &str, person: &Person) -> Value {
    json!({
        "content": content,
        "version": emergency.change.version,
        "until": emergency.until,
        "reason": emergency.reason,
        "ticket": emergency.ticket,
        "approver": person.name,
        "signature": person.sign(&emergency.to_be_signed(person.name)),
    })
}

pub(crate) fn declare(server: &Server, seconds: u64) -> Answer {
    let emergency = emergency(server, Kind::Policy, "simulated", &strict(2), now().plus(seconds));
    let body = body(&emergency, &strict(2), &alice());
    server.write("attest-keys/emergency/policy/simulated", &body)
}

#[test]
fn one_approver_stops_releases_at_once_until_the_emergency_ends_by_itself() {
    let server = ruled();
    assert_eq!(Machine::good().open(&server).status, 200);
    let until = now().plus(4);
    declare(&server, 4).ok();
    assert_eq!(Machine::good().open(&server).failing(), ["roots.accepted"]);
    let shown = server.read("attest-keys/policy/simulated").ok();
    assert_eq!(shown.json["data"]["version"], 2);
    assert!(shown.json["data"]["emergency_until"].is_string(), "{shown:?}");
    let warning = shown.json["warnings"][0].as_str().unwrap_or_default();
    assert!(warning.contains("EMERGENCY until") && warning.contains("by alice, ticket INC-7"), "{shown:?}");
    let status = server.read("attest-keys/governance").ok();
    assert_eq!(status.json["data"]["emergencies"].as_array().unwrap().len(), 1);
    while now() <= until.plus(1) {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(Machine::good().open(&server).status, 200);
    let shown = server.read("attest-keys/policy/simulated").ok();
    assert_eq!(shown.json["data"]["version"], 1);
    assert_eq!(shown.json["warnings"], Value::Null);
    let found: Vec<Act> = deeds(&server).iter().map(|deed| deed.act).collect();
    assert_eq!(found, [Act::Founded, Act::Declared]);
}

#[test]
fn an_emergency_is_ended_by_hand_and_its_signature_does_not_begin_it_again() {
    let server = ruled();
    let emergency = emergency(&server, Kind::Policy, "simulated", &strict(2), now().plus(3600));
    let body = body(&emergency, &strict(2), &alice());
    let path = "attest-keys/emergency/policy/simulated";
    server.write(path, &body).ok();
    // Said twice it is one.
    server.write(path, &body).ok();
    server.call("DELETE", path, None, "root").ok();
    assert_eq!(Machine::good().open(&server).status, 200);
    refused(&server.write(path, &body), "expected above 2, found 2");
    assert_eq!(server.read(path).status, 404);
    // Its version is used up.
    let proposal = json!({
        "kind": "policy", "name": "simulated", "content": policy(2), "expires": now().plus(60), "reason": "x",
    });
    refused(&server.write("attest-keys/proposal", &proposal), "expected above 2, found 2");
    let found: Vec<Act> = deeds(&server).iter().map(|deed| deed.act).collect();
    assert_eq!(found, [Act::Founded, Act::Declared, Act::Ended]);
}

#[test]
fn an_emergency_needs_a_signature_has_an_end_and_never_changes_who_approves() {
    let server = ruled();
    let path = "attest-keys/emergency/policy/simulated";
    let good = emergency(&server, Kind::Policy, "simulated", &strict(2), now().plus(3600));
    let stranger = Person::new("alice", 9);
    refused(&server.write(path, &body(&good, &strict(2), &stranger)), "expected one by alice");
    refused(&server.write(path, &body(&good, &policy(2), &alice())), "expected one by alice");
    let mut unsigned = body(&good, &strict(2), &alice());
    unsigned.as_object_mut().unwrap().remove("signature");
    refused(&server.write(path, &unsigned), "missing field `signature`");
    let long = Emergency { until: now().plus(86_400 + 60), ..good.clone() };
    refused(&server.write(path, &body(&long, &strict(2), &alice())), "until: expected after");
    let over = Emergency { until: now(), ..good };
    refused(&server.write(path, &body(&over, &strict(2), &alice())), "until: expected after");
    let alone = crate::governance::document(1, &[&alice()]).to_string();
    let coup = emergency(&server, Kind::Approvers, "", &alone, now().plus(60));
    let answer = server.write("attest-keys/emergency/approvers", &body(&coup, &alone, &alice()));
    refused(&answer, "the approvers change by proposal only");
    assert_eq!(Machine::good().open(&server).status, 200);
}

#[test]
fn a_mount_without_approvers_has_no_emergencies() {
    let server = Server::start();
    let answer = declare(&server, 60);
    refused(&answer, "this mount has no approvers");
}
