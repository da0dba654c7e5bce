//! Attacks on a real OpenBao, each named after what the attacker would gain.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use attest::governance::{Act, Kind};
use protocol::release::{Base64, login_context};
use serde_json::{Value, json};

use crate::emergency::{body, emergency, strict};
use crate::governance::{alice, approve, bob, deeds, document, proposal, propose, refused, ruled, send};
use crate::governance::{carol, try_propose};
use crate::machine::{Machine, challenge};
use crate::server::{Server, now, policy};
use crate::token::{release, token, trusting};

/// Sends a request and goes away.
fn send_and_leave(server: &Server, path: &str, body: &Value, after: Duration) {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let body = body.to_string();
    let length = body.len();
    write!(
        stream,
        "POST /v1/{path} HTTP/1.1\r\nHost: x\r\nX-Vault-Token: root\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    std::thread::sleep(after);
}

/// The version that is stored, and the version that judges.
fn versions(server: &Server) -> (u64, u64) {
    let version = |path: &str| server.read(path).ok().json["data"]["version"].as_u64().unwrap();
    (version("attest-keys/in-force/policy/simulated"), version("attest-keys/policy/simulated"))
}

/// The last approver hangs up in the middle: the log would say that the policy was applied, and the old one go on judging.
#[test]
fn who_sends_the_last_approval_and_hangs_up_does_not_keep_the_old_policy_in_force() {
    let server = ruled();
    for version in 2..22 {
        let id = propose(&server, "policy", "simulated", &policy(version));
        approve(&server, &id, &alice()).ok();
        let text = proposal(&server, &id).to_be_signed("bob");
        let approval = json!({ "approver": "bob", "signature": bob().sign(&text) });
        let path = format!("attest-keys/proposal/{id}/approve");
        send_and_leave(&server, &path, &approval, Duration::from_micros(400 * version));
        std::thread::sleep(Duration::from_millis(150));
        let (stored, judging) = versions(&server);
        assert_eq!(stored, judging, "version {version}");
        if stored != version {
            send(&server, &id, &bob(), &text).ok();
        }
    }
}

#[test]
fn who_writes_a_policy_and_hangs_up_does_not_keep_the_old_one_in_force() {
    let server = Server::start();
    for version in 2..22 {
        let body = json!({ "policy": policy(version) });
        let after = Duration::from_micros(300 * version);
        send_and_leave(&server, "attest-keys/policy/simulated", &body, after);
        std::thread::sleep(Duration::from_millis(150));
        let (stored, judging) = versions(&server);
        assert_eq!(stored, judging, "version {version}");
    }
}

/// Requests that are being judged when an emergency forbids them: none is on record behind it.
#[test]
fn no_release_stands_behind_the_emergency_that_forbids_it() {
    let server = ruled();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    Machine::good().open(&server);
                }
            });
        }
        for version in 2..8 {
            std::thread::sleep(Duration::from_millis(100));
            let denial = emergency(&server, Kind::Policy, "simulated", &strict(version), now().plus(600));
            server
                .write("attest-keys/emergency/policy/simulated", &body(&denial, &strict(version), &alice()))
                .ok();
            std::thread::sleep(Duration::from_millis(50));
            server.call("DELETE", "attest-keys/emergency/policy/simulated", None, "root").ok();
        }
        stop.store(true, Ordering::Relaxed);
    });
    let entries = entries(&server);
    let mut closed = false;
    let mut released = 0;
    for request in entries {
        match request.as_str() {
            words if words.starts_with("declared") => closed = true,
            words if words.starts_with("ended") => closed = false,
            "admission" if closed => panic!("a release stands behind the emergency"),
            "admission" => released += 1,
            _ => {}
        }
    }
    assert!(released > 0);
}

/// What each entry of the log says, in its order: the words of the rule, and `admission`.
pub(crate) fn entries(server: &Server) -> Vec<String> {
    let size = server.text("attest-keys/log/checkpoint").1.lines().nth(1).unwrap().parse::<u64>().unwrap();
    let tiles = (0..size.div_ceil(256))
        .map(|place| attest::log::Tile::in_tree(attest::log::Level::Entries, place, size).unwrap());
    let mut words = Vec::new();
    for tile in tiles {
        let bytes = server.bytes(&format!("attest-keys/log/{}", tile.path()));
        for entry in attest::log::entries(&bytes).unwrap() {
            let event = attest::log::Entry::decode(entry).unwrap().event;
            let is_admission = event.kind == attest::log::Kind::Admission;
            words.push(if is_admission { "admission".to_owned() } else { event.request.to_string() });
        }
    }
    words
}

/// Alice approved, saw her mistake, and had the proposal taken back. Her signature is known to whoever read it.
#[test]
fn an_approval_of_a_proposal_that_was_withdrawn_is_not_used_again() {
    let server = Server::start();
    server.write("attest-keys/config/approvers", &document(2, &[&alice(), &bob(), &carol()])).ok();
    let id = propose(&server, "policy", "simulated", &policy(2));
    let known = proposal(&server, &id);
    approve(&server, &id, &alice()).ok();
    server.call("DELETE", &format!("attest-keys/proposal/{id}"), None, "root").ok();
    let again = json!({
        "kind": "policy", "name": "simulated", "content": policy(2),
        "expires": known.expires, "reason": known.reason,
    });
    refused(&server.write("attest-keys/proposal", &again), "this very proposal was withdrawn");
    assert_eq!(send(&server, &id, &alice(), &known.to_be_signed("alice")).status, 404);
    let other = json!({
        "kind": "policy", "name": "simulated", "content": policy(2),
        "expires": known.expires, "reason": "and another reason",
    });
    let other = server.write("attest-keys/proposal", &other).ok();
    assert_ne!(other.json["data"]["id"], json!(id));
}

/// One approver uses the emergency path to use all versions up: what was approved could never be replaced.
#[test]
fn one_approver_does_not_use_up_the_versions_of_a_policy() {
    let server = ruled();
    let last = i64::MAX.unsigned_abs();
    let mut greedy = emergency(&server, Kind::Policy, "simulated", &strict(last), now().plus(60));
    greedy.change.version = last;
    let answer =
        server.write("attest-keys/emergency/policy/simulated", &body(&greedy, &strict(last), &alice()));
    refused(&answer, "policy version: expected at most 100000000000001, found 9223372036854775807");
    refused(&try_propose(&server, "policy", "simulated", &policy(last)), "policy version: expected at most");
    let dated = propose(&server, "policy", "simulated", &policy(20_261_122_120_000));
    approve(&server, &dated, &alice()).ok();
    approve(&server, &dated, &bob()).ok();
    assert_eq!(versions(&server), (20_261_122_120_000, 20_261_122_120_000));
}

/// One proposer makes a record that no auditor could open.
#[test]
fn what_nobody_could_open_afterwards_is_not_put_on_record() {
    let server = ruled();
    refused(&try_propose(&server, "roots", "", &"\n".repeat(600 * 1024)), "deed is longer than 524288 bytes");
    let acts: Vec<Act> = deeds(&server).iter().map(|deed| deed.act).collect();
    assert_eq!(acts, [Act::Founded]);
}

/// Who may rotate a key hands all of its versions to the machines of a weaker policy.
#[test]
fn a_rotation_does_not_move_older_keys_under_another_policy() {
    let server = Server::start();
    let lax = policy(1).replace("name = \"simulated\"", "name = \"lax\"");
    server.write("attest-keys/policy/lax", &json!({ "policy": lax })).ok();
    server.write("attest-keys/keys/unseal/rotate", &json!({ "policy": "simulated" })).ok();
    let moved = server.write("attest-keys/keys/unseal/rotate", &json!({ "policy": "lax" }));
    refused(&moved, "policy: \"simulated\" guards this key and its older versions, found \"lax\"");
    let kept = server.read("attest-keys/keys/unseal").ok();
    assert_eq!(
        (&kept.json["data"]["policy"], &kept.json["data"]["version"]),
        (&json!("simulated"), &json!(1))
    );
    server.write("attest-keys/keys/unseal/rotate", &json!({ "policy": "simulated" })).ok();
}

/// A guest that was revoked lives on another guest's evidence: both have the alias of their chip.
#[test]
fn a_revoked_guest_is_not_prolonged_by_the_evidence_of_its_neighbour() {
    let server = trusting();
    let terms = json!({ "seconds": 600, "reattest_interval": 600 });
    let key = json!({ "policy": "simulated", "data": { "password": "x" }, "lease": terms });
    server.write("attest-keys/keys/db", &key).ok();
    let role = json!({
        "policy": "simulated", "token_policies": ["machine", "renewing"], "token_ttl_seconds": 600,
        "token_type": "service",
    });
    let acl = r#"path "auth/token/renew-self" { capabilities = ["update"] }"#;
    server.write("sys/policies/acl/renewing", &json!({ "policy": acl })).ok();
    server.write("auth/attest/role/node", &role).ok();
    let revoked = Machine::spoiled(|report| report.report_id([0x1d; 32]));
    let token = token(&revoked.login(&server));
    let lease = release(&server, &token, &revoked.key).ok().json["lease_id"].clone();
    let renew_token = || server.call("POST", "auth/token/renew-self", Some(&json!({})), &token).status;
    let renew_lease = || server.write("sys/leases/renew", &json!({ "lease_id": lease }));
    assert_eq!((renew_token(), renew_lease().status), (200, 200));
    for mount in ["attest-keys", "auth/attest"] {
        let whom = json!({ "selector": "platform=sev-snp" });
        let seen = server.write(&format!("{mount}/recall"), &whom).ok();
        let guest = seen.json["data"]["recipients"][0]["instance"].as_str().unwrap().to_owned();
        let body = json!({ "selector": format!("instance={guest}"), "reason": "ticket 9" });
        server.write(&format!("{mount}/revoke"), &body).ok();
    }
    Machine::spoiled(|report| report.report_id([0x2d; 32])).login(&server).ok();
    assert_eq!(renew_token(), 403);
    let lease = renew_lease();
    assert!(lease.errors().contains("is another guest's"), "{lease:?}");
}

/// A guest behind a VLEK, which hides its chip, logs in again and again: each login would be an entity for ever.
#[test]
fn a_machine_that_hides_its_chip_is_one_entity_however_often_it_logs_in() {
    let server = Server::start();
    let provider =
        "signing_key = { any_of = [\"vlek\"] }\nprovider = { any_of = [\"CN=cc-simulated.example.com\"] }";
    let vlek = policy(2).replace("signing_key = { any_of = [\"vcek\"] }", provider);
    server.write("auth/attest/policy/simulated", &json!({ "policy": vlek })).ok();
    let machine = Machine::good();
    let entity = |guest: u8| {
        let challenge = challenge(&server, "auth/attest");
        let mut presentation = machine.answer(&challenge, &login_context("auth/attest", "node"));
        let data = presentation.evidence.0[0x50..0x90].try_into().unwrap();
        let report = machine.chip.report().report_id([guest; 32]).report_data(data);
        presentation.evidence = Base64(report.sign_with_vlek());
        let chain = machine.chip.chain();
        presentation.certificates = vec![Base64(chain.vlek), Base64(chain.asvk)];
        let mut body = serde_json::to_value(presentation).unwrap();
        body["role"] = Value::from("node");
        let answer = server.call("POST", "auth/attest/login", Some(&body), "").ok();
        answer.json["auth"]["entity_id"].as_str().unwrap().to_owned()
    };
    assert_eq!(entity(1), entity(1));
    assert_ne!(entity(1), entity(2));
}

/// Whoever imports a newer list hangs up: it would be on record, and the older one go on being believed.
#[test]
fn who_imports_a_list_and_hangs_up_does_not_keep_the_older_one_in_use() {
    let server = Server::start();
    let index = || server.read("attest-keys/collateral/index/crl").ok().json["data"].clone();
    for minute in 1..13 {
        let list = crate::server::chip_at(now().0 + 60 * minute - 86_400).crl().der();
        let body = json!({ "objects": [Base64(list)] });
        send_and_leave(&server, "attest-keys/collateral/import", &body, Duration::from_micros(700 * minute));
        std::thread::sleep(Duration::from_millis(200));
        let remembered = index();
        server.write("sys/plugins/reload/backend", &json!({ "mounts": ["attest-keys/"] })).ok();
        assert_eq!(remembered, index(), "list {minute}");
    }
}
