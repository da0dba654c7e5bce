//! The plan of an import: what is new, what is kept, what is refused, and what the index is afterwards.
//!
//! Pure: nothing is stored here. What did not verify up to an anchor spoils the whole import; what is older than the
//! stored one, or has ended, is refused by itself.
//!
//! Trusted: the index. Untrusted: the candidates.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use attest::collateral::{Filed, Kind, Unfit};
use attest::{Digest, UnixTime};
use openbao_plugin::Error;
use serde::Serialize;

use super::candidate::Candidate;
use super::index::{Entry, Index, Origin};

/// What an import does.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The index afterwards.
    pub(crate) index: Index,
    /// The objects that are new, in the order in which they came.
    pub(crate) objects: Vec<(Digest<32>, Vec<u8>)>,
    pub(crate) told: Vec<Told>,
    pieces: BTreeSet<u8>,
}

/// What became of one object.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct Told {
    pub(crate) sha256: Digest<32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    pub(crate) outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

/// New, kept or refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// It was not there, or it replaced an older one.
    New,
    /// It was there.
    Kept,
    /// It may not be there.
    Refused,
}

impl Told {
    fn of(candidate: &Candidate, outcome: Outcome, why: Option<String>) -> Self {
        let filed = candidate.found.as_ref().ok();
        Self {
            sha256: candidate.digest,
            kind: filed.map(|filed| filed.kind),
            key: filed.map(|filed| filed.key.clone()),
            outcome,
            why,
        }
    }
}

impl Plan {
    /// What taking these does to the index.
    pub(crate) fn of(
        index: &Index,
        candidates: Vec<Candidate>,
        origin: Origin,
        now: UnixTime,
    ) -> Result<Self, Spoiled> {
        spoiled(&candidates)?;
        let (objects, told) = (Vec::new(), Vec::new());
        let mut plan = Self { index: index.next(), objects, told, pieces: BTreeSet::new() };
        for candidate in candidates {
            plan.take(candidate, origin, now)?;
        }
        Ok(plan)
    }

    /// The index without the object of this digest.
    pub(crate) fn without(index: &Index, digest: &Digest<32>) -> Option<Self> {
        let entry = index.named(digest).filter(|entry| entry.digest == *digest)?;
        let gone = Entry::clone(entry).gone();
        let mut index = index.next();
        let pieces = [index.insert(Arc::new(gone))].into();
        Some(Self { index, objects: Vec::new(), told: Vec::new(), pieces })
    }

    /// The changed pieces of the index, as they are stored.
    pub(crate) fn puts(&self) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let pieces = self.pieces.iter().map(|piece| self.index.piece(*piece));
        pieces.chain([Ok(self.index.revised())]).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// How many of each kind are new.
    pub(crate) fn counts(&self) -> BTreeMap<Kind, usize> {
        let mut counts = BTreeMap::new();
        for kind in self.told.iter().filter(|told| told.outcome == Outcome::New).filter_map(|told| told.kind)
        {
            let count: &mut usize = counts.entry(kind).or_default();
            *count = count.saturating_add(1);
        }
        counts
    }

    fn take(&mut self, candidate: Candidate, origin: Origin, now: UnixTime) -> Result<(), Spoiled> {
        let filed = match &candidate.found {
            Ok(filed) => filed.clone(),
            Err(why) => {
                self.told.push(Told::of(&candidate, Outcome::Refused, Some(why.to_string())));
                return Ok(());
            }
        };
        let stored = self.index.at(filed.kind, &filed.key).map(Arc::clone);
        let same = stored.as_ref().filter(|stored| stored.digest == candidate.digest);
        if same.is_some_and(|same| !same.withdrawn) {
            self.told.push(Told::of(&candidate, Outcome::Kept, None));
            return Ok(());
        }
        if let (None, Some(stored)) = (same, &stored)
            && let Err(older) = filed.succeeds(&stored.filed())
        {
            self.told.push(Told::of(&candidate, Outcome::Refused, Some(older.to_string())));
            return Ok(());
        }
        if stored.is_none() {
            self.make_room(&filed, now)?;
        }
        self.told.push(Told::of(&candidate, Outcome::New, None));
        let entry = Entry::new(filed, candidate.digest, origin, now);
        let entry = match &stored {
            Some(stored) if same.is_none() => entry.replacing(stored),
            _ => entry,
        };
        self.pieces.insert(self.index.insert(Arc::new(entry)));
        self.objects.push((candidate.digest, candidate.object));
        Ok(())
    }

    /// A place for one more of this kind.
    fn make_room(&mut self, filed: &Filed, now: UnixTime) -> Result<(), Spoiled> {
        let limit = most(filed.kind);
        if self.index.count(filed.kind) < limit {
            return Ok(());
        }
        // An ended list still forbids older ones; an ended key forbids nothing.
        if filed.kind == Kind::Vek {
            self.pieces.extend(self.index.forget_ended(Kind::Vek, now));
        }
        if self.index.count(filed.kind) < limit {
            Ok(())
        } else {
            Err(Spoiled::Full { kind: filed.kind, limit })
        }
    }
}

/// Refuses an import with an object that no vendor signed, or that nobody can read.
fn spoiled(candidates: &[Candidate]) -> Result<(), Spoiled> {
    let fatal = |candidate: &&Candidate| {
        matches!(candidate.found, Err(Unfit::NotGenuine(_) | Unfit::NotCollateral(_)))
    };
    let bad = candidates.iter().filter(fatal);
    let told = bad.map(|candidate| {
        let why = candidate.found.as_ref().err().map(ToString::to_string);
        Told::of(candidate, Outcome::Refused, why)
    });
    let told: Vec<Told> = told.take(MOST_TOLD).collect();
    if told.is_empty() { Ok(()) } else { Err(Spoiled::Objects(told)) }
}

/// Why nothing of an import is taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Spoiled {
    /// Objects that no vendor signed.
    #[error("collateral: expected objects that vendors signed, found {} others; nothing was stored: {}", .0.len(), first(.0))]
    Objects(Vec<Told>),
    /// No place.
    #[error("collateral: at most {limit} of kind {kind}; nothing was stored")]
    Full {
        /// Of which kind.
        kind: Kind,
        /// How many there may be.
        limit: usize,
    },
}

fn first(told: &[Told]) -> String {
    let first =
        told.first().map(|told| format!("{}: {}", told.sha256, told.why.as_deref().unwrap_or_default()));
    first.unwrap_or_default()
}

/// How many of a kind a store holds.
pub(crate) fn most(kind: Kind) -> usize {
    match kind {
        // As many as there are chips in a large fleet.
        Kind::Vek => 16_384,
        // As many as Intel has models.
        Kind::TcbInfo => 256,
        Kind::Issuer | Kind::Crl | Kind::RootCrl | Kind::PckCrl | Kind::QeIdentity | _ => 32,
    }
}

const MOST_TOLD: usize = 16;
