//! Tenants: each namespace has mounts, keys and machines of its own, and none sees another's.

use std::sync::OnceLock;

use protocol::release::open_context;
use serde_json::json;

use crate::cluster::{calm, furnish};
use crate::evidence::{decisions, record};
use crate::machine::{Machine, challenge, present, sealed};
use crate::nodes::release;
use crate::server::{SECRET, policy};

/// Two tenants, each with mounts under the names that the root namespace uses too.
fn tenants() -> [&'static str; 2] {
    static FURNISHED: OnceLock<()> = OnceLock::new();
    FURNISHED.get_or_init(|| {
        let cluster = calm();
        let active = cluster.node(cluster.leader());
        for tenant in TENANTS {
            active.write(&format!("sys/namespaces/{tenant}"), &json!({})).ok();
            let acl = r#"path "attest-keys/release/*" { capabilities = ["update"] }"#;
            active.within(tenant).write("sys/policies/acl/machine", &json!({ "policy": acl })).ok();
            furnish(&active.within(tenant));
            for node in cluster.nodes() {
                let node = node.within(tenant);
                cluster
                    .eventually("the mounts", || node.read("attest-keys/config/verifier-key").status == 200);
            }
        }
    });
    TENANTS
}

#[test]
fn a_machine_is_released_to_in_its_namespace_on_every_node() {
    let [tenant, _] = tenants();
    let machine = Machine::good();
    for node in calm().nodes() {
        let node = node.within(tenant);
        let sealed = sealed(&machine.open(&node));
        assert_eq!(machine.key.field(&sealed, "password").as_deref(), Some(SECRET));
        let login = machine.login(&node).ok();
        let token = login.json["auth"]["client_token"].as_str().unwrap();
        assert_eq!(release(&node, token, &machine.key).status, 200);
    }
}

/// The paths are the same, and so is what the hardware signs but for the nonce: the challenge's MAC tells them apart.
#[test]
fn a_challenge_of_one_namespace_is_refused_in_another_and_stays_good_in_its_own() {
    let [one, other] = tenants();
    let node = calm().node(0);
    let (one, other) = (node.within(one), node.within(other));
    for (drawn, elsewhere) in [(&one, [&other, node]), (&other, [&one, node]), (node, [&one, &other])] {
        let challenge = challenge(drawn, "attest-keys");
        let presentation = Machine::good().answer(&challenge, &open_context("attest-keys", "db"));
        for namespace in elsewhere {
            let answer = present(namespace, &presentation);
            assert_eq!(answer.status, 400, "{answer:?}");
            assert_eq!(answer.errors(), "challenge: expected one that this mount issued, found another");
        }
        assert_eq!(present(drawn, &presentation).status, 200);
    }
}

#[test]
fn a_namespaces_records_are_in_it_alone_and_signed_by_its_own_key() {
    let [one, other] = tenants();
    let node = calm().node(calm().leader());
    let (one, other) = (node.within(one), node.within(other));
    let decision = sealed(&Machine::good().open(&one)).decision;
    assert!(record(&one, "attest-keys", &decision).appraisal.admits());
    for elsewhere in [&other, node] {
        assert!(!decisions(elsewhere, "attest-keys").contains(&decision));
        assert_ne!(elsewhere.verifier_key("attest-keys"), one.verifier_key("attest-keys"));
    }
}

#[test]
fn a_token_of_one_namespace_releases_nothing_in_another() {
    let [one, other] = tenants();
    let node = calm().node(0);
    let machine = Machine::good();
    let login = machine.login(&node.within(one)).ok();
    let token = login.json["auth"]["client_token"].as_str().unwrap();
    for elsewhere in [node.within(other), node.clone()] {
        let answer = release(&elsewhere, token, &machine.key);
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(answer.errors().contains("permission denied"), "{}", answer.errors());
    }
}

#[test]
fn a_tenants_policy_binds_that_tenant_alone() {
    let [_, other] = tenants();
    let node = calm().node(calm().leader());
    let stricter = policy(2).replace("5a5a5a", "5b5b5b");
    node.within(other).write("attest-keys/policy/strict", &json!({ "policy": stricter })).ok();
    let key = json!({ "policy": "strict", "data": { "password": SECRET } });
    node.within(other).write("attest-keys/keys/db", &key).ok();
    assert_eq!(Machine::good().open(&node.within(other)).failing(), ["snp.measurement"]);
    assert_eq!(Machine::good().open(node).status, 200);
    node.within(other).write("attest-keys/policy/strict", &json!({ "policy": policy(3) })).ok();
    assert_eq!(Machine::good().open(&node.within(other)).status, 200);
}

const TENANTS: [&str; 2] = ["bank-a", "bank-b"];
