//! All of it in a row, while machines ask: kill, revoke, seal, cut, upgrade. What the clients hold in their hands
//! is compared with what the cluster has on record.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Instant;

use attest::log::{Entry, Head};
use serde_json::json;

use crate::cluster::{Cluster, others, rough};
use crate::configuration::{NEW, OLD};
use crate::evidence::{Log, Pinned, names_of, on_record};
use crate::load::{Load, Note};
use crate::requests::{Outcome, reinstate, revoke, unanswered};
use crate::server::SECRET;

#[test]
fn through_kill_seal_partition_and_upgrade_every_release_is_on_record_and_none_follows_a_revocation() {
    let cluster = rough();
    let auditor = Auditor::of(&cluster);
    let mut revoked = Vec::new();
    let notes = Load::during(&cluster, MACHINES, |load| {
        load.resumes_on(&[0, 1, 2]);
        auditor.looks();
        kill(&cluster, load);
        auditor.looks();
        // Just before the next fault: whoever leads after it must know.
        revoked = revoke_the_condemned(&cluster, load);
        seal(&cluster, load);
        load.refuses(&CONDEMNED);
        kill_plugins(&cluster, load);
        auditor.looks();
        cut(&cluster, load);
        auditor.looks();
        upgrade(&cluster, load);
        load.refuses(&CONDEMNED);
    });
    cluster.settle();
    println!("{} requests; {:?}", notes.len(), unanswered(notes.iter().map(|note| &note.outcome)));
    assert!(!cluster.logs().contains("panic"), "{}", cluster.logs());
    assert!(!cluster.logs().contains(SECRET));
    let log = auditor.finds_on_record(&notes);
    for revocation in &revoked {
        nothing_follows(revocation, &notes, &log);
        reinstate(cluster.node(cluster.leader()), "revoked", &revocation.selector);
    }
    for mount in MOUNTS {
        cluster.upgrade(mount, OLD);
    }
}

/// Somebody who keeps the heads of both logs that were shown on the way.
struct Auditor<'a> {
    cluster: &'a Cluster,
    pinned: [Pinned; 2],
    heads: RefCell<[Vec<Head>; 2]>,
}

impl<'a> Auditor<'a> {
    fn of(cluster: &'a Cluster) -> Self {
        let pinned = MOUNTS.map(|mount| Pinned::of(cluster.node(cluster.leader()), mount));
        Self { cluster, pinned, heads: RefCell::default() }
    }

    fn looks(&self) {
        let node = self.cluster.node(self.cluster.leader());
        let logs = MOUNTS.iter().zip(&self.pinned);
        for ((mount, pinned), heads) in logs.zip(self.heads.borrow_mut().iter_mut()) {
            heads.push(pinned.head(node, mount));
        }
    }

    /// Every secret that a client got is in the log of every node, each under a decision of its own; the logs of both
    /// mounts are whole, and contain all that was ever shown of them.
    fn finds_on_record(&self, notes: &[Note]) -> Log {
        let released: Vec<&str> = notes.iter().filter_map(Note::decision).collect();
        let distinct: BTreeSet<&str> = released.iter().copied().collect();
        assert_eq!(distinct.len(), released.len(), "no decision releases twice");
        println!("{} secrets released", released.len());
        let [keys, logins] = &self.pinned;
        let heads = self.heads.borrow();
        logins.audit(self.cluster.node(self.cluster.leader()), "auth/attest", &heads[1]);
        on_record(self.cluster, keys, &heads[0], released.into_iter())
    }
}

fn kill(cluster: &Cluster, load: &Load<'_>) {
    let leader = cluster.leader();
    cluster.kill(leader);
    println!("leader killed: first release after {:?}", load.resumes_on(&others(leader)));
    cluster.revive(leader);
    cluster.settle();
    load.resumes_on(&[leader]);
}

fn seal(cluster: &Cluster, load: &Load<'_>) {
    let leader = cluster.leader();
    cluster.node(leader).write("sys/seal", &json!({})).ok();
    println!("leader sealed: first release after {:?}", load.resumes_on(&others(leader)));
    cluster.kill(leader);
    cluster.revive(leader);
    cluster.settle();
}

fn cut(cluster: &Cluster, load: &Load<'_>) {
    let leader = cluster.leader();
    cluster.cut(leader);
    println!("leader cut off: first release after {:?}", load.resumes_on(&others(leader)));
    cluster.heal(leader);
    println!("healed: first release on it after {:?}", load.resumes_on(&[leader]));
    cluster.settle();
}

fn kill_plugins(cluster: &Cluster, load: &Load<'_>) {
    cluster.kill_plugins(cluster.leader());
    println!("plugin killed: first release after {:?}", load.resumes_on(&[0, 1, 2]));
}

fn upgrade(cluster: &Cluster, load: &Load<'_>) {
    cluster.register_new_build();
    for mount in MOUNTS {
        cluster.upgrade(mount, NEW);
        println!("{mount} upgraded: first release after {:?}", load.resumes_on(&[0, 1, 2]));
    }
}

/// What an operator did, and was told.
struct Revocation {
    machine: usize,
    selector: String,
    decision: String,
    acknowledged: Instant,
}

/// Revokes the chips of the condemned.
fn revoke_the_condemned(cluster: &Cluster, load: &Load<'_>) -> Vec<Revocation> {
    let leader = cluster.node(cluster.leader());
    let names = CONDEMNED.map(|machine| names_of(leader, &load.last_decision(machine)));
    let revoked = names.into_iter().zip(CONDEMNED).map(|([selector, _], machine)| {
        let decision = revoke(leader, &selector);
        Revocation { machine, selector, decision, acknowledged: Instant::now() }
    });
    revoked.collect()
}

/// By the clients' notes, and by the log alone.
fn nothing_follows(revocation: &Revocation, notes: &[Note], log: &Log) {
    let index = log.revocation(&revocation.decision).index;
    let hardware = |entry: &Entry| entry.event.subject.hardware.map(|name| format!("hardware={name}"));
    let theirs = |entry: &&Entry| hardware(entry).as_deref() == Some(revocation.selector.as_str());
    let releases: Vec<u64> =
        log.releases().map(|(_, entry)| entry).filter(theirs).map(|entry| entry.index).collect();
    assert!(!releases.is_empty(), "it was released to before");
    assert!(releases.iter().all(|release| *release < index), "{releases:?}, revoked at {index}");
    let later = |note: &&Note| note.machine == revocation.machine && note.asked > revocation.acknowledged;
    for note in notes.iter().filter(later) {
        match &note.outcome {
            Outcome::Refused(why) => assert!(why.iter().any(|why| why.contains("revoked")), "{note:?}"),
            Outcome::Unanswered(_) => {}
            Outcome::Released(_) => panic!("{note:?}"),
        }
    }
}

const MOUNTS: [&str; 2] = ["attest-keys", "auth/attest"];
const MACHINES: usize = 5;
/// The machines whose chips are revoked on the way: one that brings evidence for each secret, one that logs in.
const CONDEMNED: [usize; 2] = [1, 3];
