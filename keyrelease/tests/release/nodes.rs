//! Nodes: one name, one machine, one start at a time.

use std::sync::OnceLock;
use std::thread;

use attest::crypto::AwsLcRs;
use attest::{Platform, Transcript, TrustAnchors};
use protocol::release::{Base64, Presentation, login_context, node_login_context};
use serde_json::{Value, json};
use simulator::snp::{Chip, Product, ReportBuilder};

use crate::admission::{anchors, record};
use crate::machine::{Machine, challenge};
use crate::platforms::{Peer, enclave, policy, roots};
use crate::server::{Answer, Server, now};

/// A server with roles for each rule; each test has chips and names of its own.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = Server::start();
        let limits = json!({ "refusals_burst": 100_000, "refusals_burst_in_all": 100_000 });
        server.write("auth/attest/config/limits", &limits).ok();
        for (role, rule) in [("first", "first-come"), ("listed", "registered"), ("open", "any")] {
            server.write(&format!("auth/attest/role/{role}"), &role_of("simulated", rule)).ok();
        }
        for platform in [Platform::Tdx, Platform::Nitro] {
            let name = platform.name();
            let body = json!({ "policy": policy(platform) });
            server.write(&format!("auth/attest/policy/{name}"), &body).ok();
            server.write(&format!("auth/attest/role/{name}"), &role_of(name, "first-come")).ok();
        }
        server
    })
}

fn role_of(policy: &str, rule: &str) -> Value {
    json!({ "policy": policy, "token_policies": ["machine"], "token_ttl_seconds": 600, "nodes": rule })
}

type Launch = fn(ReportBuilder) -> ReportBuilder;

const FIRST: Launch = |report| report.report_id([0xa1; 32]);
const SECOND: Launch = |report| report.report_id([0xa2; 32]);

/// A guest on the chip of this number, in this start. Launches of two chips are told apart by the chip's number.
fn guest(seed: u64, spoil: Launch) -> Machine {
    let chip = Chip::new(seed, Product::Genoa).at(now().0);
    let lists = vec![chip.crl().der()];
    Machine { chip, spoil, lists, ..Machine::good() }
}

/// Logs in in this name, with what was signed for this path.
fn send(role: &str, name: Option<&str>, presentation: &Presentation) -> Answer {
    let mut body = serde_json::to_value(presentation).unwrap();
    body["role"] = Value::from(role);
    if let Some(name) = name {
        body["node"] = Value::from(name);
    }
    server().call("POST", "auth/attest/login", Some(&body), "")
}

fn login(machine: &Machine, role: &str, name: &str) -> Answer {
    let context = node_login_context("auth/attest", role, name);
    send(role, Some(name), &machine.answer(&challenge(server(), "auth/attest"), &context))
}

fn node(name: &str) -> Value {
    server().read(&format!("auth/attest/node/{name}")).ok().json["data"].clone()
}

/// What the first failing check found.
fn found(answer: &Answer) -> String {
    answer.json["data"]["failing"][0]["found"].as_str().unwrap().to_owned()
}

/// The record of a refusal, judged again offline: the same bytes.
fn replays(answer: &Answer, anchors: &TrustAnchors) {
    let decision = answer.json["data"]["decision"].as_str().unwrap();
    let bundle = record(server(), "auth/attest", "verdict", decision);
    let replay = bundle.replay(&AwsLcRs, anchors).unwrap();
    assert!(replay.identical);
    let again: Vec<String> = replay.appraisal.failing().map(|check| check.id.clone()).collect();
    assert_eq!(again, answer.failing());
}

/// Launches that no other test has.
fn launch<const BYTE: u8>(report: ReportBuilder) -> ReportBuilder {
    report.report_id([BYTE; 32])
}

#[test]
fn a_machine_joins_under_a_free_name_and_comes_back_after_a_restart() {
    let joined = login(&guest(11, FIRST), "first", "n11").ok();
    assert_eq!(joined.json["auth"]["metadata"]["registered_node"], "n11");
    let chip_id = hex::encode(guest(11, FIRST).chip.chip_id());
    assert_eq!(node("n11")["ids"], json!({ "platform": "sev-snp", "chip_id": chip_id }));
    assert_eq!(node("n11")["launch"], "a1".repeat(32));
    assert_eq!(node("n11")["decision"], joined.json["data"]["decision"]);
    login(&guest(11, FIRST), "first", "n11").ok();
    login(&guest(11, SECOND), "first", "n11").ok();
    assert_eq!(
        (&node("n11")["launch"], &node("n11")["former_launches"]),
        (&json!("a2".repeat(32)), &json!(1))
    );
    let words = record(server(), "auth/attest", "verdict", joined.json["data"]["decision"].as_str().unwrap());
    assert_eq!(words.request, "login as first in the name of node n11");
}

/// An attack: a copy of a guest goes on running beside the one that took its place.
#[test]
fn a_start_that_a_later_one_replaced_is_refused_and_bars_nobody() {
    let (old, new): (Launch, Launch) = (launch::<0xb1>, launch::<0xb2>);
    login(&guest(12, old), "first", "n12").ok();
    login(&guest(12, new), "first", "n12").ok();
    let before = server().list("auth/attest/failure").json;
    for _ in 0..2 {
        let refused = login(&guest(12, old), "first", "n12");
        assert_eq!(refused.failing(), ["node.boot"]);
        assert_eq!(found(&refused), format!("launch {}, which was replaced", "b1".repeat(32)));
        replays(&refused, &anchors());
    }
    // The genuine one is none the worse for it.
    login(&guest(12, new), "first", "n12").ok();
    assert_eq!(server().list("auth/attest/failure").json["data"], before["data"]);
}

#[test]
fn l15_a_name_is_its_first_machines_until_an_operator_forgets_it() {
    let (mine, others): (Launch, Launch) = (launch::<0xc1>, launch::<0xc2>);
    login(&guest(13, mine), "first", "n13").ok();
    let refused = login(&guest(14, others), "first", "n13");
    assert_eq!(refused.failing(), ["node.machine"]);
    assert_eq!(found(&refused), format!("chip_id {}", hex::encode(guest(14, others).chip.chip_id())));
    replays(&refused, &anchors());
    // Also where any machine may log in: the name is taken.
    assert_eq!(login(&guest(14, others), "open", "n13").failing(), ["node.machine"]);
    login(&guest(13, mine), "first", "n13").ok();
    server().call("DELETE", "auth/attest/node/n13", None, "root");
    assert_eq!(server().read("auth/attest/node/n13").status, 404);
    login(&guest(14, others), "first", "n13").ok();
    assert_eq!(login(&guest(13, mine), "first", "n13").failing(), ["node.machine"]);
}

#[test]
fn l15_a_machine_has_one_name() {
    let launch: Launch = launch::<0xd1>;
    login(&guest(15, launch), "first", "n15").ok();
    for role in ["first", "open"] {
        let refused = login(&guest(15, launch), role, "n16");
        assert_eq!(refused.failing(), ["node.machine"], "{role}");
        assert_eq!(found(&refused), "chip_id of node n15; launch of node n15");
        replays(&refused, &anchors());
    }
    assert_eq!(server().read("auth/attest/node/n16").status, 404);
}

#[test]
fn where_nodes_are_registered_nobody_else_logs_in() {
    let (chip, launch): (_, Launch) = (hex::encode(guest(17, FIRST).chip.chip_id()), launch::<0xe1>);
    assert_eq!(login(&guest(17, launch), "listed", "n17").failing(), ["node.known"]);
    let context = login_context("auth/attest", "listed");
    let nameless = guest(17, launch).answer(&challenge(server(), "auth/attest"), &context);
    let refused = send("listed", None, &nameless);
    assert_eq!((refused.failing(), found(&refused)), (vec!["node.known".to_owned()], "no name".to_owned()));
    replays(&refused, &anchors());
    server().write("auth/attest/node/n17", &json!({ "chip_id": chip.to_uppercase() })).ok();
    assert_eq!(login(&guest(18, launch), "listed", "n17").failing(), ["node.machine"]);
    login(&guest(17, launch), "listed", "n17").ok();
    // Whoever was let in elsewhere is on no operator's list.
    let elsewhere: Launch = self::launch::<0x5c>;
    login(&guest(91, elsewhere), "first", "n91").ok();
    let taken = login(&guest(91, elsewhere), "listed", "n91");
    assert_eq!(
        (taken.failing(), found(&taken)),
        (vec!["node.known".to_owned()], "n91, which its machine took".to_owned())
    );
    // As long as the name of a Kubernetes node may be.
    let (long, other): (_, Launch) = ("n".repeat(253), self::launch::<0x5d>);
    login(&guest(92, other), "first", &long).ok();
    let shown = node("n17");
    assert_eq!(shown["expected"], json!({ "chip_id": chip }));
    assert_eq!(shown["ids"], json!({ "platform": "sev-snp", "chip_id": chip }));
}

/// An attack: machine A is asked, machine B answers.
#[test]
fn l31_the_answer_of_another_machine_does_not_pass_for_the_nodes() {
    let (a, b): (Launch, Launch) = (launch::<0xf1>, launch::<0xf2>);
    login(&guest(19, a), "first", "n19").ok();
    login(&guest(20, b), "first", "n20").ok();
    // B signs A's name: its hardware says whose it is.
    let refused = login(&guest(20, b), "first", "n19");
    assert_eq!(refused.failing(), ["node.machine"]);
    assert_eq!(
        refused.json["data"]["failing"][0]["found"].as_str().unwrap().matches("of node n20").count(),
        2
    );
    replays(&refused, &anchors());
    // B signs its own name, or none, and somebody puts in A's.
    for context in [node_login_context("auth/attest", "first", "n20"), login_context("auth/attest", "first")]
    {
        let answer = guest(20, b).answer(&challenge(server(), "auth/attest"), &context);
        assert!(send("first", Some("n19"), &answer).failing().contains(&"challenge.bound".to_owned()));
    }
    // And the name is not taken off what A signed.
    let context = node_login_context("auth/attest", "open", "n19");
    let signed = guest(19, a).answer(&challenge(server(), "auth/attest"), &context);
    assert_eq!(send("open", None, &signed).failing(), ["challenge.bound"]);
}

#[test]
fn of_machines_that_join_under_one_name_at_once_exactly_one_wins() {
    let joining: Vec<_> = (0..6)
        .map(|number| thread::spawn(move || login(&guest(30 + number, |report| report), "first", "n30")))
        .collect();
    let answers: Vec<Answer> = joining.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        assert!(refused.failing().contains(&"node.machine".to_owned()), "{refused:?}");
    }
    server().call("DELETE", "auth/attest/node/n30", None, "root");
}

#[test]
fn of_names_that_one_machine_takes_at_once_exactly_one_is_its() {
    let launch: Launch = launch::<0xa7>;
    let joining: Vec<_> = (0..6)
        .map(|number| thread::spawn(move || login(&guest(40, launch), "first", &format!("n40-{number}"))))
        .collect();
    let answers: Vec<Answer> = joining.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1, "{answers:?}");
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(refused.failing(), ["node.machine"]);
    }
}

/// Two guests on one chip are two nodes where an operator says so, and neither passes for the other.
#[test]
fn guests_that_share_a_chip_are_told_apart_by_their_launch() {
    let (a, b, c): (Launch, Launch, Launch) = (launch::<0x81>, launch::<0x82>, launch::<0x83>);
    let chip = json!({ "chip_id": hex::encode(guest(50, a).chip.chip_id()) });
    for name in ["n50", "n51"] {
        server().write(&format!("auth/attest/node/{name}"), &chip).ok();
    }
    login(&guest(50, a), "listed", "n50").ok();
    login(&guest(50, b), "listed", "n51").ok();
    for (guest, name, holder) in [(guest(50, a), "n51", "n50"), (guest(50, b), "n50", "n51")] {
        let refused = login(&guest, "listed", name);
        assert_eq!(
            (refused.failing(), found(&refused)),
            (vec!["node.machine".to_owned()], format!("launch of node {holder}"))
        );
    }
    assert_eq!(login(&guest(50, c), "first", "n52").failing(), ["node.machine"]);
    // What was replaced under one name is not taken under another.
    login(&guest(50, c), "listed", "n50").ok();
    assert_eq!(login(&guest(50, a), "listed", "n51").failing(), ["node.machine"]);
}

#[test]
fn what_cannot_be_a_node_is_not_written() {
    let refused = |name: &str, body: Value, words: &str| {
        let answer = server().write(&format!("auth/attest/node/{name}"), &body);
        assert_eq!((answer.status, answer.errors().contains(words)), (400, true), "{body}: {answer:?}");
    };
    refused("n60", json!({}), "expected chip_id, platform_instance_id, ek, ak or instance_id");
    refused("n60", json!({ "platform": "tpm2" }), "expected chip_id");
    refused("n60", json!({ "chip_id": "abcd" }), "chip_id: expected the hex of [16, 64] bytes");
    refused("n60", json!({ "ek": "abcd" }), "expected 64 hex digits");
    refused("n60", json!({ "instance_id": "a b" }), "instance_id: expected 1 to 128 printable");
    refused("n60", json!({ "instance_id": "i-1", "name": "x" }), "unknown field `name`");
    refused(".n60", json!({ "instance_id": "i-1" }), "name: expected 1 to 253");
    refused(&"n".repeat(254), json!({ "instance_id": "i-1" }), "name: expected 1 to 253");
    server().write("auth/attest/node/n61", &json!({ "ek": "17".repeat(32) })).ok();
    refused("n60", json!({ "ek": "17".repeat(32) }), "ek: node n61 has it");
    assert_eq!(server().read("auth/attest/node/n60").status, 404);
    let listed = server().list("auth/attest/node").json["data"]["keys"].clone();
    assert!(listed.as_array().unwrap().contains(&json!("n61")), "{listed}");
    server().write("auth/attest/node/n61", &json!({ "instance_id": "i-61" })).ok();
    server().write("auth/attest/node/n60", &json!({ "ek": "17".repeat(32) })).ok();
    // The register is closed without a token.
    for (method, path) in
        [("GET", "node/n61"), ("LIST", "node"), ("POST", "node/n62"), ("DELETE", "node/n61")]
    {
        let answer = server().call(method, &format!("auth/attest/{path}"), Some(&json!({})), "");
        assert_eq!(answer.status, 403, "{method} {path}");
    }
}

#[test]
fn a_login_that_names_no_node_rightly_is_not_judged() {
    let machine = guest(70, |report| report);
    let answer =
        || machine.answer(&challenge(server(), "auth/attest"), &login_context("auth/attest", "first"));
    let mut body = serde_json::to_value(answer()).unwrap();
    body["role"] = Value::from("first");
    for (name, words) in
        [(json!(7), "node: expected the name of a node"), (json!("a/b"), "name: expected 1 to 253")]
    {
        body["node"] = name;
        let refused = server().call("POST", "auth/attest/login", Some(&body), "");
        assert_eq!((refused.status, refused.errors().contains(words)), (400, true), "{refused:?}");
    }
    let role = role_of("simulated", "everybody");
    let refused = server().write("auth/attest/role/x", &role);
    assert!(refused.errors().contains("unknown variant `everybody`"), "{refused:?}");
}

/// A machine of another kind logs in in this name.
fn login_as(peer: &Peer, name: &str) -> Answer {
    let (role, challenge) = (peer.platform.name(), challenge(server(), "auth/attest"));
    let nonce: [u8; 32] = hex::decode(&challenge.nonce).unwrap().try_into().unwrap();
    let context = node_login_context("auth/attest", role, name);
    let transcript = Transcript { nonce: &nonce, context: &context, key: &peer.key.offered };
    let data = transcript.caller_data(&AwsLcRs, peer.platform).try_into().unwrap();
    let wire = |items: &[Vec<u8>]| items.iter().cloned().map(Base64).collect();
    let presentation = Presentation {
        challenge: challenge.challenge,
        platform: peer.platform,
        evidence: Base64((peer.sign)(data, nonce)),
        certificates: wire(&peer.certificates),
        revocation_lists: wire(&peer.lists),
        documents: wire(&peer.documents),
        collateral: Vec::new(),
        kem: peer.key.offered.kem.name().to_owned(),
        public_key: Base64(peer.key.offered.public.clone()),
        workload_digest: None,
        workload_token: None,
        protection: None,
        protection_digest: None,
        pod: None,
    };
    send(role, Some(name), &presentation)
}

#[test]
fn a_td_is_known_by_its_platform_and_its_starts_by_nothing() {
    let joined = login_as(&Peer::td(|quote| quote), "n80").ok();
    let bundle =
        record(server(), "auth/attest", "verdict", joined.json["data"]["decision"].as_str().unwrap());
    let anchors = TrustAnchors::insecure_simulated(&roots()).unwrap();
    assert!(bundle.replay(&AwsLcRs, &anchors).unwrap().identical);
    assert_eq!(node("n80")["ids"]["platform"], "tdx");
    assert_eq!(node("n80")["ids"]["chip_id"].as_str().unwrap().len(), 32);
    login_as(&Peer::td(|quote| quote), "n80").ok();
    assert_eq!(login_as(&Peer::td(|quote| quote), "n81").failing(), ["node.machine"]);
    assert_eq!(node("n80")["launch"], Value::Null);
}

#[test]
fn an_enclave_is_known_by_its_instance_and_its_starts_by_the_module() {
    let old = || Peer::nitro(enclave(), Platform::Nitro, false);
    let new = || Peer::nitro(enclave().started_as("0123456789abcdef"), Platform::Nitro, false);
    login_as(&old(), "n82").ok();
    assert_eq!(node("n82")["ids"]["instance_id"], enclave().instance());
    login_as(&new(), "n82").ok();
    let refused = login_as(&old(), "n82");
    assert_eq!(refused.failing(), ["node.boot"]);
    replays(&refused, &TrustAnchors::insecure_simulated(&roots()).unwrap());
    assert_eq!(login_as(&new(), "n83").failing(), ["node.machine"]);
}
