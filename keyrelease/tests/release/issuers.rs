//! Whose workload tokens are believed, and what may be sealed, where more than one has to agree.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use attest::governance::Kind;
use protocol::release::{Base64, Bearer};
use serde_json::{Value, json};

use crate::attacks::entries;
use crate::emergency::{body, emergency, strict};
use crate::governance::{alice, approve, bob, carol, document, propose, refused, try_propose};
use crate::machine::{Machine, sealed};
use crate::server::now;
use crate::token::{token, trusting};
use crate::tokens::Signer;
use crate::workload::{CLUSTER, Cluster, found};

const ISSUER: &str = "attest-keys/config/workload-issuers/cluster";

/// A cluster that both mounts believe; two of three rule the secrets engine from now on.
fn ruled() -> Cluster {
    let cluster = Cluster::start();
    let three = document(2, &[&alice(), &bob(), &carol()]);
    cluster.server.write("attest-keys/config/approvers", &three).ok();
    cluster
}

fn entry(signer: &Signer) -> Value {
    json!({
        "issuer": CLUSTER, "audiences": ["https://bao.example"], "kind": "kubernetes",
        "jwks": { "keys": [signer.jwk("k1")] },
    })
}

/// The token of the granted pod, by another key than the cluster's.
fn by(signer: &Signer) -> Bearer {
    signer.token(&signer.header(), &Cluster::claims("app"))
}

#[test]
fn one_administrator_alone_neither_names_an_issuer_nor_drops_one() {
    let cluster = ruled();
    let (server, own) = (&cluster.server, Signer::p256());
    refused(&server.write(ISSUER, &entry(&own)), "this mount has approvers: propose the change");
    refused(
        &server.write("attest-keys/config/workload-issuers/mine", &entry(&own)),
        "this mount has approvers",
    );
    refused(&server.call("DELETE", ISSUER, None, "root"), "this mount has approvers");
    refused(&server.write("attest-keys/config/seal", &json!({ "policies": [] })), "this mount has approvers");
    // What was in force stays so; the administrator's own tokens are nobody's.
    sealed(&cluster.open(&Machine::good(), &cluster.token("app")));
    let answer = cluster.open(&Machine::good(), &by(&own));
    assert_eq!(found(&answer, "workload.token"), r#"signature does not verify with key "k1""#);
}

#[test]
fn two_of_three_rotate_an_issuers_key_and_drop_it() {
    let cluster = ruled();
    let (server, next) = (&cluster.server, Signer::p256());
    let id = propose(server, "workload-issuer", "cluster", &entry(&next).to_string());
    approve(server, &id, &alice()).ok();
    found(&cluster.open(&Machine::good(), &by(&next)), "workload.token");
    approve(server, &id, &carol()).ok();
    sealed(&cluster.open(&Machine::good(), &by(&next)));
    found(&cluster.open(&Machine::good(), &cluster.token("app")), "workload.token");
    let id = propose(server, "workload-issuer", "cluster", "");
    for person in [alice(), bob()] {
        approve(server, &id, &person).ok();
    }
    assert_eq!(server.read(ISSUER).status, 404);
    let answer = cluster.open(&Machine::good(), &by(&next));
    assert!(found(&answer, "workload.token").starts_with("iss: expected an issuer"), "{answer:?}");
}

/// The cluster's key has leaked: it must not wait for a second approver, nor for anybody to undo it.
#[test]
fn an_emergency_drops_an_issuer_at_once_and_its_end_brings_it_back() {
    let cluster = ruled();
    let server = &cluster.server;
    let declared = emergency(server, Kind::WorkloadIssuer, "cluster", "", now().plus(600));
    let path = "attest-keys/emergency/workload-issuer/cluster";
    server.write(path, &body(&declared, "", &alice())).ok();
    let answer = cluster.open(&Machine::good(), &cluster.token("app"));
    assert!(found(&answer, "workload.token").starts_with("iss: expected an issuer"), "{answer:?}");
    assert_eq!(server.read(ISSUER).status, 404);
    server.call("DELETE", path, None, "root").ok();
    sealed(&cluster.open(&Machine::good(), &cluster.token("app")));
    let shown = server.read(ISSUER).ok();
    assert_eq!(shown.json["data"]["issuer"], CLUSTER);
}

#[test]
fn what_could_not_be_written_cannot_be_proposed_either() {
    let cluster = ruled();
    let server = &cluster.server;
    let odd = |field: &str, value: Value| {
        let mut entry = entry(&Signer::p256());
        entry[field] = value;
        entry.to_string()
    };
    let secret = json!({ "keys": [{ "kty": "oct", "kid": "k", "k": "AAAA" }] });
    for (name, content, words) in [
        ("cluster", odd("skip_signature", json!(true)), "unknown field `skip_signature`"),
        ("cluster", odd("jwks", secret), "everybody who verifies could sign"),
        ("second", odd("kind", json!("oidc")), "config/workload-issuers/cluster is for it already"),
        ("", odd("kind", json!("oidc")), "name: expected 1 to 64"),
    ] {
        refused(&try_propose(server, "workload-issuer", name, &content), words);
    }
    refused(&try_propose(server, "seal", "", r#"{"policies":["nobody"]}"#), "is not stored in this mount");
    refused(&try_propose(server, "seal", "", r#"["simulated"]"#), "seal: ");
    refused(&try_propose(server, "seal", "", r#"{"policies":["../simulated"]}"#), "name: expected");
    let id = propose(server, "seal", "", r#"{"policies":["simulated"]}"#);
    for person in [bob(), carol()] {
        approve(server, &id, &person).ok();
    }
    let shown = server.read("attest-keys/config/seal").ok();
    assert_eq!(shown.json["data"]["policies"], json!(["simulated"]));
    server.write("auth/attest/config/approvers", &document(1, &[&alice()])).ok();
    let proposal = json!({
        "kind": "seal", "content": "", "expires": now().plus(60), "reason": "a test",
    });
    refused(&server.write("auth/attest/proposal", &proposal), "kind: an auth mount seals nothing");
}

/// What the token path gives is judged by one reading of the rules, and on record only if they still hold.
#[test]
fn nothing_given_by_token_stands_behind_the_emergency_that_forbids_it() {
    let (server, machine) = (trusting(), Machine::good());
    server.write("attest-keys/config/approvers", &document(2, &[&alice(), &bob()])).ok();
    let token = token(&machine.login(&server));
    let offered = &machine.key.offered;
    let ask = json!({ "kem": offered.kem.name(), "public_key": Base64(offered.public.clone()) });
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    server.call("POST", "attest-keys/release/db", Some(&ask), &token);
                }
            });
        }
        for version in 2..8 {
            std::thread::sleep(Duration::from_millis(100));
            let content = strict(version);
            let declared = emergency(&server, Kind::Policy, "simulated", &content, now().plus(600));
            let path = "attest-keys/emergency/policy/simulated";
            server.write(path, &body(&declared, &content, &alice())).ok();
            std::thread::sleep(Duration::from_millis(50));
            server.call("DELETE", path, None, "root").ok();
        }
        stop.store(true, Ordering::Relaxed);
    });
    let (mut closed, mut released) = (false, 0);
    for words in entries(&server) {
        match words.as_str() {
            words if words.starts_with("declared") => closed = true,
            words if words.starts_with("ended") => closed = false,
            words if words.starts_with("release of") => {
                assert!(!closed, "{words}");
                released += 1;
            }
            _ => {}
        }
    }
    assert!(released > 0);
}
