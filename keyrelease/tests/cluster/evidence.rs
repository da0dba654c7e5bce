//! What an auditor reads, on whichever node.

use std::collections::BTreeMap;

use attest::crypto::AwsLcRs;
use attest::log::{Audit, Entry, Fault, Head, Kind, NoteKey, Origin, RecordDigest, SignedCheckpoint, Tile};
use attest::{Bundle, File};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::cluster::Cluster;
use crate::server::Server;

/// The record of a decision, opened under the mount's key.
pub(crate) fn record(server: &Server, mount: &str, decision: &str) -> Bundle {
    Bundle::open(&file(server, mount, decision), &[server.verifier_key(mount)], &AwsLcRs).unwrap()
}

fn file(server: &Server, mount: &str, decision: &str) -> Vec<u8> {
    let answer = server.read(&format!("{mount}/record/{decision}")).ok();
    STANDARD.decode(answer.json["data"]["bundle"].as_str().unwrap()).unwrap()
}

/// The log of a mount, as one node shows it.
pub(crate) struct Log {
    pub(crate) head: Head,
    entries: BTreeMap<String, Entry>,
}

/// The key that an auditor pinned when the cluster was young.
#[derive(Clone, Debug)]
pub(crate) struct Pinned {
    origin: Origin,
    key: NoteKey,
}

impl Pinned {
    pub(crate) fn of(server: &Server, mount: &str) -> Self {
        let answer = server.read(&format!("{mount}/log/key")).ok();
        let text = |field: &str| answer.json["data"][field].as_str().unwrap().to_owned();
        let key = NoteKey::parse(&AwsLcRs, &text("verifier_key")).unwrap();
        Self { origin: Origin::new(&text("origin")).unwrap(), key }
    }

    /// What a node says its log's head is.
    pub(crate) fn head(&self, server: &Server, mount: &str) -> Head {
        let checkpoint = server.read(&format!("{mount}/log/checkpoint")).ok().bytes;
        let checkpoint = SignedCheckpoint::parse(&checkpoint).unwrap();
        checkpoint.open(&AwsLcRs, &self.origin, std::slice::from_ref(&self.key)).unwrap().head
    }

    /// Reads the whole log on one node: chain, tree and signed head agree, no decision is there twice, and every head
    /// that was seen before is a head that this log once had.
    pub(crate) fn audit(&self, server: &Server, mount: &str, earlier: &[Head]) -> Log {
        let head = self.head(server, mount);
        let mut entries = BTreeMap::new();
        let mut files = |tile: Tile| {
            let answer = server.read(&format!("{mount}/log/{}", tile.path()));
            Ok((answer.status == 200).then_some(answer.bytes))
        };
        let mut witnessed = |entry: &Entry| {
            entries.insert(entry.event.decision.0.to_string(), entry.clone());
            Ok(())
        };
        let audit: Result<(), Fault<String>> =
            Audit::whole(earlier).run(&AwsLcRs, &head, &mut files, &mut witnessed);
        audit.unwrap();
        Log { head, entries }
    }
}

/// Selectors of the chip and of the guest that a decision released to, by the log.
pub(crate) fn names_of(server: &Server, decision: &str) -> [String; 2] {
    let log = Pinned::of(server, "attest-keys").audit(server, "attest-keys", &[]);
    let subject = &log.release(decision).event.subject;
    [format!("hardware={}", subject.hardware.unwrap()), format!("instance={}", subject.instance.unwrap())]
}

impl Log {
    /// The entry of a revocation.
    #[track_caller]
    pub(crate) fn revocation(&self, decision: &str) -> &Entry {
        let entry = self.entries.get(decision).unwrap();
        assert_eq!(entry.event.kind, Kind::Revocation);
        entry
    }

    /// The entries of decisions by which a secret left.
    pub(crate) fn releases(&self) -> impl Iterator<Item = (&String, &Entry)> {
        let releases = |entry: &Entry| matches!(entry.event.kind, Kind::Admission | Kind::TokenRelease);
        self.entries.iter().filter(move |(_, entry)| releases(entry))
    }

    /// The entry of a decision by which a secret left.
    #[track_caller]
    pub(crate) fn release(&self, decision: &str) -> &Entry {
        let found = self.releases().find(|(id, _)| *id == decision);
        found.unwrap_or_else(|| panic!("{decision} is not in a log of {} entries", self.head.size)).1
    }
}

/// Each of these decisions released, by the log of every node, and its record is the one that the log names. The log
/// had these heads once.
pub(crate) fn on_record<'a>(
    cluster: &Cluster,
    pinned: &Pinned,
    earlier: &[Head],
    decisions: impl Iterator<Item = &'a str> + Clone,
) -> Log {
    let mount = "attest-keys";
    let active = pinned.audit(cluster.node(cluster.leader()), mount, earlier);
    for node in cluster.nodes() {
        // A standby follows; what it shows is the same log.
        cluster.eventually("the whole log", || pinned.head(node, mount).size >= active.head.size);
        let log = pinned.audit(node, mount, &[active.head]);
        for decision in decisions.clone() {
            assert_eq!(log.release(decision), active.release(decision));
        }
    }
    for decision in decisions {
        let entry = active.release(decision);
        if entry.event.kind == Kind::Admission {
            let file = file(cluster.node(cluster.leader()), mount, decision);
            let signed = File::parse(&file).unwrap().record;
            assert_eq!(RecordDigest::of(&AwsLcRs, &signed), entry.event.record);
        }
    }
    active
}
