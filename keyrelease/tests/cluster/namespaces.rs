//! Tenants: each namespace has mounts, keys and machines of its own, and none sees another's.

use std::sync::OnceLock;

use protocol::release::open_context;
use serde_json::json;

use crate::cluster::{calm, furnish};
use crate::evidence::record;
use crate::machine::{Machine, challenge, sealed};
use crate::requests::{log_in, open, present_at, release, release_once_known};
use crate::server::{SECRET, policy};

/// Two tenants, each with mounts under the names that the root namespace uses too.
fn tenants() -> [&'static str; 2] {
    static FURNISHED: OnceLock<()> = OnceLock::new();
    FURNISHED.get_or_init(|| {
        let cluster = calm();
        let active = cluster.node(cluster.leader());
        for tenant in TENANTS {
            active.write(&format!("sys/namespaces/{tenant}"), &json!({})).ok();
            furnish(&active.within(tenant));
            for node in cluster.nodes() {
                let key = format!("{tenant}/attest-keys/config/verifier-key");
                cluster.eventually("the mounts", || node.read(&key).status == 200);
            }
        }
    });
    TENANTS
}

#[test]
fn a_machine_is_released_to_in_its_namespace_on_every_node() {
    let [tenant, _] = tenants();
    let [keys, auth] = ["attest-keys", "auth/attest"].map(|mount| format!("{tenant}/{mount}"));
    let machine = Machine::good();
    for node in calm().nodes() {
        let sealed = sealed(&open(&machine, node, &keys, "db"));
        assert_eq!(machine.key.field(&sealed, "password").as_deref(), Some(SECRET));
        let token = log_in(&machine, node, &auth);
        let answer = release_once_known(calm(), node, &keys, &token, &machine.key);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

/// What the hardware signs names the namespace, whether the request names it in its path or in a header.
#[test]
fn evidence_is_for_one_namespace_however_that_is_named() {
    let [tenant, _] = tenants();
    let keys = format!("{tenant}/attest-keys");
    let node = calm().node(0).within(tenant);
    let machine = Machine::good();
    let with = machine.answer(&challenge(&node, "attest-keys"), &open_context(&keys, "db"));
    assert_eq!(present_at(&node, "attest-keys", "db", &with).status, 200);
    let without = machine.answer(&challenge(&node, "attest-keys"), &open_context("attest-keys", "db"));
    assert_eq!(present_at(&node, "attest-keys", "db", &without).failing(), ["challenge.bound"]);
}

#[test]
fn a_challenge_of_one_namespace_is_refused_in_another_and_stays_good_in_its_own() {
    let mounts = mounts();
    let node = calm().node(0);
    for drawn in &mounts {
        let answered = Machine::good().answer(&challenge(node, drawn), &open_context(drawn, "db"));
        for elsewhere in mounts.iter().filter(|mount| *mount != drawn) {
            let answer = present_at(node, elsewhere, "db", &answered);
            assert_eq!(answer.status, 400, "{answer:?}");
            assert_eq!(answer.errors(), "challenge: expected one that this mount issued, found another");
        }
        assert_eq!(present_at(node, drawn, "db", &answered).status, 200);
    }
}

#[test]
fn a_namespaces_records_are_in_it_alone_and_signed_by_its_own_key() {
    let [root, one, other] = mounts();
    let node = calm().node(calm().leader());
    let decision = sealed(&open(&Machine::good(), node, &one, "db")).decision;
    assert!(record(node, &one, &decision).appraisal.admits());
    for elsewhere in [&root, &other] {
        assert_eq!(node.read(&format!("{elsewhere}/record/{decision}")).status, 404);
        assert_ne!(node.verifier_key(elsewhere), node.verifier_key(&one));
    }
}

#[test]
fn a_token_of_one_namespace_releases_nothing_in_another() {
    let [root, one, other] = mounts();
    let node = calm().node(0);
    let machine = Machine::good();
    let token = log_in(&machine, node, &one.replace("attest-keys", "auth/attest"));
    for elsewhere in [&root, &other] {
        let answer = release(node, elsewhere, &token, &machine.key);
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(answer.errors().contains("permission denied"), "{}", answer.errors());
    }
    let answer = release_once_known(calm(), node, &one, &token, &machine.key);
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn a_tenants_policy_binds_that_tenant_alone() {
    let [root, _, other] = mounts();
    let node = calm().node(calm().leader());
    let machine = Machine::good();
    let stricter = policy(1).replace("5a5a5a", "5b5b5b");
    node.write(&format!("{other}/policy/strict"), &json!({ "policy": stricter })).ok();
    let key = json!({ "policy": "strict", "data": { "password": SECRET } });
    node.write(&format!("{other}/keys/strict"), &key).ok();
    assert_eq!(open(&machine, node, &other, "strict").failing(), ["snp.measurement"]);
    assert_eq!(open(&machine, node, &root, "strict").status, 404);
    assert_eq!(open(&machine, node, &root, "db").status, 200);
}

/// The secrets engines of the root namespace and of the tenants.
fn mounts() -> [String; 3] {
    let [one, other] = tenants();
    ["attest-keys".to_owned(), format!("{one}/attest-keys"), format!("{other}/attest-keys")]
}

const TENANTS: [&str; 2] = ["bank-a", "bank-b"];
