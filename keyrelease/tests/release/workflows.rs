//! One request: evidence in, a value of Transit, KV or PKI out, sealed. Nothing else runs if the login is refused.

use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use protocol::release::{Sealed, login_context};
use rcgen::generate_simple_self_signed;
use serde_json::{Value, json};
use simulator::snp::ReportBuilder;

use crate::machine::{Machine, challenge, sealed};
use crate::server::{Answer, SECRET, Server, bao, free_port, now};

/// A server with Transit, KV, an audit log, and the shipped workflows, which anybody may run.
fn with_workflows(lines: &str) -> Server {
    let server = Server::start_with(&format!("allow_unauthenticated_workflows = true\n{lines}"));
    let mounts = server.read("sys/auth").ok();
    let accessor = mounts.json["data"]["attest/"]["accessor"].clone();
    server.write("attest-keys/config/auth", &json!({ "accessor": accessor })).ok();
    server.write("attest-keys/config/seal", &json!({ "policies": ["simulated"] })).ok();
    let acl = ["attest-keys/seal", "transit/decrypt/db", "pki/issue/machine"]
        .map(|path| format!("path \"{path}\" {{ capabilities = [\"update\"] }}"))
        .join("\n");
    let acl = format!("{acl}\npath \"secret/data/db\" {{ capabilities = [\"read\"] }}");
    server.write("sys/policies/acl/machine", &json!({ "policy": acl })).ok();
    server.write("sys/mounts/transit", &json!({ "type": "transit" })).ok();
    server.write("transit/keys/db", &json!({})).ok();
    server.write("secret/data/db", &json!({ "data": { "password": SECRET } })).ok();
    for (name, text) in [
        ("attest-decrypt", include_str!("../../workflows/attest-decrypt.hcl")),
        ("attest-read", include_str!("../../workflows/attest-read.hcl")),
        ("attest-certificate", include_str!("../../workflows/attest-certificate.hcl")),
    ] {
        let body = json!({ "workflow": text, "allow_unauthenticated": true });
        server.write(&format!("sys/workflows/manage/{name}"), &body).ok();
    }
    server
}

/// The body of a login as `node`.
fn login(server: &Server, machine: &Machine) -> Value {
    let challenge = challenge(server, "auth/attest");
    let presentation = machine.answer(&challenge, &login_context("auth/attest", "node"));
    let mut body = serde_json::to_value(presentation).unwrap();
    body["role"] = json!("node");
    body["refusal"] = json!("text");
    body
}

/// A login as the headers of another request.
pub(crate) fn inline(login: &Value) -> impl Iterator<Item = (String, String)> {
    let path = ("X-Vault-Inline-Auth-Path".to_owned(), "auth/attest/login".to_owned());
    let parameters = login.as_object().unwrap().iter().enumerate().map(|(at, (key, value))| {
        let parameter = json!({ "key": key, "value": value }).to_string();
        (format!("X-Vault-Inline-Auth-Parameter-{at}"), URL_SAFE_NO_PAD.encode(parameter))
    });
    parameters.chain([path])
}

/// Runs a workflow, without any token.
fn run(server: &Server, name: &str, machine: &Machine, mut input: Value) -> Answer {
    input["login"] = login(server, machine);
    server.call("POST", &format!("sys/workflows/unauthed-execute/{name}"), Some(&input), "")
}

fn ciphertext(server: &Server) -> Value {
    let body = json!({ "plaintext": STANDARD.encode(SECRET) });
    server.write("transit/encrypt/db", &body).ok().json["data"]["ciphertext"].clone()
}

/// How many requests for a path the audit log has.
fn asked(server: &Server, path: &str) -> usize {
    let audit = server.audit();
    let entries = audit.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries.filter(|entry| entry["type"] == "request" && entry["request"]["path"] == path).count()
}

fn nothing_in_clear(server: &Server, answer: &Answer) {
    for place in [server.audit(), server.log(), answer.json.to_string()] {
        assert!(!place.contains(SECRET) && !place.contains(&STANDARD.encode(SECRET)));
    }
}

#[test]
fn a_ciphertext_of_transit_comes_out_sealed_and_nowhere_in_clear() {
    let server = with_workflows("");
    let machine = Machine::good();
    let input = json!({ "key": "db", "ciphertext": ciphertext(&server) });
    let answer = run(&server, "attest-decrypt", &machine, input);
    let sealed: Sealed = sealed(&answer);
    assert_eq!(machine.key.field(&sealed, "plaintext").as_deref(), Some(SECRET));
    assert_eq!(asked(&server, "transit/decrypt/db"), 1);
    nothing_in_clear(&server, &answer);
    assert!(!answer.json.to_string().contains("client_token\":\"b."), "the token stays inside");
}

#[test]
fn a_secret_of_kv_comes_out_sealed_and_nowhere_in_clear() {
    let server = with_workflows("");
    let machine = Machine::good();
    let answer = run(&server, "attest-read", &machine, json!({ "secret": "db" }));
    let sealed: Sealed = sealed(&answer);
    assert_eq!(machine.key.field(&sealed, "password").as_deref(), Some(SECRET));
    nothing_in_clear(&server, &answer);
}

#[test]
fn a_machine_that_is_refused_has_nothing_decrypted_read_or_issued() {
    let server = with_workflows("");
    let machine = Machine::spoiled(ReportBuilder::debug);
    let ciphertext = ciphertext(&server);
    for (name, input) in [
        ("attest-decrypt", json!({ "key": "db", "ciphertext": ciphertext })),
        ("attest-read", json!({ "secret": "db" })),
        ("attest-certificate", json!({ "common_name": "node-1" })),
    ] {
        let answer = run(&server, name, &machine, input.clone());
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(answer.errors().contains("snp.policy.debug: expected clear, found set"), "{answer:?}");
        // Also where it is refused with a body of its own, which a workflow takes for an answer.
        let mut input = input;
        input["login"] = login(&server, &machine);
        input["login"]["refusal"] = json!("json");
        let answer = server.call("POST", &format!("sys/workflows/unauthed-execute/{name}"), Some(&input), "");
        assert!(answer.status >= 400, "{answer:?}");
    }
    assert_eq!(asked(&server, "auth/attest/login"), 6);
    for path in ["transit/decrypt/db", "secret/data/db", "pki/issue/machine", "attest-keys/seal"] {
        let before = usize::from(path == "secret/data/db");
        assert_eq!(asked(&server, path), before, "{path}");
    }
}

#[test]
fn a_workflow_reaches_only_what_the_role_of_the_login_may() {
    let server = with_workflows("");
    server.write("transit/keys/other", &json!({})).ok();
    let body = json!({ "plaintext": STANDARD.encode(SECRET) });
    let other = server.write("transit/encrypt/other", &body).ok().json["data"]["ciphertext"].clone();
    let machine = Machine::good();
    for key in ["other", "../decrypt/other", "db/../other"] {
        let answer = run(&server, "attest-decrypt", &machine, json!({ "key": key, "ciphertext": other }));
        assert!(answer.status >= 400, "{answer:?}");
    }
    server.write("secret/data/other", &json!({ "data": { "a": SECRET } })).ok();
    let answer = run(&server, "attest-read", &machine, json!({ "secret": "other" }));
    assert_eq!(answer.status, 403, "{answer:?}");
    assert_eq!(asked(&server, "attest-keys/seal"), 0);
}

/// Evidence as headers of the very request that reads: nothing is stored, nothing is kept.
#[test]
fn evidence_beside_the_request_reads_a_secret_and_leaves_no_token() {
    let server = with_workflows("");
    let inline = |machine: &Machine| {
        let headers: Vec<_> = inline(&login(&server, machine)).collect();
        server.try_call_with("GET", "secret/data/db", None, &headers).unwrap()
    };
    let answer = inline(&Machine::good());
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json["data"]["data"]["password"], SECRET);
    assert!(answer.json["auth"].is_null(), "{answer:?}");
    let read = server.audit();
    let read = read.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let read = read.filter(|entry| {
        entry["request"]["operation"] == "read" && entry["request"]["path"] == "secret/data/db"
    });
    let measurements: Vec<Value> =
        read.map(|entry| entry["auth"]["metadata"]["measurement"].clone()).collect();
    assert!(measurements.iter().all(|found| *found == "5a".repeat(48)), "{measurements:?}");
    assert!(!measurements.is_empty());
    let refused = inline(&Machine::spoiled(ReportBuilder::debug));
    assert!(refused.status >= 400, "{refused:?}");
    assert!(refused.json["data"].get("data").is_none(), "{refused:?}");
    assert!(!refused.json.to_string().contains(SECRET));
}

/// For `bao agent` and whoever knows certificates: login, certificate, `auth/cert`.
#[test]
fn a_certificate_for_an_admitted_machine_logs_in_and_ends_with_the_verdict() {
    let port = free_port();
    let dir = tempfile::tempdir().unwrap();
    let own = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (pem, pem_key) = (dir.path().join("tls.pem"), dir.path().join("tls.key"));
    std::fs::write(&pem, own.cert.pem()).unwrap();
    std::fs::write(&pem_key, own.signing_key.serialize_pem()).unwrap();
    let files = format!("  tls_cert_file = {pem:?}\n  tls_key_file = {pem_key:?}\n");
    let server =
        with_workflows(&format!("listener \"tcp\" {{\n  address = \"127.0.0.1:{port}\"\n{files}}}\n"));
    server.write("sys/mounts/pki", &json!({ "type": "pki" })).ok();
    let root = json!({ "common_name": "machines", "ttl": "24h" });
    let authority =
        server.write("pki/root/generate/internal", &root).ok().json["data"]["certificate"].clone();
    let role =
        json!({ "allow_any_name": true, "enforce_hostnames": false, "max_ttl": "1h", "client_flag": true });
    server.write("pki/roles/machine", &role).ok();
    server.write("sys/auth/cert", &json!({ "type": "cert" })).ok();
    let trusted = json!({ "certificate": authority, "token_policies": ["machine"], "token_type": "batch" });
    server.write("auth/cert/certs/machine", &trusted).ok();

    let machine = Machine::good();
    let began = now();
    let answer = run(&server, "attest-certificate", &machine, json!({ "common_name": "node-1" }));
    let sealed: Sealed = sealed(&answer);
    let field = |name: &str| machine.key.field(&sealed, name).unwrap();
    let expiration: u64 = field("expiration").parse().unwrap();
    assert!(expiration <= now().0 + 300, "the verdict holds for 300 seconds: {expiration} after {began}");
    let (certificate, key) = (server.dir().join("node.pem"), server.dir().join("node.key"));
    std::fs::write(&certificate, field("certificate")).unwrap();
    std::fs::write(&key, field("private_key")).unwrap();
    let said = Command::new(bao())
        .args(["login", "-method=cert", "-no-store", "-format=json", "-tls-skip-verify"])
        .arg(format!("-address=https://127.0.0.1:{port}"))
        .arg(format!("-client-cert={}", certificate.display()))
        .arg(format!("-client-key={}", key.display()))
        .env("HOME", server.dir())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success(), "{words}");
    let token: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(token["auth"]["token_policies"], json!(["default", "machine"]), "{token}");
    let private = field("private_key");
    assert!(!server.audit().contains(private.lines().nth(1).unwrap()), "the key is nowhere in clear");
}
