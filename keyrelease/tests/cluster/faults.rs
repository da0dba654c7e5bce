//! A fault in the middle of releases: what was released is on record, what is on record was released at most once,
//! and no hand is needed afterwards.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use protocol::release::Presentation;
use serde_json::json;

use crate::cluster::{Cluster, NODES, others, rough};
use crate::evidence::{Pinned, names_of, on_record};
use crate::machine::{Machine, sealed};
use crate::requests::{
    Outcome, prepare, present_once, present_until_answered, reinstate, revoke, unanswered,
};
use crate::server::{SECRET, Server};

#[test]
fn a_leader_killed_amid_releases_leaves_every_release_on_record_and_every_challenge_good() {
    let cluster = rough();
    let leader = cluster.leader();
    let attempts = amid_releases(&cluster, || cluster.kill(leader));
    cluster.revive(leader);
    cluster.settle();
    all_on_record(&cluster, &attempts);
}

/// Whoever unseals it is a person; the two others need nobody.
#[test]
fn a_leader_sealed_amid_releases_hands_over_and_joins_again_once_unsealed() {
    let cluster = rough();
    let leader = cluster.leader();
    let attempts = amid_releases(&cluster, || {
        // On a busy machine its answer is late: that it is sealed is seen below.
        drop(cluster.node(leader).try_write("sys/seal", &json!({})));
    });
    cluster.eventually("a sealed leader", || {
        let answer = cluster.node(leader).try_write("attest-keys/challenge", &json!({}));
        answer.is_ok_and(|said| (said.status, said.errors().as_str()) == (503, "Vault is sealed"))
    });
    // Under a static seal the server unseals itself when it starts.
    cluster.kill(leader);
    cluster.revive(leader);
    cluster.settle();
    all_on_record(&cluster, &attempts);
}

#[test]
fn a_leader_that_steps_down_amid_releases_loses_none() {
    let cluster = rough();
    let leader = cluster.leader();
    let attempts = amid_releases(&cluster, || {
        cluster.node(leader).write("sys/step-down", &json!({})).ok();
    });
    all_on_record(&cluster, &attempts);
}

#[test]
fn a_plugin_killed_on_the_leader_amid_releases_comes_back_and_loses_none() {
    let cluster = rough();
    let leader = cluster.leader();
    let attempts = amid_releases(&cluster, || cluster.kill_plugins(leader));
    assert_eq!(cluster.leader(), leader, "the server itself never ended");
    all_on_record(&cluster, &attempts);
}

#[test]
fn a_leader_cut_off_amid_releases_is_replaced_and_follows_once_the_links_are_whole() {
    let cluster = rough();
    let leader = cluster.leader();
    let attempts = amid_releases(&cluster, || cluster.cut(leader));
    cluster.heal(leader);
    cluster.settle();
    all_on_record(&cluster, &attempts);
}

/// It can draw a challenge, and that is all: what it is asked beyond that waits for the leader it cannot reach, until
/// the client gives up.
#[test]
fn a_standby_cut_off_releases_nothing_and_the_others_do_not_notice() {
    let cluster = rough();
    let [standby, other] = cluster.standbys();
    let machine = Machine::good();
    cluster.cut(standby);
    let presentation = prepare(&machine, cluster.node(standby));
    let began = Instant::now();
    std::thread::scope(|scope| {
        let hurried = cluster.node(standby).hurried();
        let presentation = &presentation;
        let asking = scope.spawn(move || (present_once(&hurried, presentation), began.elapsed()));
        for node in [other, cluster.leader(), other] {
            let outcome = present_once(cluster.node(node), &prepare(&machine, cluster.node(node)));
            assert!(matches!(outcome, Outcome::Released(_)), "{outcome:?}");
        }
        let (outcome, waited) = asking.join().unwrap();
        println!("cut off from its leader: {outcome:?} after {waited:?}");
        assert!(!outcome.is_answer(), "{outcome:?}");
    });
    // Nobody heard of it, so it is still good.
    let elsewhere = present_until_answered(&[cluster.node(other).clone()], &presentation);
    assert!(matches!(elsewhere.last(), Some(Outcome::Released(_))), "{elsewhere:?}");
    cluster.heal(standby);
    cluster.settle();
}

/// Lesson of every key service: who cannot reach the majority must not release.
#[test]
fn a_leader_without_a_majority_releases_nothing_and_uses_no_challenge_up() {
    let cluster = rough();
    let leader = cluster.leader();
    let machine = Machine::good();
    let presentations: Vec<Presentation> = (0..4).map(|_| prepare(&machine, cluster.node(leader))).collect();
    cluster.cut(leader);
    // At once, when it still believes that it leads, and later.
    let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
        let node = cluster.node(leader);
        let ask = |presentation| scope.spawn(move || present_once(node, presentation));
        let asking: Vec<_> = presentations.iter().map(ask).collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    println!("without a majority: {outcomes:?}");
    assert!(!outcomes.iter().any(Outcome::is_answer), "{outcomes:?}");
    let elected = cluster.leader_among(&others(leader));
    let later = present_once(cluster.node(leader), &presentations[0]);
    assert!(!later.is_answer(), "{later:?}");
    // What the minority could not record the majority has never heard of.
    for presentation in &presentations {
        let outcomes = present_until_answered(&[cluster.node(elected).clone()], presentation);
        assert!(matches!(outcomes.last(), Some(Outcome::Released(_))), "{outcomes:?}");
    }
    cluster.heal(leader);
    cluster.settle();
    for presentation in &presentations {
        let again = present_once(cluster.node(leader), presentation);
        assert!(matches!(&again, Outcome::Refused(checks) if *checks == ["challenge.unused"]), "{again:?}");
    }
}

/// A bar that was acknowledged holds on whoever leads next.
#[test]
fn a_revocation_acknowledged_just_before_the_leader_dies_binds_the_next_one() {
    let cluster = rough();
    let leader = cluster.leader();
    let machine = Machine::good();
    // The others have it all in memory.
    for node in cluster.nodes() {
        assert!(matches!(present_once(node, &prepare(&machine, node)), Outcome::Released(_)));
    }
    let decision = sealed(&machine.open(cluster.node(leader))).decision;
    let [chip, _] = names_of(cluster.node(leader), &decision);
    revoke(cluster.node(leader), &chip);
    cluster.kill(leader);
    let survivors = others(leader).map(|node| cluster.node(node).clone());
    for survivor in &survivors {
        let outcomes = present_until_answered(&survivors, &prepare(&machine, survivor));
        let last = outcomes.last().unwrap();
        assert!(matches!(last, Outcome::Refused(checks) if *checks == ["standing.revoked"]), "{outcomes:?}");
    }
    cluster.revive(leader);
    cluster.settle();
    reinstate(cluster.node(leader), "revoked", &chip);
    assert_eq!(machine.open(cluster.node(leader)).status, 200);
}

/// What one client got for one challenge.
struct Attempt {
    decision: String,
    outcomes: Vec<Outcome>,
    done: Instant,
}

/// Clients on all nodes present evidence; a third of the way something happens. Nobody changes what they present:
/// who got no answer asks again, elsewhere.
fn amid_releases(cluster: &Cluster, event: impl FnOnce()) -> Vec<Attempt> {
    let machine = Machine::good();
    let prepared = |turn: usize| prepare(&machine, cluster.node(turn % NODES));
    let presentations: Vec<Presentation> = (0..RELEASES).map(prepared).collect();
    let next = AtomicUsize::new(0);
    let (attempts, began) = std::thread::scope(|scope| {
        let client = |number| {
            let (next, presentations) = (&next, &presentations);
            scope.spawn(move || attempts(cluster, number, next, presentations))
        };
        let clients: Vec<_> = (0..CLIENTS).map(client).collect();
        cluster.eventually("a third", || next.load(Ordering::Relaxed) > RELEASES / 3);
        let began = Instant::now();
        event();
        let attempts = clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<_>>();
        (attempts, began)
    });
    let recovered = attempts.iter().filter(|attempt| attempt.outcomes.len() > 1);
    let recovered = recovered.map(|attempt| attempt.done - began).min();
    println!(
        "first answer after a failed one: {recovered:?}; {:?}",
        unanswered(attempts.iter().flat_map(|attempt| &attempt.outcomes))
    );
    assert_eq!(attempts.len(), RELEASES);
    for attempt in &attempts {
        attempt.check(&machine);
    }
    attempts
}

fn attempts(
    cluster: &Cluster,
    client: usize,
    next: &AtomicUsize,
    presentations: &[Presentation],
) -> Vec<Attempt> {
    let nodes: Vec<Server> = cluster.nodes().iter().cycle().skip(client).take(NODES).cloned().collect();
    let turns = std::iter::from_fn(|| presentations.get(next.fetch_add(1, Ordering::Relaxed)));
    let attempt = |presentation: &Presentation| {
        let outcomes = present_until_answered(&nodes, presentation);
        Attempt { decision: hex::encode(&presentation.challenge.0[..32]), outcomes, done: Instant::now() }
    };
    turns.map(attempt).collect()
}

impl Attempt {
    /// The challenge was honoured once; when the answer to that was lost, it is known to be used. That may be the first
    /// answer that a client sees: OpenBao itself runs a request again whose plugin died under it. The log says whether
    /// it was honoured.
    fn check(&self, machine: &Machine) {
        match (self.outcomes.len(), self.outcomes.last().unwrap()) {
            (_, Outcome::Released(sealed)) => {
                assert_eq!(sealed.decision, self.decision);
                assert_eq!(machine.key.field(sealed, "password").as_deref(), Some(SECRET));
            }
            (1.., Outcome::Refused(checks)) => assert_eq!(*checks, ["challenge.unused"]),
            _ => panic!("{:?}", self.outcomes),
        }
    }
}

/// Every one of these was admitted once, by the log of every node.
fn all_on_record(cluster: &Cluster, attempts: &[Attempt]) {
    let pinned = Pinned::of(cluster.node(cluster.leader()), "attest-keys");
    on_record(cluster, &pinned, &[], attempts.iter().map(|attempt| attempt.decision.as_str()));
}

const CLIENTS: usize = 4;
const RELEASES: usize = 48;
