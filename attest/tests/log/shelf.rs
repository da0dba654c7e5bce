//! A log on a shelf: files by path, made as a server makes them, for tests to spoil.

use std::collections::BTreeMap;

use attest::crypto::AwsLcRs;
use attest::log::{
    Audit, Checkpoint, DecisionId, Edge, Entry, EntryDigest, Event, Fault, Head, KeyName, Kind, Level,
    NoteKey, Origin, RecordDigest, SignatureKind, SignedNote, Subject, Tail, Tampered, Text, Tile, bundle,
    leaf_hash,
};
use attest::{Crypto, Digest, UnixTime};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

pub(crate) const ORIGIN: &str = "bao.example/attest-keys";

/// Files by their path below the log's prefix.
#[derive(Clone, Default)]
pub(crate) struct Shelf(pub(crate) BTreeMap<String, Vec<u8>>);

/// What a server knows.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) shelf: Shelf,
    pub(crate) entries: Vec<Vec<u8>>,
    tail: Tail,
    edge: Edge,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self { shelf: Shelf::default(), entries: Vec::new(), tail: Tail::EMPTY, edge: Edge::default() }
    }

    /// A server that logged this many releases.
    pub(crate) fn with(count: u64) -> Self {
        let mut server = Self::new();
        (0..count).for_each(|number| server.log(release(number)));
        server.commit();
        server
    }

    pub(crate) fn log(&mut self, event: Event) {
        let (_, bytes) = self.tail.append(&AwsLcRs, event).unwrap();
        self.push(bytes);
    }

    /// Appends bytes that the tail need not agree with.
    pub(crate) fn push(&mut self, bytes: Vec<u8>) {
        for (tile, bytes) in self.edge.append(&AwsLcRs, leaf_hash(&AwsLcRs, &bytes)) {
            self.shelf.0.insert(tile.path(), bytes);
        }
        self.entries.push(bytes);
    }

    /// Stores bundles and the tiles that are not full.
    pub(crate) fn commit(&mut self) {
        let size = self.head().size;
        for (place, entries) in self.entries.chunks(256).enumerate() {
            let tile = Tile::in_tree(Level::Entries, u64::try_from(place).unwrap(), size).unwrap();
            self.shelf.0.insert(tile.path(), bundle(entries.iter().map(Vec::as_slice)).unwrap());
        }
        self.shelf.0.extend(self.edge.partial().map(|(tile, bytes)| (tile.path(), bytes)));
    }

    pub(crate) fn head(&self) -> Head {
        self.edge.head(&AwsLcRs)
    }

    /// A server whose entries are these, in the shelf and in the tree: as if the log had been written so.
    pub(crate) fn rewritten(entries: &[Vec<u8>]) -> Self {
        let mut server = Self::new();
        for bytes in entries {
            server.push(bytes.clone());
        }
        server.commit();
        server
    }
}

impl Shelf {
    /// Puts other entries into a bundle.
    pub(crate) fn replace(&mut self, path: &str, entries: &[Vec<u8>]) {
        assert!(self.0.contains_key(path), "{path}");
        self.0.insert(path.to_owned(), bundle(entries.iter().map(Vec::as_slice)).unwrap());
    }

    pub(crate) fn audit(&self, head: &Head, earlier: &[Head]) -> Result<Vec<Entry>, Fault<String>> {
        self.run(Audit::whole(earlier), head)
    }

    pub(crate) fn run(&self, audit: Audit, head: &Head) -> Result<Vec<Entry>, Fault<String>> {
        let mut seen = Vec::new();
        let mut files = |tile: Tile| Ok(self.0.get(&tile.path()).cloned());
        audit.run(&AwsLcRs, head, &mut files, &mut |entry| {
            seen.push(entry.clone());
            Ok(())
        })?;
        Ok(seen)
    }

    pub(crate) fn fault(&self, head: &Head) -> Tampered {
        tampered(self.audit(head, &[]))
    }
}

pub(crate) fn tampered<T: std::fmt::Debug>(result: Result<T, Fault<String>>) -> Tampered {
    match result {
        Err(Fault::Tampered(tampered)) => tampered,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn release(number: u64) -> Event {
    Event {
        kind: Kind::TokenRelease,
        at: UnixTime(1_795_284_000 + number),
        decision: DecisionId(AwsLcRs.sha256(&[b"decision", &number.to_be_bytes()])),
        under: None,
        request: Text::new(format!("release number {number}")).unwrap(),
        record: RecordDigest::of(&AwsLcRs, &number.to_be_bytes()),
        subject: Subject::default(),
    }
}

/// The entry with this index, as an honest log would write it, changed by `change`.
pub(crate) fn edited(bytes: &[u8], change: impl FnOnce(&mut Entry)) -> Vec<u8> {
    let mut entry = Entry::decode(bytes).unwrap();
    change(&mut entry);
    entry.encode().unwrap()
}

pub(crate) fn leaf(bytes: &[u8]) -> Digest<32> {
    leaf_hash(&AwsLcRs, bytes).0
}

pub(crate) fn digest(bytes: &[u8]) -> EntryDigest {
    EntryDigest::of(&AwsLcRs, bytes)
}

/// Somebody who signs notes.
pub(crate) struct Signer {
    pub(crate) key: NoteKey,
    pair: Ed25519KeyPair,
}

impl Signer {
    pub(crate) fn new(name: &str, kind: SignatureKind, seed: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let key = pair.public_key().as_ref().try_into().unwrap();
        Self { key: NoteKey { name: KeyName::new(name).unwrap(), kind, key }, pair }
    }

    pub(crate) fn log() -> Self {
        Self::new(ORIGIN, SignatureKind::Ed25519, 1)
    }

    pub(crate) fn sign(&self, text: &str) -> String {
        self.key.line(&AwsLcRs, self.pair.sign(text.as_bytes()).as_ref())
    }

    pub(crate) fn cosign(&self, text: &str, at: u64) -> String {
        let message = Checkpoint::to_be_cosigned(text, UnixTime(at));
        let signature = self.pair.sign(message.as_bytes());
        self.key.line(&AwsLcRs, &[&at.to_be_bytes(), signature.as_ref()].concat())
    }
}

pub(crate) fn origin() -> Origin {
    Origin::new(ORIGIN).unwrap()
}

pub(crate) fn checkpoint(head: Head, lines: impl Fn(&str) -> Vec<String>) -> Vec<u8> {
    let text = Checkpoint { origin: origin(), head }.to_text();
    SignedNote::assemble(&text, &lines(&text)).unwrap()
}
