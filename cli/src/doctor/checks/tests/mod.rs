//! Each check on facts that a test makes up: one good server, and what is wrong with each other one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use attest::UnixTime;
use serde_json::{Value, json};

mod cases;

use super::*;
use crate::doctor::facts::{
    AuditDevice, Autopilot, Certificate, Health, MountConfig, OldTls, Quotas, RaftServer, RateLimit, Seal,
    ServerConfig, Tls, Tokens,
};

/// A server that is as it should be, on a machine that attested.
fn good() -> Facts {
    Facts {
        namespace: None,
        now: UnixTime(1_000_000_000),
        health: Ok(Health {
            initialized: true,
            sealed: false,
            version: "2.7.2".to_owned(),
            server_time_utc: 1_000_000_000,
        }),
        skew: Ok(0),
        tls: encrypted(100, OldTls::Refused),
        seal: Ok(Seal {
            kind: "attestseal".to_owned(),
            t: 3,
            n: 5,
            recovery_seal: true,
            storage_type: Some("raft".to_owned()),
        }),
        config: Ok(config(&json!({}))),
        audit: Ok(devices(json!({
            "disk/": { "type": "file", "options": { "file_path": "/a.log" } },
            "out/": { "type": "file", "options": null },
        }))),
        tokens: Ok(Tokens { all: 7, looked_at: 7, root: Vec::new() }),
        mounts: Ok(BTreeMap::from([
            ("attest-keys".to_owned(), mount("attest-secrets")),
            ("auth/attest".to_owned(), mount("attest-auth")),
            ("kv".to_owned(), Mount { plugin_version: String::new(), ..mount("kv") }),
        ])),
        plugins: Ok(vec![plugin("secret", "attest-secrets"), plugin("auth", "attest-auth")]),
        files: Ok(BTreeMap::from([(BINARY.to_owned(), DIGEST.to_owned())])),
        policies: Ok(policies(r#"path "attest-keys/keys/team-*" { capabilities = ["create", "update"] }"#)),
        quotas: Ok(Quotas { limits: vec![limit("attest-keys"), limit("auth/attest")], exempt: Vec::new() }),
        raft: Ok(vec![RaftServer { voter: true }; 3]),
        autopilot: Ok(autopilot(&json!({ "healthy": true, "version": "2.7.2" }), 1)),
        swap: Ok(0),
    }
}

fn encrypted(days: u64, old: OldTls) -> Tls {
    let not_after = UnixTime(1_000_000_000).plus(days.saturating_mul(86_400));
    Tls::Encrypted {
        certificate: Ok(Certificate { not_after, version: "TLSv1_3".to_owned(), skipped: false }),
        old,
    }
}

fn config(more: &Value) -> ServerConfig {
    let mut config = json!({ "listeners": [{ "type": "tcp", "config": {} }], "max_lease_ttl": 0, "raw_storage_endpoint": false });
    config.as_object_mut().unwrap().append(&mut more.as_object().unwrap().clone());
    serde_json::from_value(config).unwrap()
}

fn devices(devices: Value) -> BTreeMap<String, AuditDevice> {
    serde_json::from_value(devices).unwrap()
}

fn device(option: &str, word: &str) -> BTreeMap<String, AuditDevice> {
    let options = BTreeMap::from([(option, word)]);
    devices(json!({ "one/": { "type": "file", "options": options }, "two/": { "type": "file" } }))
}

fn mount(kind: &str) -> Mount {
    Mount {
        kind: kind.to_owned(),
        config: MountConfig {
            max_lease_ttl: 3600,
            audit_non_hmac_request_keys: Vec::new(),
            audit_non_hmac_response_keys: vec!["decision".to_owned()],
        },
        plugin_version: "v0.1.0".to_owned(),
        running_sha256: DIGEST.to_owned(),
    }
}

fn plugin(kind: &str, name: &str) -> Plugin {
    Plugin {
        kind: kind.to_owned(),
        name: name.to_owned(),
        version: "v0.1.0".to_owned(),
        sha256: DIGEST.to_owned(),
        command: BINARY.to_owned(),
        args: Some(vec!["--kind=x".to_owned()]),
        declarative: true,
    }
}

fn policies(mine: &str) -> BTreeMap<String, String> {
    let default = r#"path "auth/token/lookup-self" { capabilities = ["read"] }"#;
    BTreeMap::from([("default".to_owned(), default.to_owned()), ("mine".to_owned(), mine.to_owned())])
}

fn limit(path: &str) -> RateLimit {
    let path = path.to_owned();
    RateLimit { name: "limit".to_owned(), path, role: String::new(), rate: 10.0, interval: 1 }
}

fn autopilot(server: &Value, failure_tolerance: u64) -> Autopilot {
    let other = json!({ "healthy": true, "version": "2.7.2" });
    let servers = json!({ "one": other, "two": server });
    serde_json::from_value(
        json!({ "healthy": true, "failure_tolerance": failure_tolerance, "servers": servers }),
    )
    .unwrap()
}

const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// One thing that is wrong, and what is said of it.
type Case = (&'static str, fn(&mut Facts), Verdict, &'static str);

fn mounts(facts: &mut Facts) -> &mut BTreeMap<String, Mount> {
    facts.mounts.as_mut().unwrap()
}

fn engine(facts: &mut Facts) -> &mut Mount {
    mounts(facts).get_mut("attest-keys").unwrap()
}

fn first(facts: &mut Facts) -> &mut Plugin {
    &mut facts.plugins.as_mut().unwrap()[0]
}

fn server(facts: &mut Facts) -> &mut Seal {
    facts.seal.as_mut().unwrap()
}

use Verdict::{Fail, Pass, Unknown};

#[test]
fn a_good_server_passes_everything() {
    let findings = judge(&good());
    let others: Vec<&Finding> = findings.iter().filter(|finding| finding.verdict != Pass).collect();
    assert!(others.is_empty(), "{others:#?}");
    assert_eq!(findings.len(), all().count());
}

#[test]
fn what_is_wrong_is_found_by_its_own_check() {
    for (id, spoil, verdict, found) in cases::CASES {
        let mut facts = good();
        spoil(&mut facts);
        let findings = judge(&facts);
        let finding = findings.iter().find(|finding| finding.id == *id).unwrap();
        assert_eq!((finding.verdict, finding.found.as_str()), (*verdict, *found), "{id}");
    }
}

#[test]
fn every_check_can_fail_to_pass() {
    let spoiled: BTreeSet<&str> =
        cases::CASES.iter().filter(|case| case.2 != Pass).map(|case| case.0).collect();
    let ids: BTreeSet<&str> = all().map(|check| check.id).collect();
    assert_eq!(spoiled, ids);
    assert_eq!(ids.len(), all().count(), "an id is there twice");
}

#[test]
fn what_was_not_seen_is_never_passed() {
    let unseen = || Unseen::Denied { path: "somewhere".to_owned() };
    let facts = Facts {
        namespace: None,
        now: UnixTime(0),
        health: Err(unseen()),
        skew: Err(unseen()),
        tls: Tls::Encrypted { certificate: Err("no".to_owned()), old: OldTls::Unclear("with x".to_owned()) },
        seal: Err(unseen()),
        config: Err(unseen()),
        audit: Err(unseen()),
        tokens: Err(unseen()),
        mounts: Err(unseen()),
        plugins: Err(unseen()),
        files: Err(unseen()),
        policies: Err(unseen()),
        quotas: Err(unseen()),
        raft: Err(unseen()),
        autopilot: Err(unseen()),
        swap: Err(unseen()),
    };
    for finding in judge(&facts) {
        let expected = if finding.id == "source.tls.certificate" { Fail } else { Unknown };
        assert_eq!(finding.verdict, expected, "{finding:?}");
    }
}

#[test]
fn versions_are_old_enough() {
    for (version, verdict) in [
        ("2.6.2", Fail),
        ("2.6.3", Pass),
        ("2.5.9", Fail),
        ("2.7.0-beta1", Fail),
        ("2.7.0", Pass),
        ("v2.7.2+fips", Pass),
        ("2.10.0", Pass),
        ("3.0.0", Pass),
        ("1.19.0", Fail),
        ("2.7", Unknown),
        ("2.7.0.1", Unknown),
    ] {
        let mut facts = good();
        facts.health.as_mut().unwrap().version = version.to_owned();
        assert_eq!(judge(&facts)[0].verdict, verdict, "{version}");
    }
}

#[test]
fn the_document_has_the_checks_of_the_program() {
    let cell = |text: &str| text.replace('|', "\\|");
    let row =
        |check: &Check| format!("| `{}` | {} | {} |\n", check.id, cell(check.expected), cell(check.remedy));
    let rows: Vec<String> = all().map(row).collect();
    let table = format!("| check | expected | remedy |\n|---|---|---|\n{}", rows.concat());
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/doctor.md");
    let document = std::fs::read_to_string(document).unwrap();
    assert!(document.ends_with(&table), "docs/doctor.md should end with this table:\n{table}");
}
