//! Rule by more than one in a real OpenBao: who has to agree, to what, and onto what.

use std::collections::BTreeSet;

use attest::crypto::AwsLcRs;
use attest::governance::{Act, Approvers, Deed, Proposal};
use attest::{Crypto, Digest, File, UnixTime};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use protocol::release::Base64;
use serde_json::{Value, json};

use crate::collateral::{Packer, import_pack};
use crate::machine::Machine;
use crate::server::{Answer, Server, now, policy};

/// Somebody who approves.
pub(crate) struct Person {
    pub(crate) name: &'static str,
    key: Ed25519KeyPair,
}

impl Person {
    pub(crate) fn new(name: &'static str, seed: u8) -> Self {
        Self { name, key: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap() }
    }

    /// The entry in a document of approvers.
    pub(crate) fn entry(&self) -> Value {
        json!({ "name": self.name, "key": hex::encode(self.key.public_key().as_ref()) })
    }

    pub(crate) fn sign(&self, text: &str) -> Base64 {
        Base64(self.key.sign(text.as_bytes()).as_ref().to_vec())
    }
}

pub(crate) fn alice() -> Person {
    Person::new("alice", 1)
}

pub(crate) fn bob() -> Person {
    Person::new("bob", 2)
}

pub(crate) fn carol() -> Person {
    Person::new("carol", 3)
}

pub(crate) fn document(threshold: u64, people: &[&Person]) -> Value {
    let approvers: Vec<Value> = people.iter().map(|person| person.entry()).collect();
    json!({ "threshold": threshold, "approvers": approvers })
}

/// A server whose secrets engine two of three rule.
pub(crate) fn ruled() -> Server {
    let server = Server::start();
    let three = document(2, &[&alice(), &bob(), &carol()]);
    server.write("attest-keys/config/approvers", &three).ok();
    server
}

fn body(kind: &str, name: &str, content: &str, seconds: u64) -> Value {
    let expires = now().plus(seconds);
    json!({ "kind": kind, "name": name, "content": content, "expires": expires, "reason": "a test" })
}

pub(crate) fn try_propose(server: &Server, kind: &str, name: &str, content: &str) -> Answer {
    server.write("attest-keys/proposal", &body(kind, name, content, 3600))
}

#[track_caller]
pub(crate) fn propose(server: &Server, kind: &str, name: &str, content: &str) -> String {
    let answer = try_propose(server, kind, name, content).ok();
    answer.json["data"]["id"].as_str().unwrap().to_owned()
}

pub(crate) fn proposal(server: &Server, id: &str) -> Proposal {
    let shown = server.read(&format!("attest-keys/proposal/{id}")).ok();
    let proposal: Proposal = serde_json::from_value(shown.json["data"]["proposal"].clone()).unwrap();
    // Whoever approves recomputes what they sign.
    assert_eq!(proposal.id(&AwsLcRs).to_string(), id);
    proposal
}

pub(crate) fn send(server: &Server, id: &str, person: &Person, text: &str) -> Answer {
    let body = json!({ "approver": person.name, "signature": person.sign(text) });
    server.write(&format!("attest-keys/proposal/{id}/approve"), &body)
}

pub(crate) fn approve(server: &Server, id: &str, person: &Person) -> Answer {
    send(server, id, person, &proposal(server, id).to_be_signed(person.name))
}

#[track_caller]
pub(crate) fn refused(answer: &Answer, words: &str) {
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.errors().contains(words), "{}", answer.errors());
}

/// Proposes, and has two approve.
#[track_caller]
pub(crate) fn adopt(server: &Server, kind: &str, name: &str, content: &str) {
    let id = propose(server, kind, name, content);
    for person in [alice(), bob()] {
        approve(server, &id, &person).ok();
    }
    let shown = server.read(&format!("attest-keys/proposal/{id}")).ok();
    assert!(shown.json["data"]["applied"].is_string(), "{shown:?}");
}

fn version(server: &Server) -> u64 {
    server.read("attest-keys/policy/simulated").ok().json["data"]["version"].as_u64().unwrap()
}

#[test]
fn two_of_three_change_a_policy_and_one_of_them_does_not() {
    let server = ruled();
    let direct = server.write("attest-keys/policy/simulated", &json!({ "policy": policy(2) }));
    refused(&direct, "this mount has approvers: propose the change");
    let id = propose(&server, "policy", "simulated", &policy(2));
    let first = approve(&server, &id, &alice()).ok();
    assert_eq!(first.json["data"]["applied"], Value::Null);
    assert_eq!(first.json["data"]["counted"], json!(["alice"]));
    assert_eq!(version(&server), 1);
    let second = approve(&server, &id, &bob()).ok();
    assert!(second.json["data"]["applied"].is_string(), "{second:?}");
    assert_eq!(version(&server), 2);
    assert_eq!(Machine::good().open(&server).status, 200);
    // Said again after the fact it is still so, and nothing more happens.
    let shown = server.read(&format!("attest-keys/proposal/{id}")).ok();
    let text = serde_json::from_value::<Proposal>(shown.json["data"]["proposal"].clone()).unwrap();
    send(&server, &id, &bob(), &text.to_be_signed("bob")).ok();
    assert_eq!(send(&server, &id, &carol(), &text.to_be_signed("carol")).status, 404);
    assert_eq!(version(&server), 2);
}

#[test]
fn one_person_counts_once_whatever_they_sign_with_and_however_often() {
    let server = Server::start();
    let (card, spare) = (Person::new("alice", 1), Person::new("alice", 9));
    server.write("attest-keys/config/approvers", &document(2, &[&card, &spare, &bob()])).ok();
    let id = propose(&server, "policy", "simulated", &policy(2));
    for person in [&card, &spare, &card, &spare] {
        let answer = approve(&server, &id, person).ok();
        assert_eq!(answer.json["data"]["counted"], json!(["alice"]));
        assert_eq!(answer.json["data"]["applied"], Value::Null);
    }
    approve(&server, &id, &bob()).ok();
    assert_eq!(version(&server), 2);
}

#[test]
fn a_stranger_another_name_and_another_text_do_not_count() {
    let server = ruled();
    let id = propose(&server, "policy", "simulated", &policy(2));
    let text = |name: &str| proposal(&server, &id).to_be_signed(name);
    let mallory = Person::new("mallory", 7);
    refused(&send(&server, &id, &mallory, &text("mallory")), "approver: expected one of alice, bob, carol");
    let impostor = Person::new("bob", 7);
    refused(&send(&server, &id, &impostor, &text("bob")), "expected one by bob over this very text");
    // Alice's word for Bob is not Bob's.
    refused(&send(&server, &id, &Person::new("bob", 1), &text("bob")), "expected one by bob");
    refused(&send(&server, &id, &alice(), &text("bob")), "expected one by alice");
    refused(&send(&server, &id, &alice(), &proposal(&server, &id).text()), "expected one by alice");
    let other = propose(&server, "policy", "simulated", &policy(3));
    refused(&send(&server, &id, &alice(), &proposal(&server, &other).to_be_signed("alice")), "by alice");
    assert_eq!(version(&server), 1);
}

#[test]
fn an_approval_for_one_mount_is_none_for_another() {
    let server = ruled();
    server.write("sys/mounts/second", &json!({ "type": "attest-secrets" })).ok();
    server.write("second/policy/simulated", &json!({ "policy": policy(1) })).ok();
    server.write("second/config/approvers", &document(2, &[&alice(), &bob(), &carol()])).ok();
    let here = propose(&server, "policy", "simulated", &policy(2));
    let there = server.write("second/proposal", &body("policy", "simulated", &policy(2), 3600)).ok();
    let there = there.json["data"]["id"].as_str().unwrap().to_owned();
    let text = proposal(&server, &here).to_be_signed("alice");
    let answer = json!({ "approver": "alice", "signature": alice().sign(&text) });
    let answer = server.write(&format!("second/proposal/{there}/approve"), &answer);
    refused(&answer, "expected one by alice over this very text");
}

#[test]
fn what_was_approved_for_one_base_does_not_land_on_another_and_nothing_goes_back() {
    let server = ruled();
    let old = propose(&server, "policy", "simulated", &policy(2));
    let new = propose(&server, "policy", "simulated", &policy(5));
    for person in [alice(), bob()] {
        approve(&server, &new, &person).ok();
    }
    assert_eq!(version(&server), 5);
    // Fully approved, and too late: another content is in force.
    approve(&server, &old, &alice()).ok();
    refused(&approve(&server, &old, &bob()), "is in force: propose it anew");
    refused(&try_propose(&server, "policy", "simulated", &policy(5)), "expected above 5, found 5");
    refused(&try_propose(&server, "policy", "other", &policy(6)), "expected \"other\", found \"simulated\"");
    let ended = policy(6).replace("2048-01-01", "2026-01-01");
    refused(&try_propose(&server, "policy", "simulated", &ended), "expired");
    assert_eq!(version(&server), 5);
}

#[test]
fn a_proposal_ends_and_cannot_wait_for_ever() {
    let server = ruled();
    let at = |seconds: u64| {
        server.write("attest-keys/proposal", &body("policy", "simulated", &policy(2), seconds))
    };
    refused(&at(0), "expires: expected after");
    refused(&at(31 * 86_400), "expires: expected after");
    let id = at(2).ok().json["data"]["id"].as_str().unwrap().to_owned();
    let text = proposal(&server, &id).to_be_signed("alice");
    while now() < proposal_end(&server, &id) {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(send(&server, &id, &alice(), &text).status, 404);
    assert_eq!(server.read(&format!("attest-keys/proposal/{id}")).status, 404);
    assert_eq!(server.list("attest-keys/proposal").status, 404);
}

fn proposal_end(server: &Server, id: &str) -> UnixTime {
    let shown = server.read(&format!("attest-keys/proposal/{id}"));
    serde_json::from_value(shown.json["data"]["proposal"]["expires"].clone()).unwrap_or(UnixTime(0))
}

#[test]
fn whoever_is_not_among_the_approvers_any_more_does_not_count() {
    let server = ruled();
    let id = propose(&server, "policy", "simulated", &policy(2));
    approve(&server, &id, &alice()).ok();
    // Alice leaves, Dan comes.
    let dan = Person::new("dan", 4);
    let next = document(2, &[&bob(), &carol(), &dan]).to_string();
    let change = propose(&server, "approvers", "", &next);
    for person in [bob(), carol()] {
        approve(&server, &change, &person).ok();
    }
    let answer = approve(&server, &id, &bob()).ok();
    assert_eq!(answer.json["data"]["counted"], json!(["bob"]));
    assert_eq!(version(&server), 1);
    refused(&approve(&server, &id, &alice()), "expected one of bob, carol, dan");
    approve(&server, &id, &dan).ok();
    assert_eq!(version(&server), 2);
}

#[test]
fn a_threshold_that_falls_lets_in_what_is_approved_enough_and_no_sooner() {
    let server = ruled();
    let id = propose(&server, "policy", "simulated", &policy(2));
    let one = document(1, &[&alice(), &bob(), &carol()]).to_string();
    let change = propose(&server, "approvers", "", &one);
    approve(&server, &id, &alice()).ok();
    approve(&server, &change, &alice()).ok();
    approve(&server, &change, &carol()).ok();
    assert_eq!(version(&server), 1);
    approve(&server, &id, &alice()).ok();
    assert_eq!(version(&server), 2);
}

#[test]
fn approvers_are_named_once_and_change_by_proposal_only() {
    let server = ruled();
    let three = document(1, &[&alice()]);
    refused(&server.write("attest-keys/config/approvers", &three), "this mount has approvers");
    let (a, b) = (alice(), bob());
    let twice =
        json!({ "threshold": 1, "approvers": [a.entry(), { "name": "bob", "key": a.entry()["key"] }] });
    let odd = json!({ "threshold": 1, "approvers": [], "quorum": 1 });
    for (content, words) in [
        (document(3, &[&a, &b]), "threshold: expected 1 to 2, the number of people, found 3"),
        (document(0, &[&a, &b]), "threshold: expected 1 to 2"),
        (document(2, &[&a, &Person::new("alice", 5)]), "threshold: expected 1 to 1"),
        (twice, "one person cannot be two"),
        (odd, "unknown field `quorum`"),
        (json!({ "threshold": 1, "approvers": [{ "name": "a b", "key": "" }] }), "approver"),
    ] {
        refused(&try_propose(&server, "approvers", "", &content.to_string()), words);
    }
    refused(
        &try_propose(&server, "policies", "x", "y"),
        "kind: expected one of policy, approvers, roots, auth, workload-issuer, seal, collateral-signers, guard, role, attestation-keys, tpm-manufacturer",
    );
    refused(&try_propose(&server, "approvers", "x", "y"), "a mount has only one approvers");
}

#[test]
fn naming_approvers_asks_for_more_than_storing_policies_does() {
    let server = Server::start();
    let acl = r#"path "attest-keys/*" { capabilities = ["create", "read", "update", "delete", "list"] }"#;
    server.write("sys/policies/acl/storer", &json!({ "policy": acl })).ok();
    let token = server.write("auth/token/create", &json!({ "policies": ["storer"] })).ok();
    let token = token.json["auth"]["client_token"].as_str().unwrap().to_owned();
    for path in ["config/approvers", "config/roots", "emergency/policy/simulated"] {
        let body = document(1, &[&alice()]);
        let answer = server.call("POST", &format!("attest-keys/{path}"), Some(&body), &token);
        assert_eq!(answer.status, 403, "{path}: {answer:?}");
    }
    let body = json!({ "policy": policy(2) });
    server.call("POST", "attest-keys/policy/simulated", Some(&body), &token).ok();
}

#[test]
fn the_trusted_mount_and_the_roots_change_by_proposal_too() {
    let server = ruled();
    refused(&server.write("attest-keys/config/auth", &json!({ "accessor": "auth_x" })), "has approvers");
    refused(&server.write("attest-keys/config/roots", &json!({ "certificates": "" })), "has approvers");
    let id = propose(&server, "auth", "", "auth_attest_1");
    for person in [alice(), carol()] {
        approve(&server, &id, &person).ok();
    }
    let shown = server.read("attest-keys/config/auth").ok();
    assert_eq!(shown.json["data"]["accessor"], "auth_attest_1");
    refused(&try_propose(&server, "auth", "", "a b"), "accessor");
    refused(&try_propose(&server, "roots", "", "not PEM"), "roots: expected");
    let leaf = pem(&crate::server::chip().vcek().der());
    refused(&try_propose(&server, "roots", "", &leaf), "authority");
    let id = propose(&server, "roots", "", &pem(&crate::server::chip().ark().der()));
    for person in [alice(), carol()] {
        approve(&server, &id, &person).ok();
    }
    let shown = server.read("attest-keys/config/roots").ok();
    assert!(shown.json["data"]["certificates"].as_str().unwrap().contains("BEGIN CERTIFICATE"));
    assert_eq!(Machine::good().open(&server).status, 200);
}

#[test]
fn whose_packs_are_taken_changes_by_proposal_too() {
    let server = ruled();
    let (packer, other) = (Packer::new(1), Packer::new(2));
    let body = json!({ "collateral_signers": [packer.hex()] });
    refused(&server.write("attest-keys/config/collateral-signers", &body), "has approvers");
    refused(&try_propose(&server, "collateral-signers", "", "ab"), "expected Ed25519 keys of 64 hex digits");
    refused(
        &try_propose(&server, "collateral-signers", "x", &packer.hex()),
        "has only one collateral-signers",
    );
    let heap = [packer.hex().as_str()].repeat(17).join("\n");
    refused(&try_propose(&server, "collateral-signers", "", &heap), "at most 16 keys");
    let id = propose(&server, "collateral-signers", "", &format!("{}\n", packer.hex()));
    for person in [alice(), carol()] {
        approve(&server, &id, &person).ok();
    }
    let shown = server.read("attest-keys/config/collateral-signers").ok();
    assert_eq!(shown.json["data"]["collateral_signers"], json!([packer.hex()]));
    let list = crate::server::chip().crl().der();
    refused(&import_pack(&server, other.pack(std::slice::from_ref(&list))), "not among the trusted ones");
    import_pack(&server, packer.pack(&[list])).ok();
}

pub(crate) fn pem(der: &[u8]) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der))
}

#[test]
fn approvals_that_come_at_the_same_time_apply_a_change_once() {
    let server = ruled();
    let id = propose(&server, "policy", "simulated", &policy(2));
    let people = [alice(), bob(), carol()];
    let text = proposal(&server, &id);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let each = people.iter().map(|person| {
            let (server, id, text) = (&server, &id, text.to_be_signed(person.name));
            scope.spawn(move || send(server, id, person, &text).status)
        });
        each.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    // The third may come too late.
    assert!(statuses.iter().filter(|status| **status == 200).count() >= 2, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 404].contains(status)), "{statuses:?}");
    assert_eq!(version(&server), 2);
    let applied = deeds(&server).into_iter().filter(|deed| deed.act == Act::Applied);
    assert_eq!(applied.count(), 1);
}

#[test]
fn a_proposal_can_be_taken_back_and_their_number_is_small() {
    let server = ruled();
    let id = propose(&server, "policy", "simulated", &policy(2));
    assert_eq!(propose_again(&server, &id), 200);
    server.call("DELETE", &format!("attest-keys/proposal/{id}"), None, "root").ok();
    assert_eq!(server.read(&format!("attest-keys/proposal/{id}")).status, 404);
    for version in 3..35 {
        propose(&server, "policy", "simulated", &policy(version));
    }
    refused(&try_propose(&server, "policy", "simulated", &policy(40)), "proposal: at most 32 are open");
    let status = server.read("attest-keys/governance").ok();
    assert_eq!(status.json["data"]["open"].as_array().unwrap().len(), 32);
    assert_eq!(status.json["data"]["approvers"]["threshold"], 2);
}

/// The very same proposal is the same proposal.
fn propose_again(server: &Server, id: &str) -> u16 {
    let known = proposal(server, id);
    let body = json!({
        "kind": "policy", "name": "simulated", "content": policy(2),
        "expires": known.expires, "reason": known.reason,
    });
    let answer = server.write("attest-keys/proposal", &body);
    assert_eq!(answer.json["data"]["id"], id);
    answer.status
}

/// All deeds on record, as an auditor opens them.
pub(crate) fn deeds(server: &Server) -> Vec<Deed> {
    let key = server.verifier_key("attest-keys");
    let names = server.list("attest-keys/record").ok();
    let names: BTreeSet<&str> =
        names.json["data"]["keys"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let file = |name: &&str| {
        let answer = server.read(&format!("attest-keys/record/{name}")).ok();
        let index = answer.json["data"]["index"].as_u64().unwrap();
        let file = STANDARD.decode(answer.json["data"]["bundle"].as_str().unwrap()).unwrap();
        let record = File::parse(&file).unwrap().record.to_vec();
        Deed::open(&record, &[key], &AwsLcRs).ok().map(|deed| (index, deed))
    };
    let mut deeds: Vec<(u64, Deed)> = names.iter().filter_map(file).collect();
    deeds.sort_by_key(|(index, _)| *index);
    deeds.into_iter().map(|(_, deed)| deed).collect()
}

#[test]
fn an_auditor_finds_every_step_on_record_with_all_that_was_signed() {
    let server = ruled();
    let id = propose(&server, "policy", "simulated", &policy(2));
    approve(&server, &id, &alice()).ok();
    approve(&server, &id, &bob()).ok();
    let taken_back = propose(&server, "policy", "simulated", &policy(3));
    server.call("DELETE", &format!("attest-keys/proposal/{taken_back}"), None, "root").ok();
    let deeds = deeds(&server);
    let acts: Vec<Act> = deeds.iter().map(|deed| deed.act).collect();
    let expected = [Act::Founded, Act::Proposed, Act::Approved, Act::Applied, Act::Proposed, Act::Withdrawn];
    assert_eq!(acts, expected);
    let founding = std::str::from_utf8(&deeds[0].content).unwrap();
    let approvers = Approvers::parse(founding).unwrap();
    let applied = &deeds[3];
    assert_eq!(applied.content.as_slice(), policy(2).as_bytes());
    assert_eq!(applied.approvers, AwsLcRs.sha256(&[founding.as_bytes()]));
    let counted = applied.approved(&approvers, &AwsLcRs).unwrap();
    assert!(counted.are_enough());
    assert_eq!(counted.names, BTreeSet::from(["alice".to_owned(), "bob".to_owned()]));
    assert!(!deeds[2].approved(&approvers, &AwsLcRs).unwrap().are_enough());
    let replaced: Digest<32> = AwsLcRs.sha256(&[policy(1).as_bytes()]);
    assert_eq!(applied.proposal.as_ref().unwrap().change.replaces, Some(replaced));
}
