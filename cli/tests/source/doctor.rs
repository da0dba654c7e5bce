//! What the doctor says of real servers.

use std::fs;
use std::path::Path;

use serde_json::json;
use simulator::snp::{Chip, Product};
use tempfile::TempDir;

use crate::server::{Server, certificates, plugin, sha256, since_1970};
use crate::told::doctor;

#[test]
fn a_development_server_fails_by_name() {
    let server = Server::dev();
    let told = doctor(&[("BAO_ADDR", &server.address), ("BAO_TOKEN", "root")], &["-o", "json"]).ends(1);
    assert_eq!(
        told.ids("fail"),
        [
            "source.audit.enabled",
            "source.root.revoked",
            "source.seal.shares",
            "source.storage.kind",
            "source.tls.certificate",
            "source.tls.listener",
            "source.tls.version",
        ]
    );
    let failed = told.with("fail");
    assert_eq!(failed["source.audit.enabled"], "none");
    assert_eq!(failed["source.seal.shares"], "1 of 1 shares");
    assert_eq!(failed["source.storage.kind"], "inmem (a dev server: gone at its end)");
    assert_eq!(failed["source.tls.listener"], "this address is plain HTTP");
    assert_eq!(told.json()["verdict"], "refused");
    // There is no raft to look at, and no plugin.
    assert!(told.ids("unknown").contains(&"source.storage.voters".to_owned()), "{}", told.out);
    assert!(told.ids("pass").contains(&"source.server.version".to_owned()), "{}", told.out);
}

#[test]
fn a_root_token_is_found_and_its_accessor_is_not_told_whole() {
    let server = Server::dev();
    let accessor = server.call("GET", "auth/token/lookup-self", None, "root").ok().json["data"]["accessor"]
        .as_str()
        .unwrap()
        .to_owned();
    let told = doctor(&[("BAO_ADDR", &server.address), ("BAO_TOKEN", "root")], &["-o", "json"]).ends(1);
    assert_eq!(told.with("fail")["source.root.revoked"], format!("accessors {}…", &accessor[..6]));
    assert!(!told.out.contains(&accessor), "{}", told.out);
}

#[test]
fn a_text_for_people_names_the_remedy_and_keeps_the_properties_apart() {
    let server = Server::dev();
    let told = doctor(&[("VAULT_ADDR", &server.address), ("VAULT_TOKEN", "root")], &[]).ends(1);
    for line in [
        "data at rest",
        "data in transit",
        "data in use",
        "rule over the source",
        "  FAIL     source.audit.enabled         none",
        "           expected  an audit device that keeps what it is given",
        "           remedy    bao token revoke -accessor ACCESSOR, which bao list auth/token/accessors shows whole; when one is needed, allow bao operator generate-root for that hour: disable_unauthed_generate_root_endpoints = false",
        "  not looked at: a server cannot tell who runs the machines and the cluster around it",
    ] {
        assert!(told.out.lines().any(|found| found == line), "{line}\n{}", told.out);
    }
}

#[test]
fn a_token_without_rights_leaves_checks_unknown_and_none_passed_by_it() {
    let server = Server::dev();
    server.write("sys/policies/acl/nothing", &json!({ "policy": "# nothing" })).ok();
    let token = server.token(&["nothing"]);
    let told = doctor(&[("BAO_ADDR", &server.address), ("BAO_TOKEN", &token)], &["-o", "json"]).ends(1);
    let unknown = told.with("unknown");
    assert_eq!(unknown["source.audit.enabled"], "not seen: this token may not read sys/audit");
    assert_eq!(unknown["source.root.revoked"], "not seen: this token may not read auth/token/accessors");
    assert_eq!(unknown["source.policies.sudo"], "not seen: this token may not read sys/policies/acl");
    // What anybody may see is all that passes.
    assert_eq!(
        told.ids("pass"),
        ["source.seal.kind", "source.server.clock", "source.server.unsealed", "source.server.version"]
    );
}

#[test]
fn a_token_that_the_server_does_not_know_is_said_once() {
    let server = Server::dev();
    let told = doctor(&[("BAO_ADDR", &server.address), ("BAO_TOKEN", "bad")], &[]).ends(2);
    let expected = format!("not judged: {}: this token is not valid (source.token)\n", server.address);
    assert_eq!((told.out.as_str(), told.err), ("", expected));
    // One that may nothing, not even look itself up, is a token.
    let body = json!({ "policies": ["nothing"], "no_default_policy": true });
    let made = server.write("auth/token/create", &body).ok();
    let token = made.json["auth"]["client_token"].as_str().unwrap().to_owned();
    doctor(&[("BAO_ADDR", &server.address), ("BAO_TOKEN", &token)], &[]).ends(1);
}

#[test]
fn without_a_token_the_rest_is_unknown() {
    let server = Server::dev();
    let told = doctor(&[("BAO_ADDR", &server.address)], &["-o", "json"]).ends(1);
    let unknown = told.with("unknown");
    assert_eq!(
        unknown["source.audit.enabled"],
        "not seen: sys/audit needs a token, and BAO_TOKEN is not set"
    );
}

#[test]
fn a_well_kept_server_passes_for_a_token_that_may_only_look() {
    let server = well_kept(&["--kind=secrets"], "tls13", 90);
    let token = server.token(&["doctor"]);
    server.write("auth/token/revoke-self", &json!({})).ok();
    let plugins = server.dir.path().join("plugins").display().to_string();
    let told =
        doctor(&server.environment(&token, &server.ca()), &["-o", "json", "--plugin-directory", &plugins]);
    // One node is one node; and a server that was unsealed by hand proves nothing of its machine.
    let failed = told.with("fail");
    assert_eq!(failed.len(), 1, "{}", told.out);
    assert_eq!(failed["source.storage.voters"], "1 of 1 nodes vote");
    assert_eq!(told.code, 1);
    assert_eq!(told.ids("warn"), ["source.storage.autopilot"], "{}", told.out);
    assert_eq!(told.ids("unknown"), ["source.machine.attested"], "{}", told.out);
    let passed = told.with("pass");
    assert_eq!(passed["source.audit.enabled"], "disk (file), stdout (file)");
    assert_eq!(passed["source.plugins.mounted"], "attest-keys, auth/attest");
    assert_eq!(passed["source.plugins.digest"], "the same in all three");
    assert_eq!(passed["source.tls.version"], "TLSv1_3 spoken, TLS 1.1 refused");
    assert_eq!(passed["source.seal.shares"], "2 of 3 shares");
    assert_eq!(passed["source.quotas.open"], "open: 100 in 1 s");
    assert_eq!(passed["source.policies.rulers"], "author writes attest-keys/policy");
}

#[test]
fn what_is_wrong_in_a_server_that_runs_well_is_named() {
    let server = well_kept(&["--kind=secrets", "--insecure-trust-root={dir}/simulated.der"], "tls10", 90);
    for name in ["sys/quotas/rate-limit/open", "sys/quotas/rate-limit/login"] {
        server.call("DELETE", name, None, &server.root).ok();
    }
    // OpenBao takes this path, and it matches nothing.
    let literal = json!({ "path": "attest-keys/release/+/open", "rate": 10 });
    server.write("sys/quotas/rate-limit/plus", &literal).ok();
    let broad = r#"path "sys/*" { capabilities = ["update", "sudo"] } path "auth/*" { policy = "write" }
        path "attest-keys/*" { capabilities = ["create", "update"] }"#;
    server.write("sys/policies/acl/broad", &json!({ "policy": broad })).ok();
    let tune = json!({ "audit_non_hmac_request_keys": ["data"] });
    server.write("sys/mounts/attest-keys/tune", &tune).ok();
    let told = doctor(&server.environment(&server.root, &server.ca()), &["-o", "json"]).ends(1);
    let failed = told.with("fail");
    assert_eq!(failed["source.tls.version"], "TLS 1.1 was accepted");
    assert_eq!(failed["source.plugins.roots"], "secret attest-secrets v0.1.0");
    assert_eq!(failed["source.quotas.login"], "no limit on auth/attest/login, auth/attest/challenge");
    assert_eq!(
        failed["source.quotas.open"],
        "no limit on attest-keys/challenge, attest-keys/release/ANY-KEY/open"
    );
    assert_eq!(failed["source.policies.sudo"], "broad: sys/*");
    assert_eq!(failed["source.policies.system"], "broad: sys/*");
    assert_eq!(failed["source.policies.auth"], "broad: auth/*");
    assert_eq!(failed["source.policies.keys"], "broad: attest-keys/*");
    assert_eq!(failed["source.audit.decisions"], "attest-keys: data of requests in clear");
    let warned = told.with("warn");
    assert_eq!(warned["source.policies.rulers"], "broad: attest-keys/policy and attest-keys/config");
    assert_eq!(warned["source.policies.escalation"], "broad: sys/*");
    assert_eq!(told.with("unknown")["source.plugins.digest"].split(';').count(), 2);
}

#[test]
fn another_file_than_the_one_that_was_registered_is_found() {
    let server = well_kept(&["--kind=secrets"], "tls12", 90);
    let plugins = server.dir.path().join("plugins");
    // The server runs the file that it checked; what lies there now is another.
    fs::rename(plugins.join("openbao-plugin-attest"), server.dir.path().join("away")).unwrap();
    fs::write(plugins.join("openbao-plugin-attest"), b"#!/bin/sh\n").unwrap();
    let words = ["-o", "json", "--plugin-directory", &plugins.display().to_string()];
    let told = doctor(&server.environment(&server.root, &server.ca()), &words).ends(1);
    let registered = sha256(plugin());
    let found = sha256(&plugins.join("openbao-plugin-attest"));
    assert_eq!(
        told.with("fail")["source.plugins.digest"],
        format!("openbao-plugin-attest is {}, catalogued as {}", &found[..12], &registered[..12])
    );
}

#[test]
fn a_certificate_that_ends_soon_fails_while_the_server_is_still_asked() {
    let server = well_kept(&["--kind=secrets"], "tls12", 9);
    let told = doctor(&server.environment(&server.root, &server.ca()), &["-o", "json"]).ends(1);
    assert!(told.with("fail")["source.tls.certificate"].ends_with(", 8 days"), "{}", told.out);
    assert!(told.ids("pass").contains(&"source.audit.enabled".to_owned()));
}

#[test]
fn a_server_that_nobody_vouches_for_is_not_asked_and_gets_no_token() {
    let server = well_kept(&["--kind=secrets"], "tls12", 90);
    let other = TempDir::new().unwrap();
    certificates(other.path(), 90);
    let ca = other.path().join("ca.pem").display().to_string();
    let told = doctor(&server.environment("s.canary-token", &ca), &["-o", "json"]).ends(1);
    assert_eq!(told.ids("fail"), ["source.tls.certificate"]);
    let failed = told.with("fail");
    assert_eq!(failed["source.tls.certificate"], "invalid peer certificate: UnknownIssuer");
    assert_eq!(
        told.with("unknown")["source.server.version"],
        "not seen: nothing was asked of a server whose certificate is not verified"
    );
    // Unless that is what was asked for; then it is said.
    let skip =
        [("BAO_ADDR", server.address.as_str()), ("BAO_SKIP_VERIFY", "true"), ("BAO_TOKEN", &server.root)];
    let told = doctor(&skip, &["-o", "json"]).ends(1);
    assert!(told.ids("fail").contains(&"source.tls.certificate".to_owned()));
    assert!(told.ids("pass").contains(&"source.audit.enabled".to_owned()), "{}", told.out);
}

#[test]
fn asked_in_a_namespace_it_does_not_answer_for_the_root_namespace() {
    let server = Server::dev();
    server.write("sys/namespaces/team", &json!({})).ok();
    let told = doctor(
        &[("BAO_ADDR", &server.address), ("BAO_TOKEN", "root")],
        &["-o", "json", "--namespace", "team"],
    );
    assert_eq!(told.json()["namespace"], "team");
    assert_eq!(
        told.with("unknown")["source.root.revoked"],
        "root tokens live in the root namespace, and team was asked"
    );
    assert!(!told.ids("pass").contains(&"source.audit.second".to_owned()), "{}", told.out);
}

#[test]
fn a_sealed_server_is_told_to_be_sealed() {
    let server = well_kept(&["--kind=secrets"], "tls12", 90);
    server.call("PUT", "sys/seal", None, &server.root).ok();
    let told = doctor(&server.environment(&server.root, &server.ca()), &["-o", "json"]).ends(1);
    assert_eq!(told.ids("fail"), ["source.server.unsealed"]);
    let unknown = &told.with("unknown")["source.audit.enabled"];
    assert!(unknown.starts_with("not seen: sys/audit answered 503: "), "{unknown}");
}

/// One node on raft, with TLS, two audit devices, the pinned plugin, rate limits and a policy for the doctor.
pub(crate) fn well_kept(arguments: &[&str], least: &str, days: u32) -> Server {
    let dir = TempDir::new().unwrap();
    certificates(dir.path(), days);
    fs::create_dir(dir.path().join("raft")).unwrap();
    fs::create_dir(dir.path().join("plugins")).unwrap();
    let installed = dir.path().join("plugins/openbao-plugin-attest");
    fs::copy(plugin(), &installed).unwrap();
    let simulated = Chip::new(7, Product::Genoa).at(since_1970().as_secs());
    fs::write(dir.path().join("simulated.der"), simulated.ark().der()).unwrap();
    let configuration = CONFIGURATION
        .replace("LEAST", least)
        .replace("DIGEST", &sha256(&installed))
        .replace("ARGUMENTS", &serde_json::to_string(arguments).unwrap());
    let mut server = Server::configured(dir, &configuration);
    drop(server.initialise());
    server.mount_attest();
    let author = r#"path "attest-keys/policy/prod" { capabilities = ["create", "update"] }"#;
    server.write("sys/policies/acl/author", &json!({ "policy": author })).ok();
    server.write("sys/policies/acl/doctor", &json!({ "policy": policy() })).ok();
    server
}

/// The policy that the documentation gives to whoever runs the doctor.
pub(crate) fn policy() -> String {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/doctor.md");
    let document = fs::read_to_string(document).unwrap();
    let (_, after) = document.split_once("```hcl\n").unwrap();
    after.split_once("```").unwrap().0.to_owned()
}

const CONFIGURATION: &str = r#"
storage "raft" {
  path                   = "{dir}/raft"
  node_id                = "one"
  performance_multiplier = 1
}
listener "tcp" {
  address         = "127.0.0.1:{port}"
  tls_cert_file   = "{dir}/server.pem"
  tls_key_file    = "{dir}/server.key"
  tls_min_version = "LEAST"
}
audit "file" "disk" {
  options {
    file_path = "{dir}/audit.log"
  }
}
audit "file" "stdout" {
  options {
    file_path = "stdout"
  }
}
plugin_directory     = "{dir}/plugins"
plugin_auto_register = true
plugin "secret" "attest-secrets" {
  command   = "openbao-plugin-attest"
  version   = "v0.1.0"
  sha256sum = "DIGEST"
  args      = ARGUMENTS
}
plugin "auth" "attest-auth" {
  command   = "openbao-plugin-attest"
  version   = "v0.1.0"
  sha256sum = "DIGEST"
  args      = ["--kind=auth"]
}
api_addr      = "https://127.0.0.1:{port}"
cluster_addr  = "https://127.0.0.1:{cluster}"
default_lease_ttl = "1h"
max_lease_ttl     = "24h"
"#;
