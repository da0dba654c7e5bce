//! The index: of what kind an object is, for whom, until when it is good, where it came from.
//!
//! Entries lie in storage in pieces ([`piece_of`]) and are read together. An entry that an operator withdrew stays
//! without its object: what it forbids, it goes on forbidding.
//!
//! Trusted: the storage.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use attest::collateral::{Filed, Kind, Want};
use attest::crypto::AwsLcRs;
use attest::{Crypto, Digest, UnixTime, Window};
use minicbor::{Decode, Encode};
use openbao_plugin::{Error, Storage};

use super::INDEX;
use crate::governance::items::number;

/// What is known of one object.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub(crate) struct Entry {
    #[n(0)]
    pub(crate) kind: Kind,
    #[n(1)]
    pub(crate) key: String,
    #[n(2)]
    pub(crate) digest: Digest<32>,
    #[n(3)]
    from: UnixTime,
    #[n(4)]
    pub(crate) until: UnixTime,
    #[n(5)]
    edition: u32,
    #[n(6)]
    pub(crate) origin: Origin,
    /// When it was taken.
    #[n(7)]
    pub(crate) at: UnixTime,
    /// Digests of the latest that it replaced, the latest first.
    #[n(8)]
    before: Vec<Digest<32>>,
    #[n(9)]
    pub(crate) withdrawn: bool,
}

/// Who brought an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode, serde::Serialize, serde::Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Origin {
    /// A machine that was admitted with it.
    #[n(1)]
    Client,
    #[n(2)]
    Pack,
    #[n(3)]
    Refresh,
    #[n(4)]
    Operator,
}

impl Entry {
    pub(crate) fn new(filed: Filed, digest: Digest<32>, origin: Origin, at: UnixTime) -> Self {
        let Filed { kind, key, window, edition } = filed;
        let before = Vec::new();
        Self {
            kind,
            key,
            digest,
            from: window.from,
            until: window.until,
            edition,
            origin,
            at,
            before,
            withdrawn: false,
        }
    }

    pub(crate) fn filed(&self) -> Filed {
        let window = Window { from: self.from, until: self.until };
        Filed { kind: self.kind, key: self.key.clone(), window, edition: self.edition }
    }

    /// Without its object: what it forbids, it goes on forbidding.
    pub(crate) fn gone(self) -> Self {
        Self { withdrawn: true, ..self }
    }

    /// Remembers what it replaces: a machine may still name that by its digest.
    pub(crate) fn replacing(mut self, old: &Self) -> Self {
        self.before = [old.digest].iter().chain(&old.before).take(MOST_BEFORE).copied().collect();
        self
    }
}

/// The whole index.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// How many imports there were. Whoever changes the index rests on it.
    revision: u64,
    entries: BTreeMap<(Kind, String), Placed>,
    names: HashMap<Digest<32>, (Kind, String)>,
}

#[derive(Clone, Debug)]
struct Placed {
    entry: Arc<Entry>,
    piece: u8,
}

impl Index {
    pub(crate) async fn load(storage: &Storage) -> Result<Self, Error> {
        // First: what changes while the pieces are read makes them those of an earlier revision.
        let revision = number(storage.get(&revision_key()).await?.as_deref());
        let mut index = Self { revision, ..Self::default() };
        for name in storage.list(INDEX).await?.into_iter().filter(|name| name != REVISION) {
            let key = format!("{INDEX}{name}");
            let Some(bytes) = storage.get(&key).await? else { continue };
            let damaged = |error| Error::Internal(format!("stored {key}: {error}"));
            for entry in minicbor::decode::<Vec<Entry>>(&bytes).map_err(damaged)? {
                index.insert(Arc::new(entry));
            }
        }
        Ok(index)
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// A copy to be changed.
    pub(crate) fn next(&self) -> Self {
        Self { revision: self.revision.saturating_add(1), ..self.clone() }
    }

    /// What is stored of the revision.
    pub(crate) fn revised(&self) -> (String, Vec<u8>) {
        (revision_key(), self.revision.to_string().into_bytes())
    }

    /// What has to be stored still when this takes the place of the revision before.
    pub(crate) fn ground(&self) -> (String, Option<Vec<u8>>) {
        let before = self.revision.saturating_sub(1);
        (revision_key(), (before > 0).then(|| before.to_string().into_bytes()))
    }

    /// The entry of a digest: its own, or that of what replaced it.
    pub(crate) fn named(&self, digest: &Digest<32>) -> Option<&Arc<Entry>> {
        let place = self.names.get(digest)?;
        self.entries.get(place).map(|placed| &placed.entry).filter(|entry| !entry.withdrawn)
    }

    /// What fits a want; a few at most.
    pub(crate) fn fitting<'i>(&'i self, want: &'i Want) -> impl Iterator<Item = &'i Arc<Entry>> {
        let from = (want.kind, want.key.clone());
        let near = self
            .entries
            .range(from..)
            .take_while(move |((kind, key), _)| *kind == want.kind && key.starts_with(&want.key));
        let fitting = near.filter(move |((_, key), _)| want.fits(key)).map(|(_, placed)| &placed.entry);
        fitting.filter(|entry| !entry.withdrawn).take(MOST_FITTING)
    }

    pub(crate) fn at(&self, kind: Kind, key: &str) -> Option<&Arc<Entry>> {
        self.entries.get(&(kind, key.to_owned())).map(|placed| &placed.entry)
    }

    /// The entries of a kind that have an object.
    pub(crate) fn of(&self, kind: Kind) -> impl Iterator<Item = &Arc<Entry>> {
        self.all().filter(move |entry| entry.kind == kind)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.values().map(|placed| &placed.entry).filter(|entry| !entry.withdrawn)
    }

    /// Whether a chip is known, at whatever TCB.
    pub(crate) fn knows(&self, kind: Kind, chip: &str) -> bool {
        let want = Want { kind, key: chip.to_owned() };
        self.fitting(&want).next().is_some()
    }

    /// How many places of a kind are taken.
    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.entries.keys().filter(|(found, _)| *found == kind).count()
    }

    /// Puts an entry in its place; which piece of the storage that is.
    pub(crate) fn insert(&mut self, entry: Arc<Entry>) -> u8 {
        let place = (entry.kind, entry.key.clone());
        let piece = piece_of(entry.kind, &entry.key);
        for name in [entry.digest].iter().chain(&entry.before) {
            self.names.insert(*name, place.clone());
        }
        self.entries.insert(place, Placed { entry, piece });
        piece
    }

    /// Makes room: forgets keys of chips that ended. Which pieces that changes.
    pub(crate) fn forget_ended(&mut self, kind: Kind, now: UnixTime) -> Vec<u8> {
        let ended = |placed: &Placed| placed.entry.kind == kind && placed.entry.until <= now;
        let gone: Vec<(Kind, String)> =
            self.entries.iter().filter(|(_, placed)| ended(placed)).map(|(place, _)| place.clone()).collect();
        let removed = gone.iter().filter_map(|place| self.entries.remove(place));
        let pieces = removed.map(|placed| placed.piece).collect();
        self.names.retain(|_, place| self.entries.contains_key(place));
        pieces
    }

    /// A piece as it is stored: its key and its bytes.
    pub(crate) fn piece(&self, piece: u8) -> Result<(String, Vec<u8>), Error> {
        let inside = self.entries.values().filter(|placed| placed.piece == piece);
        let entries: Vec<&Entry> = inside.map(|placed| placed.entry.as_ref()).collect();
        let unwritable = |error| Error::Internal(format!("collateral index: {error}"));
        let bytes = minicbor::to_vec(&entries).map_err(unwritable)?;
        Ok((format!("{INDEX}{piece:02x}"), bytes))
    }
}

fn revision_key() -> String {
    format!("{INDEX}{REVISION}")
}

fn piece_of(kind: Kind, key: &str) -> u8 {
    let Digest([first, ..]) = AwsLcRs.sha256(&[kind.name().as_bytes(), b"/", key.as_bytes()]);
    first
}

/// How many earlier digests an entry remembers.
const MOST_BEFORE: usize = 4;
/// How many objects serve one want: several providers' keys of one TCB.
const MOST_FITTING: usize = 3;
/// The name beside those of the pieces.
const REVISION: &str = "revision";
