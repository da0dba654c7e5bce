//! All of it in a row, while machines ask: kill, revoke, seal, cut, upgrade. What the clients hold in their hands
//! is compared with what the cluster has on record.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::json;

use crate::cluster::{Cluster, others, rough};
use crate::configuration::{NEW, OLD};
use crate::evidence::{Log, Pinned, on_record};
use crate::load::{Load, Note, chip_of};
use crate::requests::{Outcome, unanswered};
use crate::server::{SECRET, policy};

#[test]
fn through_kill_seal_partition_and_upgrade_every_release_is_on_record_and_none_follows_a_revocation() {
    let cluster = rough();
    let pinned = Pinned::of(cluster.node(0), "attest-keys");
    let mut revoked = None;
    let notes = Load::during(&cluster, MACHINES, |load| {
        load.resumes_on(&[0, 1, 2]);
        kill(&cluster, load);
        // Just before the next fault: whoever leads after it must know.
        revoked = Some(bar(&cluster));
        seal(&cluster, load);
        load.refuses(&CONDEMNED);
        let leader = cluster.leader();
        cluster.kill_plugins(leader);
        println!("plugin killed: first release after {:?}", load.resumes_on(&[0, 1, 2]));
        cut(&cluster, load);
        cluster.register_new_build();
        for mount in ["attest-keys", "auth/attest"] {
            cluster.upgrade(mount, NEW);
            println!("{mount} upgraded: first release after {:?}", load.resumes_on(&[0, 1, 2]));
        }
        load.refuses(&CONDEMNED);
    });
    cluster.settle();
    assert!(!cluster.logs().contains("panic"), "{}", cluster.logs());
    assert!(!cluster.logs().contains(SECRET));
    println!("{} requests; {:?}", notes.len(), unanswered(notes.iter().map(|note| &note.outcome)));
    every_release_is_on_record(&cluster, &pinned, &notes);
    nothing_after(revoked.unwrap(), &notes);
    for mount in ["attest-keys", "auth/attest"] {
        cluster.upgrade(mount, OLD);
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

/// Bars the chips of the condemned; the moment of the acknowledgement.
fn bar(cluster: &Cluster) -> Instant {
    let chips = CONDEMNED.map(|machine| hex::encode(chip_of(machine).chip_id()));
    let denied = format!("chips = {{ none_of = {chips:?} }}");
    let leader = cluster.node(cluster.leader());
    for mount in ["auth/attest", "attest-keys"] {
        let path = format!("{mount}/policy/simulated");
        let version = leader.read(&path).json["data"]["version"].as_u64().unwrap();
        let text = policy(version + 1).replace("chips = \"any\"", &denied);
        leader.write(&path, &json!({ "policy": text })).ok();
    }
    Instant::now()
}

fn every_release_is_on_record(cluster: &Cluster, pinned: &Pinned, notes: &[Note]) -> Log {
    let released: Vec<&str> = notes.iter().filter_map(Note::decision).collect();
    let distinct: BTreeSet<&str> = released.iter().copied().collect();
    assert_eq!(distinct.len(), released.len(), "no decision releases twice");
    println!("{} secrets released", released.len());
    on_record(cluster, pinned, released.into_iter())
}

fn nothing_after(revoked: Instant, notes: &[Note]) {
    let released = |note: &Note| note.answered < revoked && note.decision().is_some();
    for machine in CONDEMNED {
        assert!(notes.iter().any(|note| note.machine == machine && released(note)), "{notes:?}");
    }
    let theirs = notes.iter().filter(|note| CONDEMNED.contains(&note.machine));
    for note in theirs.filter(|note| note.asked > revoked) {
        assert!(note.decision().is_none(), "{note:?}");
        if let Outcome::Refused(checks) = &note.outcome {
            assert_eq!(*checks, ["snp.chip"]);
        }
    }
}

const MACHINES: usize = 5;
/// The machines whose chips are barred on the way: one that brings evidence for each secret, one that logs in.
const CONDEMNED: [usize; 2] = [1, 3];
