//! What holds on every node, whichever is asked.

use protocol::release::{Base64, open_context};
use serde_json::json;
use simulator::snp::{Chip, Product, ReportBuilder};

use crate::cluster::{Cluster, NODES, calm};
use crate::configuration::OLD;
use crate::evidence::{names_of, record};
use crate::machine::{Key, Machine, challenge, present, sealed};
use crate::requests::{log_in, open, reinstate, release_once_known, revoke};
use crate::server::{Answer, SECRET, now, policy};

#[test]
fn a_challenge_drawn_on_any_node_is_redeemed_on_any_other_and_on_all_of_them_once() {
    let nodes = calm().nodes();
    let machine = Machine::good();
    for (drawn, redeemed) in (0..NODES * NODES).map(|pair| (pair / NODES, pair % NODES)) {
        let challenge = challenge(&nodes[drawn], "attest-keys");
        let presentation = machine.answer(&challenge, &open_context("attest-keys", "db"));
        let sealed = sealed(&present(&nodes[redeemed], &presentation));
        assert_eq!(sealed.decision, challenge.nonce);
        assert_eq!(machine.key.field(&sealed, "password").as_deref(), Some(SECRET));
        for node in nodes {
            assert_eq!(present(node, &presentation).failing(), ["challenge.unused"]);
        }
    }
}

#[test]
fn of_nine_answers_to_one_challenge_on_three_nodes_at_the_same_time_exactly_one_is_honoured() {
    let nodes = calm().nodes();
    let challenge = challenge(&nodes[0], "attest-keys");
    let presentation = Machine::good().answer(&challenge, &open_context("attest-keys", "db"));
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let presentation = &presentation;
        let ask = |node| scope.spawn(move || present(node, presentation));
        let asking: Vec<_> = nodes.iter().cycle().take(9).map(ask).collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (released, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(released.len(), 1, "{answers:?}");
    for answer in refused {
        assert_eq!(answer.failing(), ["challenge.unused"]);
    }
}

#[test]
fn the_record_of_a_release_on_a_standby_is_read_on_every_node() {
    let cluster = calm();
    for standby in cluster.standbys() {
        let decision = sealed(&Machine::good().open(cluster.node(standby))).decision;
        for node in cluster.nodes() {
            // The active node has it; the others have it as soon as they followed.
            let path = format!("attest-keys/record/{decision}");
            cluster.eventually("the record", || node.read(&path).status == 200);
            assert!(record(node, "attest-keys", &decision).appraisal.admits());
        }
    }
}

#[test]
fn a_login_on_one_standby_releases_on_the_other() {
    let cluster = calm();
    let [one, other] = cluster.standbys();
    let machine = Machine { key: Key::x_wing(), ..Machine::good() };
    let token = log_in(&machine, cluster.node(one), "auth/attest");
    let node = cluster.node(other);
    let sealed = sealed(&release_once_known(cluster, node, "attest-keys", &token, &machine.key));
    assert_eq!(machine.key.field(&sealed, "password").as_deref(), Some(SECRET));
    let thief = release_once_known(cluster, node, "attest-keys", &token, &Key::x25519());
    assert_eq!(thief.status, 403, "{thief:?}");
    assert!(thief.errors().contains("which was attested at login"), "{}", thief.errors());
}

/// A policy is obeyed on all nodes from the moment that its writer is told it is stored: every release is decided on
/// the active node. What a standby shows may be old, for a moment.
#[test]
fn a_policy_stored_through_a_standby_is_obeyed_at_once_and_shown_soon_on_every_node() {
    let cluster = calm();
    let [standby, _] = cluster.standbys();
    let store =
        |text: &str| cluster.node(standby).write("attest-keys/policy/obeyed", &json!({ "policy": text }));
    store(&policy(1)).ok();
    cluster.node(standby).write("attest-keys/keys/guarded", &guarded("obeyed")).ok();
    let machine = Machine::good();
    // Every node has read what it keeps in memory.
    for node in cluster.nodes() {
        assert_eq!(open(&machine, node, "attest-keys", "guarded").status, 200);
    }
    for version in [2, 4] {
        store(&policy(version).replace("5a5a5a", "5b5b5b")).ok();
        for node in cluster.nodes() {
            let failing = open(&machine, node, "attest-keys", "guarded").failing();
            assert!(failing.contains(&"snp.measurement".to_owned()), "{failing:?}");
        }
        shows(cluster, "attest-keys/policy/obeyed", "version", &json!(version));
        store(&policy(version + 1)).ok();
        for node in cluster.nodes() {
            assert_eq!(open(&machine, node, "attest-keys", "guarded").status, 200);
        }
    }
    assert!(store(&policy(4)).errors().contains("policy version: expected above 5, found 4"));
}

#[test]
fn collateral_stored_on_one_node_serves_all_and_deleted_on_another_none() {
    let cluster = calm();
    // A mount of its own: what the machines of other tests bring is kept in theirs.
    let _kept = Mounted::new(cluster);
    cluster.node(0).write("listed-keys/policy/strict", &json!({ "policy": policy(1) })).ok();
    cluster.node(0).write("listed-keys/keys/listed", &guarded("strict")).ok();
    let bare = Machine { lists: vec![], ..Machine::good() };
    let list = json!({ "value": Base64(bare.chip.crl().der()) });
    for (stored, deleted) in [(0, 1), (1, 2), (2, 0)] {
        for node in cluster.nodes() {
            let errors = open(&bare, node, "listed-keys", "listed").errors();
            assert!(errors.contains("missing endorsement: a revocation list"), "{errors}");
        }
        cluster.node(stored).write("listed-keys/collateral/crl/genoa", &list).ok();
        for node in cluster.nodes() {
            assert_eq!(open(&bare, node, "listed-keys", "listed").status, 200);
        }
        shows(cluster, "listed-keys/collateral/crl/genoa", "value", &list["value"]);
        cluster.node(deleted).delete("listed-keys/collateral/crl/genoa").ok();
    }
}

/// A mount that goes away with this value.
struct Mounted<'a>(&'a Cluster);

impl<'a> Mounted<'a> {
    fn new(cluster: &'a Cluster) -> Self {
        let mount = json!({ "type": "attest-secrets", "config": { "plugin_version": OLD } });
        cluster.node(0).write("sys/mounts/listed-keys", &mount).ok();
        Self(cluster)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        self.0.node(0).delete("sys/mounts/listed-keys");
    }
}

/// Waits until each node, asked by itself, shows a field.
fn shows(cluster: &Cluster, path: &str, field: &str, value: &serde_json::Value) {
    for node in cluster.nodes() {
        cluster.eventually(path, || node.read(path).json["data"][field] == *value);
    }
}

fn guarded(policy: &str) -> serde_json::Value {
    json!({ "policy": policy, "data": { "password": SECRET } })
}

/// A chip that no other test uses.
fn chip_of_its_own(seed: u64) -> Machine {
    let chip = Chip::new(seed, Product::Genoa).at(now().0);
    Machine { lists: vec![chip.crl().der()], chip, ..Machine::good() }
}

#[test]
fn a_revocation_through_a_standby_binds_every_node_at_once_and_so_does_its_end() {
    let cluster = calm();
    let machine = chip_of_its_own(41);
    let active = cluster.node(cluster.leader());
    let [one, other] = cluster.standbys().map(|node| cluster.node(node));
    let [selector, _] = names_of(active, &sealed(&machine.open(active)).decision);
    let token = log_in(&machine, other, "auth/attest");
    for _ in 0..2 {
        revoke(one, &selector);
        for node in cluster.nodes() {
            assert_eq!(machine.open(node).failing(), ["standing.revoked"]);
            let by_token = release_once_known(cluster, node, "attest-keys", &token, &machine.key);
            assert_eq!(by_token.status, 403, "{by_token:?}");
            assert!(by_token.errors().contains("revoked at"), "{}", by_token.errors());
            let shown = format!("attest-keys/revocation/{selector}");
            cluster.eventually("the revocation", || node.read(&shown).status == 200);
        }
        reinstate(other, "revoked", &selector);
        for node in cluster.nodes() {
            assert_eq!(machine.open(node).status, 200);
            let by_token = release_once_known(cluster, node, "attest-keys", &token, &machine.key);
            assert_eq!(by_token.status, 200, "{by_token:?}");
        }
    }
}

/// Lesson L17, on three nodes: nobody shops for a node that did not see it fail.
#[test]
fn l17_a_machine_that_failed_on_one_node_has_failed_on_all() {
    let cluster = calm();
    let good = |report: ReportBuilder| report.report_id([0x41; 32]);
    let debugged = |report: ReportBuilder| report.report_id([0x41; 32]).debug();
    let [one, other] = cluster.standbys().map(|node| cluster.node(node));
    let failed = Machine { spoil: debugged, ..chip_of_its_own(42) };
    let healthy = Machine { spoil: good, ..chip_of_its_own(42) };
    let decision = sealed(&healthy.open(one)).decision;
    let [_, instance] = names_of(cluster.node(cluster.leader()), &decision);
    assert_eq!(failed.open(one).failing(), ["snp.policy.debug"]);
    for node in cluster.nodes() {
        assert_eq!(healthy.open(node).failing(), ["standing.failed"]);
    }
    reinstate(other, "failed", &instance);
    for node in cluster.nodes() {
        assert_eq!(healthy.open(node).status, 200);
    }
}
