//! What stands before a secret and before a token, where several rule: one administrator does not move it.

use serde_json::{Value, json};

use crate::governance::{adopt, alice, bob, carol, document, refused, ruled, try_propose};
use crate::machine::Machine;
use crate::server::{Server, now, policy};

/// A policy that admits everything that the strict one does, and more.
fn loose() -> String {
    policy(1).replace("name = \"simulated\"", "name = \"loose\"")
}

fn guarding(server: &Server, key: &str) -> Value {
    server.read(&format!("attest-keys/keys/{key}")).ok().json["data"]["policy"].clone()
}

/// A server that several rule, with a strict and a loose policy in force.
fn server() -> Server {
    let server = ruled();
    adopt(&server, "policy", "loose", &loose());
    server
}

#[test]
fn nobody_alone_moves_a_secret_behind_another_policy_not_even_over_a_delete() {
    let server = server();
    let words = "propose the guard";
    let new = json!({ "policy": "loose", "data": { "a": "b" } });
    refused(&server.write("attest-keys/keys/db", &new), words);
    refused(&server.write("attest-keys/keys/db", &json!({ "policy": "loose", "draw": { "a": 20 } })), words);
    server.call("DELETE", "attest-keys/keys/db", None, "root").ok();
    refused(&server.write("attest-keys/keys/db", &new), words);
    refused(&server.write("attest-keys/keys/db/rotate", &json!({ "policy": "loose" })), words);
    server.write("attest-keys/keys/db", &json!({ "data": { "a": "b" } })).ok();
    assert_eq!(guarding(&server, "db"), "simulated");
    // A name that nobody used yet takes any policy in force, and keeps it.
    server.write("attest-keys/keys/kek/rotate", &json!({ "policy": "simulated" })).ok();
    refused(&server.write("attest-keys/keys/kek/rotate", &json!({ "policy": "loose" })), words);
    server.write("attest-keys/keys/kek/rotate", &json!({})).ok();
}

#[test]
fn an_approved_guard_holds_from_the_next_version_on() {
    let server = server();
    server.write("attest-keys/keys/kek/rotate", &json!({ "policy": "simulated" })).ok();
    refused(&try_propose(&server, "guard", "kek", "nowhere"), "policy \"nowhere\" is not stored");
    refused(&try_propose(&server, "guard", "kek", ""), "name");
    adopt(&server, "guard", "kek", "loose");
    assert_eq!(guarding(&server, "kek"), "simulated");
    refused(
        &server.write("attest-keys/keys/kek/rotate", &json!({ "policy": "simulated" })),
        "propose the guard",
    );
    let answer = server.write("attest-keys/keys/kek/rotate", &json!({})).ok();
    assert_eq!((guarding(&server, "kek"), &answer.json["data"]["key"]), (json!("loose"), &json!(2)));
}

#[test]
fn nobody_alone_changes_what_a_role_gives_and_to_whom() {
    let server = Server::start();
    assert_eq!(Machine::good().login(&server).status, 200);
    let three = document(2, &[&alice(), &bob(), &carol()]);
    server.write("auth/attest/config/approvers", &three).ok();
    let role = json!({ "policy": "simulated", "token_policies": ["admin"], "token_ttl_seconds": 600 });
    for name in ["node", "new"] {
        let answer = server.write(&format!("auth/attest/role/{name}"), &role);
        refused(&answer, "this mount has approvers: propose the change");
    }
    let propose = |content: &str| {
        let body = json!({
            "kind": "role", "name": "node", "content": content, "expires": now().plus(3600), "reason": "a test",
        });
        server.write("auth/attest/proposal", &body)
    };
    for (content, words) in [
        (role.to_string().replace("600", "901"), "token_ttl_seconds: expected 1 to 900, found 901"),
        (
            role.to_string().replace("admin", "root"),
            "token_policies: expected policies of machines, found \"root\"",
        ),
        (role.to_string().replace("simulated", "nowhere"), "policy \"nowhere\" is not stored"),
        ("{}".to_owned(), "missing field `policy`"),
        (role.to_string().replace("token_policies", "policies"), "unknown field `policies`"),
    ] {
        refused(&propose(&content), words);
    }
    let shown = propose(&role.to_string()).ok().json["data"].clone();
    let proposal: attest::governance::Proposal = serde_json::from_value(shown["proposal"].clone()).unwrap();
    for person in [alice(), bob()] {
        let body = json!({
            "approver": person.name, "signature": person.sign(&proposal.to_be_signed(person.name)),
        });
        let path = format!("auth/attest/proposal/{}/approve", shown["id"].as_str().unwrap());
        server.write(&path, &body).ok();
    }
    let answer = Machine::good().login(&server);
    assert_eq!(answer.json["auth"]["token_policies"], json!(["admin"]));
    // Whoever may delete takes away, and does not bring back.
    server.call("DELETE", "auth/attest/role/node", None, "root").ok();
    refused(&server.write("auth/attest/role/node", &role), "this mount has approvers");
}

#[test]
fn guards_and_roles_belong_to_one_face_and_have_no_emergencies() {
    let server = server();
    refused(&try_propose(&server, "role", "node", "{}"), "kind: only an auth mount has roles");
    for kind in ["guard", "attestation-keys"] {
        let body = json!({
            "content": "loose", "version": 1, "until": now().plus(60), "reason": "x", "ticket": "x",
            "approver": "alice", "signature": "AAAA",
        });
        let answer = server.write(&format!("attest-keys/emergency/{kind}/db"), &body);
        refused(&answer, "changes by proposal only");
    }
}
