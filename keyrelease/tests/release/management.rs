//! Management: closed without a token, strict about what it stores, silent about secrets.

use serde_json::json;

use crate::machine::Machine;
use crate::server::{SECRET, Server, policy, shared};

/// Lesson L16: nothing that changes or shows the mount's state is open.
#[test]
fn l16_management_is_closed_without_a_token() {
    for path in [
        "attest-keys/keys/db",
        "attest-keys/policy/simulated",
        "attest-keys/collateral/crl/x",
        "attest-keys/record/x",
        "attest-keys/config/auth",
        "attest-keys/config/verifier-key",
        "attest-keys/config/approvers",
        "attest-keys/config/roots",
        "attest-keys/governance",
        "attest-keys/in-force/policy/simulated",
        "attest-keys/proposal",
        "attest-keys/proposal/x",
        "attest-keys/proposal/x/approve",
        "attest-keys/emergency/policy/simulated",
        "auth/attest/config/approvers",
        "auth/attest/proposal",
        "auth/attest/emergency/roots",
        "attest-keys/release/db",
        "auth/attest/role/node",
        "auth/attest/policy/simulated",
        "auth/attest/collateral/crl/x",
        "auth/attest/verdict/x",
    ] {
        for method in ["GET", "POST", "DELETE", "LIST"] {
            let answer = shared().call(method, path, Some(&json!({})), "");
            assert!([400, 403, 405].contains(&answer.status), "{method} {path}: {answer:?}");
            assert_ne!(answer.status, 200, "{method} {path}");
        }
    }
}

/// Lesson L20: the plaintext comes back nowhere: not from an API, not in the log.
#[test]
fn l20_no_answer_and_no_log_line_contains_the_secret() {
    let server = Server::start();
    assert_eq!(Machine::good().open(&server).status, 200);
    let described = server.read("attest-keys/keys/db").ok();
    assert_eq!(described.json["data"]["version"], 1);
    for path in ["attest-keys/keys/db", "attest-keys/policy/simulated", "attest-keys/config/auth"] {
        assert!(!server.read(path).json.to_string().contains(SECRET), "{path}");
    }
    let wrong = json!({ "policy": 7, "data": { "password": SECRET } });
    let answer = server.write("attest-keys/keys/db", &wrong);
    assert_eq!(answer.status, 400);
    assert!(!answer.json.to_string().contains(SECRET), "{answer:?}");
    let wrong = json!({ "data": SECRET });
    assert!(!server.write("attest-keys/keys/db", &wrong).json.to_string().contains(SECRET));
    assert!(!server.log().contains(SECRET));
}

#[test]
fn a_policy_that_does_not_parse_is_empty_or_older_is_not_stored() {
    let server = Server::start();
    let store = |text: &str| server.write("attest-keys/policy/simulated", &json!({ "policy": text }));
    let unknown = policy(2).replace("[snp]\n", "[snp]\ndebugging = \"allowed\"\n");
    for (text, expected) in [
        ("not toml", "policy does not parse"),
        ("", "policy does not parse"),
        (unknown.as_str(), "unknown field `debugging`"),
        (&format!("{}# changed\n", policy(1)), "policy version: expected above 1, found 1"),
    ] {
        let answer = store(text);
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.errors().contains(expected), "{}", answer.errors());
    }
    let empty = "name = \"e\"\nversion = 9\nexpires = \"2048-01-01T00:00:00Z\"\n\
                 [freshness]\nverdict_seconds = 1\ncollateral_days = 1\n";
    assert!(store(empty).errors().contains("policy is empty"));
    assert_eq!(server.read("attest-keys/policy/simulated").json["data"]["version"], 1);
    store(&policy(2)).ok();
    assert_eq!(Machine::good().open(&server).status, 200);
}

#[test]
fn an_expired_policy_refuses_by_name() {
    let server = Server::start();
    let expired = policy(2).replace("2048-01-01", "2026-01-01");
    server.write("attest-keys/policy/simulated", &json!({ "policy": expired })).ok();
    assert_eq!(Machine::good().open(&server).failing(), ["policy.current"]);
}

/// Lesson L18: simulated silicon is believed only where two people wrote it down.
#[test]
fn l18_a_policy_without_the_insecure_line_refuses_simulated_roots() {
    let server = Server::start();
    let strict = policy(2).replace("insecure-accept-simulated-roots = true\n", "");
    server.write("attest-keys/policy/simulated", &json!({ "policy": strict })).ok();
    assert_eq!(Machine::good().open(&server).failing(), ["roots.accepted"]);
    server.logged("insecure-trust-root: simulated hardware is believed");
}

#[test]
fn l18_a_plugin_started_without_the_insecure_root_refuses_simulated_chips() {
    let server = Server::launch(&[]);
    server.write("attest-keys/policy/simulated", &json!({ "policy": policy(1) })).ok();
    let fields = json!({ "password": SECRET });
    server.write("attest-keys/keys/db", &json!({ "policy": "simulated", "data": fields })).ok();
    let failing = Machine::good().open(&server).failing();
    assert!(failing.contains(&"snp.chain.intermediate_signature".to_owned()), "{failing:?}");
}

#[test]
fn a_new_version_of_a_secret_is_the_one_that_is_released() {
    let server = Server::start();
    let machine = Machine::good();
    server.write("attest-keys/keys/db", &json!({ "data": { "password": "second" } })).ok();
    let sealed = crate::machine::sealed(&machine.open(&server));
    assert_eq!(sealed.version, 2);
    assert_eq!(machine.key.field(&sealed, "password").as_deref(), Some("second"));
}
