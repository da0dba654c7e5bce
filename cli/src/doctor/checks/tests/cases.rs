//! What is spoiled, and what its check says then.

use super::*;

use Verdict::{Fail, Pass, Unknown, Warn};

pub(super) const CASES: &[Case] = &[
    (
        "source.server.version",
        |facts| facts.health.as_mut().unwrap().version = "2.6.2".to_owned(),
        Fail,
        "2.6.2",
    ),
    (
        "source.server.version",
        |facts| facts.health.as_mut().unwrap().version = "new".to_owned(),
        Unknown,
        "new, which is no version",
    ),
    ("source.server.unsealed", |facts| facts.health.as_mut().unwrap().sealed = true, Fail, "sealed"),
    (
        "source.server.unsealed",
        |facts| facts.health.as_mut().unwrap().initialized = false,
        Fail,
        "not initialised",
    ),
    ("source.server.clock", |facts| facts.skew = Ok(-61), Fail, "61 s behind"),
    ("source.server.clock", |facts| facts.skew = Ok(11), Warn, "11 s ahead"),
    (
        "source.server.settings",
        |facts| facts.config = Ok(config(&json!({ "raw_storage_endpoint": true }))),
        Fail,
        "raw_storage_endpoint",
    ),
    (
        "source.server.settings",
        |facts| {
            facts.config =
                Ok(config(&json!({ "unsafe_relative_paths": true, "introspection_endpoint": true })));
        },
        Fail,
        "introspection_endpoint; unsafe_relative_paths",
    ),
    (
        "source.server.settings",
        |facts| {
            let listener = json!({ "type": "tcp", "config": { "telemetry": { "unauthenticated_metrics_access": "true" } } });
            facts.config = Ok(config(&json!({ "listeners": [listener] })));
        },
        Fail,
        "listener: telemetry.unauthenticated_metrics_access",
    ),
    ("source.memory.swap", |facts| facts.swap = Ok(5 << 20), Warn, "5 MiB"),
    (
        "source.machine.attested",
        |facts| server(facts).kind = "shamir".to_owned(),
        Unknown,
        "seal shamir asks nothing of the machine, and a server cannot vouch for its own",
    ),
    ("source.tls.listener", |facts| facts.tls = Tls::Plain, Fail, "this address is plain HTTP"),
    (
        "source.tls.listener",
        |facts| {
            let plain =
                json!({ "type": "tcp", "config": { "address": "0.0.0.0:8200", "tls_disable": true } });
            facts.config = Ok(config(&json!({ "listeners": [plain] })));
        },
        Fail,
        "tls_disable at 0.0.0.0:8200",
    ),
    (
        "source.tls.certificate",
        |facts| facts.tls = encrypted(13, OldTls::Refused),
        Fail,
        "valid until 2001-09-22T01:46:40Z, 13 days",
    ),
    ("source.tls.certificate", |facts| facts.tls = Tls::Plain, Fail, "none: this address is plain HTTP"),
    (
        "source.tls.version",
        |facts| facts.tls = encrypted(100, OldTls::Accepted("TLS 1.0")),
        Fail,
        "TLS 1.0 was accepted",
    ),
    (
        "source.tls.version",
        |facts| facts.tls = encrypted(100, OldTls::Unclear("with nothing".to_owned())),
        Unknown,
        "a client of TLS 1.1 was answered with nothing",
    ),
    (
        "source.tls.version",
        |facts| {
            facts.tls = encrypted(100, OldTls::Unclear("with nothing".to_owned()));
            let old = json!({ "type": "tcp", "config": { "tls_min_version": "tls11" } });
            facts.config = Ok(config(&json!({ "listeners": [old] })));
        },
        Fail,
        "tls_min_version = tls11",
    ),
    (
        "source.seal.kind",
        |facts| server(facts).kind = "awskms".to_owned(),
        Fail,
        "awskms: opened by a cloud's key service: its operator can open what is stored",
    ),
    (
        "source.seal.kind",
        |facts| server(facts).kind = "static".to_owned(),
        Fail,
        "static: opened by a key in a file: who has the machine's disk has everything",
    ),
    (
        "source.seal.kind",
        |facts| server(facts).kind = "transit".to_owned(),
        Warn,
        "transit: opened by another OpenBao: as sovereign as that one",
    ),
    (
        "source.seal.kind",
        |facts| server(facts).kind = "new".to_owned(),
        Warn,
        "new: a seal that this check does not know",
    ),
    (
        "source.seal.kind",
        |facts| server(facts).kind = "shamir".to_owned(),
        Pass,
        "shamir: opened by its custodians",
    ),
    ("source.seal.shares", |facts| server(facts).t = 1, Fail, "1 of 5 recovery shares"),
    ("source.seal.shares", |facts| server(facts).n = 2, Fail, "3 of 2 recovery shares"),
    (
        "source.server.settings",
        |facts| {
            let listener =
                json!({ "type": "tcp", "config": { "disable_unauthed_generate_root_endpoints": "false" } });
            facts.config = Ok(config(&json!({ "listeners": [listener] })));
        },
        Fail,
        "listener: disable_unauthed_generate_root_endpoints is off",
    ),
    (
        "source.policies.escalation",
        |facts| {
            facts.policies =
                Ok(policies(r#"path "auth/token/create" { capabilities = ["update", "sudo"] }"#));
        },
        Warn,
        "mine: auth/token/create",
    ),
    (
        "source.policies.escalation",
        |facts| facts.policies = Ok(policies(r#"path "auth/token/create" { capabilities = ["update"] }"#)),
        Pass,
        "none",
    ),
    (
        "source.seal.shares",
        |facts| (server(facts).t, server(facts).n) = (0, 0),
        Pass,
        "no recovery shares: nobody can make a root token",
    ),
    (
        "source.storage.kind",
        |facts| server(facts).storage_type = Some("inmem".to_owned()),
        Fail,
        "inmem (a dev server: gone at its end)",
    ),
    (
        "source.storage.kind",
        |facts| server(facts).storage_type = Some("postgresql".to_owned()),
        Warn,
        "postgresql: operated by somebody who can delete it and roll it back",
    ),
    (
        "source.storage.kind",
        |facts| server(facts).storage_type = None,
        Unknown,
        "the server does not say how it stores",
    ),
    (
        "source.storage.voters",
        |facts| facts.raft = Ok(vec![RaftServer { voter: true }; 4]),
        Fail,
        "4 of 4 nodes vote",
    ),
    (
        "source.storage.voters",
        |facts| facts.raft = Ok(vec![RaftServer { voter: true }]),
        Fail,
        "1 of 1 nodes vote",
    ),
    (
        "source.storage.autopilot",
        |facts| facts.autopilot = Ok(autopilot(&json!({ "healthy": false, "version": "2.7.2" }), 1)),
        Fail,
        "unhealthy: two",
    ),
    (
        "source.storage.autopilot",
        |facts| facts.autopilot = Ok(autopilot(&json!({ "healthy": true, "version": "2.7.1" }), 1)),
        Warn,
        "healthy, 1 may fail, version 2.7.1 and 2.7.2",
    ),
    (
        "source.storage.autopilot",
        |facts| facts.autopilot = Ok(autopilot(&json!({ "healthy": true, "version": "2.7.2" }), 0)),
        Warn,
        "healthy, 0 may fail, version 2.7.2",
    ),
    ("source.audit.enabled", |facts| facts.audit = Ok(BTreeMap::new()), Fail, "none"),
    (
        "source.audit.enabled",
        |facts| {
            facts.audit =
                Ok(devices(json!({ "no/": { "type": "file", "options": { "file_path": "discard" } } })));
        },
        Fail,
        "1 that keep nothing",
    ),
    ("source.audit.second", |facts| facts.audit = Ok(device("file_path", "/dev/null")), Warn, "1"),
    ("source.audit.raw", |facts| facts.audit = Ok(device("log_raw", "true")), Fail, "one"),
    ("source.audit.accessors", |facts| facts.audit = Ok(device("hmac_accessor", "false")), Warn, "one"),
    ("source.audit.lists", |facts| facts.audit = Ok(device("elide_list_responses", "1")), Warn, "one"),
    (
        "source.audit.decisions",
        |facts| engine(facts).config.audit_non_hmac_response_keys.clear(),
        Warn,
        "attest-keys: decision is hashed",
    ),
    (
        "source.audit.decisions",
        |facts| engine(facts).config.audit_non_hmac_request_keys = vec!["data".to_owned()],
        Fail,
        "attest-keys: data of requests in clear",
    ),
    (
        "source.root.revoked",
        |facts| facts.tokens.as_mut().unwrap().root = vec!["abcdef…".to_owned()],
        Fail,
        "accessors abcdef…",
    ),
    (
        "source.root.revoked",
        |facts| facts.tokens.as_mut().unwrap().looked_at = 5,
        Unknown,
        "none among 5 of 7 tokens",
    ),
    (
        "source.root.revoked",
        |facts| facts.namespace = Some("team".to_owned()),
        Unknown,
        "root tokens live in the root namespace, and team was asked",
    ),
    ("source.plugins.mounted", |facts| mounts(facts).clear(), Warn, "none"),
    (
        "source.plugins.digest",
        |facts| engine(facts).running_sha256 = "f".repeat(64),
        Fail,
        "attest-keys runs ffffffffffff, which is not in the catalogue",
    ),
    (
        "source.plugins.digest",
        |facts| facts.files = Ok(BTreeMap::from([(BINARY.to_owned(), "f".repeat(64))])),
        Fail,
        "openbao-plugin-attest is ffffffffffff, catalogued as 0123456789ab",
    ),
    (
        "source.plugins.digest",
        |facts| facts.files = Ok(BTreeMap::new()),
        Fail,
        "no file openbao-plugin-attest",
    ),
    (
        "source.plugins.digest",
        |facts| facts.files = Err(Unseen::NotAsked("no --plugin-directory was named".to_owned())),
        Unknown,
        "catalogue and running agree on 0123456789ab; files not seen: no --plugin-directory was named",
    ),
    ("source.plugins.version", |facts| engine(facts).plugin_version.clear(), Warn, "attest-keys"),
    (
        "source.plugins.declared",
        |facts| first(facts).declarative = false,
        Warn,
        "secret attest-secrets v0.1.0",
    ),
    (
        "source.plugins.roots",
        |facts| first(facts).args = Some(vec!["--insecure-trust-root=/x".to_owned()]),
        Fail,
        "secret attest-secrets v0.1.0",
    ),
    (
        "source.plugins.others",
        |facts| {
            facts
                .plugins
                .as_mut()
                .unwrap()
                .push(Plugin { command: "other".to_owned(), ..plugin("database", "other") });
        },
        Warn,
        "database other v0.1.0",
    ),
    (
        "source.policies.sudo",
        |facts| facts.policies = Ok(policies(r#"path "sys/audit*" { capabilities = ["sudo"] }"#)),
        Fail,
        "mine: sys/audit*",
    ),
    (
        "source.policies.sudo",
        |facts| facts.policies = Ok(policies(r#"path "sys/audit" { capabilities = ["sudo"] }"#)),
        Pass,
        "none",
    ),
    (
        "source.policies.sudo",
        |facts| facts.policies = Ok(policies("path")),
        Unknown,
        "not understood: mine: expected =, a label or {, found \"\"",
    ),
    (
        "source.policies.system",
        |facts| facts.policies = Ok(policies(r#"path "*" { capabilities = ["update"] }"#)),
        Fail,
        "mine: *",
    ),
    (
        "source.policies.system",
        |facts| facts.policies = Ok(policies(r#"path "sys/*" { capabilities = ["read"] }"#)),
        Pass,
        "none",
    ),
    (
        "source.policies.auth",
        |facts| facts.policies = Ok(policies(r#"path "auth/+/*" { capabilities = ["create"] }"#)),
        Fail,
        "mine: auth/+/*",
    ),
    (
        "source.policies.escalation",
        |facts| facts.policies = Ok(policies(r#"path "sys/policies/acl/*" { capabilities = ["update"] }"#)),
        Warn,
        "mine: sys/policies/acl/*",
    ),
    (
        "source.policies.keys",
        |facts| facts.policies = Ok(policies(r#"path "attest-keys/keys/*" { capabilities = ["update"] }"#)),
        Fail,
        "mine: attest-keys/keys/*",
    ),
    (
        "source.policies.rulers",
        |facts| {
            let both = r#"path "attest-keys/policy/prod" { capabilities = ["update"] } path "attest-keys/config/approvers" { capabilities = ["update", "sudo"] }"#;
            facts.policies = Ok(policies(both));
        },
        Warn,
        "mine: attest-keys/policy and attest-keys/config",
    ),
    (
        "source.policies.rulers",
        |facts| facts.policies = Ok(policies(r#"path "attest-keys/policy/*" { capabilities = ["update"] }"#)),
        Pass,
        "mine writes attest-keys/policy",
    ),
    (
        "source.policies.default",
        |facts| {
            drop(
                facts
                    .policies
                    .as_mut()
                    .unwrap()
                    .insert("default".to_owned(), r#"path "kv/*" { policy = "read" }"#.to_owned()),
            );
        },
        Warn,
        "kv/*",
    ),
    (
        "source.quotas.login",
        |facts| facts.quotas = Ok(Quotas { limits: vec![limit("auth/attest/login")], exempt: Vec::new() }),
        Fail,
        "no limit on auth/attest/challenge",
    ),
    (
        "source.quotas.login",
        |facts| {
            facts.quotas = Ok(Quotas {
                limits: vec![RateLimit { role: "node".to_owned(), ..limit("auth/attest") }],
                exempt: Vec::new(),
            });
        },
        Fail,
        "no limit on auth/attest/login, auth/attest/challenge",
    ),
    (
        "source.quotas.open",
        |facts| {
            facts.quotas = Ok(Quotas {
                limits: vec![limit("attest-keys/challenge"), limit("attest-keys/release/+/open")],
                exempt: Vec::new(),
            });
        },
        Fail,
        "no limit on attest-keys/release/ANY-KEY/open",
    ),
    (
        "source.quotas.open",
        |facts| facts.quotas.as_mut().unwrap().exempt = vec!["attest-keys/challenge".to_owned()],
        Fail,
        "no limit on attest-keys/challenge",
    ),
    (
        "source.quotas.open",
        |facts| facts.quotas = Ok(Quotas { limits: vec![limit("")], exempt: Vec::new() }),
        Pass,
        "limit: 10 in 1 s",
    ),
    (
        "source.quotas.open",
        |facts| facts.quotas = Ok(Quotas { limits: vec![limit("attest-keys/*")], exempt: Vec::new() }),
        Pass,
        "limit: 10 in 1 s",
    ),
    (
        "source.leases.attest",
        |facts| engine(facts).config.max_lease_ttl = 90_000,
        Warn,
        "attest-keys: 25 hours",
    ),
    ("source.leases.attest", |facts| engine(facts).config.max_lease_ttl = 0, Warn, "attest-keys: 768 hours"),
    (
        "source.leases.server",
        |facts| facts.config = Ok(config(&json!({ "max_lease_ttl": 2_770_000 }))),
        Warn,
        "769 hours",
    ),
];
