//! Rule by more than one while the leader changes: what was approved under one leader counts under the next, once.

use attest::crypto::AwsLcRs;
use attest::governance::{Act, Deed, Proposal};
use attest::{Digest, File};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use protocol::release::Base64;
use serde_json::{Value, json};

use crate::cluster::{Cluster, NODES, others, rough};
use crate::configuration::OLD;
use crate::server::{Server, now, policy};

/// A mount that two of two rule, gone when the test is over: the tests of upgrades count programs.
struct Ruled<'a> {
    cluster: &'a Cluster,
    leader: usize,
}

const MOUNT: &str = "ruled-keys";

impl<'a> Ruled<'a> {
    fn new(cluster: &'a Cluster) -> Self {
        let leader = cluster.leader();
        let node = cluster.node(leader);
        let mount = json!({ "type": "attest-secrets", "config": { "plugin_version": OLD } });
        node.write(&format!("sys/mounts/{MOUNT}"), &mount).ok();
        node.write(&format!("{MOUNT}/policy/simulated"), &json!({ "policy": policy(1) })).ok();
        let approvers = PEOPLE
            .map(|(name, seed)| json!({ "name": name, "key": hex::encode(key(seed).public_key().as_ref()) }));
        let document = json!({ "threshold": 2, "approvers": approvers });
        node.write(&format!("{MOUNT}/config/approvers"), &document).ok();
        Self { cluster, leader }
    }

    fn propose(&self) -> Proposed {
        let body = json!({
            "kind": "policy", "name": "simulated", "content": policy(2), "expires": now().plus(3600), "reason": "a test",
        });
        let shown =
            self.cluster.node(self.leader).write(&format!("{MOUNT}/proposal"), &body).ok().json["data"]
                .clone();
        let id = shown["id"].as_str().unwrap().to_owned();
        Proposed { id, proposal: serde_json::from_value(shown["proposal"].clone()).unwrap() }
    }

    /// Each node has the policy in this version.
    fn in_force(&self, version: u64) {
        for node in 0..NODES {
            self.cluster.eventually("the policy on every node", || {
                let shown = self.cluster.node(node).try_read(&format!("{MOUNT}/policy/simulated"));
                shown.is_ok_and(|shown| shown.json["data"]["version"] == version)
            });
        }
    }
}

impl Drop for Ruled<'_> {
    fn drop(&mut self) {
        self.cluster.node(self.cluster.leader()).delete(&format!("sys/mounts/{MOUNT}"));
    }
}

struct Proposed {
    id: String,
    proposal: Proposal,
}

impl Proposed {
    /// What one of the approvers sends.
    fn approval(&self, (name, seed): (&str, u8)) -> (String, Value) {
        let signature = key(seed).sign(self.proposal.to_be_signed(name).as_bytes());
        let body = json!({ "approver": name, "signature": Base64(signature.as_ref().to_vec()) });
        (format!("{MOUNT}/proposal/{}/approve", self.id), body)
    }
}

/// The deeds on record, as a node has them.
fn deeds(node: &Server) -> Vec<Act> {
    let ids = node.read(&format!("{MOUNT}/record?list=true")).json["data"]["keys"].clone();
    let read = |id: &Value| {
        let answer = node.read(&format!("{MOUNT}/record/{}", id.as_str().unwrap())).ok();
        let file = STANDARD.decode(answer.json["data"]["bundle"].as_str().unwrap()).unwrap();
        let record = File::parse(&file).unwrap().record;
        Deed::open(&record, &[node.verifier_key(MOUNT)], &AwsLcRs).unwrap().act
    };
    let mut deeds: Vec<Act> = ids.as_array().unwrap().iter().map(read).collect();
    deeds.sort_by_key(|act| act.name());
    deeds
}

fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

const PEOPLE: [(&str, u8); 2] = [("alice", 1), ("bob", 2)];

#[test]
fn an_approval_given_to_a_leader_that_dies_counts_under_the_next_one() {
    let cluster = rough();
    let ruled = Ruled::new(&cluster);
    let proposed = ruled.propose();
    let (path, body) = proposed.approval(PEOPLE[0]);
    let first = cluster.node(ruled.leader).write(&path, &body).ok();
    assert_eq!(first.json["data"]["counted"], json!(["alice"]));
    cluster.kill(ruled.leader);
    let next = cluster.leader_among(&others(ruled.leader));
    let (path, body) = proposed.approval(PEOPLE[1]);
    let mut applied = Value::Null;
    cluster.eventually("the second approval", || {
        let answer = cluster.node(next).try_write(&path, &body);
        applied = answer.map_or(Value::Null, |answer| answer.json["data"]["applied"].clone());
        applied.is_string()
    });
    cluster.revive(ruled.leader);
    cluster.settle();
    ruled.in_force(2);
    let acts = [Act::Applied, Act::Founded, Act::Proposed, Act::Approved];
    let mut acts = acts.to_vec();
    acts.sort_by_key(|act| act.name());
    assert_eq!(deeds(cluster.node(cluster.leader())), acts);
}

#[test]
fn an_approval_repeated_while_leaders_change_applies_the_change_once() {
    let cluster = rough();
    let ruled = Ruled::new(&cluster);
    let proposed = ruled.propose();
    let (path, body) = proposed.approval(PEOPLE[0]);
    cluster.node(ruled.leader).write(&path, &body).ok();
    let (path, body) = proposed.approval(PEOPLE[1]);
    std::thread::scope(|scope| {
        for node in cluster.nodes() {
            let (path, body) = (&path, &body);
            scope.spawn(move || {
                let done = || {
                    node.try_write(path, body).is_ok_and(|answer| answer.json["data"]["applied"].is_string())
                };
                cluster_eventually(done);
            });
        }
        cluster.node(ruled.leader).write("sys/step-down", &json!({})).ok();
    });
    cluster.settle();
    ruled.in_force(2);
    let deeds = deeds(cluster.node(cluster.leader()));
    assert_eq!(deeds.iter().filter(|act| **act == Act::Applied).count(), 1, "{deeds:?}");
    let text: Digest<32> = proposed.id.parse().unwrap();
    assert_eq!(text, proposed.proposal.id(&AwsLcRs));
}

/// As a client that asks again and again.
fn cluster_eventually(mut done: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !done() {
        assert!(began.elapsed().as_secs() < 60, "not in a minute");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
