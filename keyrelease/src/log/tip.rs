//! The end of the log, in memory and in storage.
//!
//! One stored value, the *head*, says how far the log reaches: the last entry, the tree's edge and the signed checkpoint.
//! Entries of a bundle that is not full lie in pieces, one for each commit, in slots that the next bundle uses again: what
//! a slot held before is known by its first index.
//!
//! Trusted: the storage; all the same, what does not fit together is an error and nothing is appended to it.

use attest::crypto::AwsLcRs;
use attest::log::{Edge, Entry, Level, Tail, Tile, Width, bundle, entries};
use attest::{Malformed, UnixTime};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use openbao_plugin::{Error, Storage};

use super::recent::Recent;
use crate::record::DecisionId;

/// The head, as it is stored.
#[derive(Debug, Encode, Decode)]
pub(super) struct Head {
    #[n(0)]
    pub(super) size: u64,
    /// The bytes of the last entry.
    #[n(1)]
    pub(super) last: ByteVec,
    /// The tiles that are not full, by level.
    #[n(2)]
    pub(super) edge: Vec<(u8, ByteVec)>,
    /// The signed checkpoint.
    #[n(3)]
    pub(super) checkpoint: ByteVec,
}

impl Head {
    /// Where it is stored.
    pub(super) const KEY: &'static str = "log/head";

    /// Of a log without entries.
    fn empty() -> Self {
        Self { size: 0, last: Vec::new().into(), edge: Vec::new(), checkpoint: Vec::new().into() }
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        minicbor::decode(bytes).map_err(|why| damaged(&why))
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, Error> {
        minicbor::to_vec(self).map_err(|why| damaged(&why))
    }

    /// The bytes of a tile at the edge.
    pub(super) fn partial(&self, level: u8) -> Option<&[u8]> {
        self.edge.iter().find(|(at, _)| *at == level).map(|(_, bytes)| bytes.as_slice())
    }

    fn tail(&self) -> Result<Tail, Error> {
        if self.size == 0 {
            return Ok(Tail::EMPTY);
        }
        let tail = Tail::after(&AwsLcRs, &self.last).map_err(|why| damaged(&why))?;
        if tail.count() == self.size { Ok(tail) } else { Err(damaged(&"its last entry has another index")) }
    }

    fn edge(&self) -> Result<Edge, Error> {
        let missing = Malformed::Length { what: "tile at the edge", expected: 32, found: 0 };
        let read = &mut |tile: Tile| match tile.level {
            Level::Hashes(level) => self.partial(level).map(<[u8]>::to_vec).ok_or_else(|| missing.clone()),
            Level::Entries => Err(missing.clone()),
        };
        Edge::load::<Malformed>(self.size, read).map_err(|why| damaged(&why))
    }
}

/// The end of the log, ready to be appended to.
#[derive(Debug)]
pub(super) struct Tip {
    /// The head, as it was last read or written: another one means another writer.
    pub(super) stored: Option<Vec<u8>>,
    pub(super) tail: Tail,
    pub(super) edge: Edge,
    /// The entries of the bundle that is not full.
    pub(super) open: Vec<Vec<u8>>,
    pub(super) recent: Recent,
}

impl Tip {
    pub(super) async fn load(
        storage: &Storage,
        stored: Option<Vec<u8>>,
        now: UnixTime,
    ) -> Result<Self, Error> {
        let head = stored.as_deref().map_or_else(|| Ok(Head::empty()), Head::decode)?;
        let open = open_entries(storage, head.size).await?;
        let recent = recent(storage, head.size, &open, now).await?;
        Ok(Self { tail: head.tail()?, edge: head.edge()?, open, recent, stored })
    }
}

/// The entries after the last full bundle, out of their pieces.
pub(super) async fn open_entries(storage: &Storage, size: u64) -> Result<Vec<Vec<u8>>, Error> {
    let begin = size.saturating_sub(size % BUNDLE);
    let (mut at, mut open) = (begin, Vec::new());
    while at < size {
        let piece = storage.get(&slot(at)).await?.unwrap_or_default();
        let found = Piece::decode(&piece, at)?;
        at = at.saturating_add(u64::try_from(found.len()).unwrap_or(u64::MAX));
        open.extend(found);
    }
    if at == size { Ok(open) } else { Err(damaged(&"its pieces reach beyond its size")) }
}

/// The answers that a challenge of now can still be about, latest first until one is too old.
async fn recent(storage: &Storage, size: u64, open: &[Vec<u8>], now: UnixTime) -> Result<Recent, Error> {
    let horizon = UnixTime(now.0.saturating_sub(Recent::REACH));
    let mut found = Vec::new();
    let mut bundles = size / BUNDLE;
    let mut is_enough = collect(open, horizon, &mut found)?;
    while !is_enough && bundles > 0 {
        bundles = bundles.saturating_sub(1);
        let tile = Tile { level: Level::Entries, index: bundles, width: Width::FULL };
        let bytes = storage.get(&tile_key(tile)).await?.unwrap_or_default();
        let bundle = entries(&bytes).map_err(|why| damaged(&why))?;
        is_enough = collect(&bundle, horizon, &mut found)?;
    }
    let mut recent = Recent::since(horizon);
    found.into_iter().rev().for_each(|(at, id)| recent.insert(at, id));
    Ok(recent)
}

/// Adds the entries since the horizon, the latest first; whether one before it was seen.
fn collect(
    entries: &[impl AsRef<[u8]>],
    horizon: UnixTime,
    found: &mut Vec<(UnixTime, DecisionId)>,
) -> Result<bool, Error> {
    for bytes in entries.iter().rev() {
        let entry = Entry::decode(bytes.as_ref()).map_err(|why| damaged(&why))?;
        if entry.clock < horizon {
            return Ok(true);
        }
        // A clock that once ran ahead stays in the log; the instants after it are right again.
        if entry.event.at >= horizon {
            found.push((entry.event.at, DecisionId(entry.event.decision.0.0)));
        }
    }
    Ok(false)
}

/// The entries of one commit that do not fill a bundle.
pub(super) struct Piece;

impl Piece {
    /// `first`, then the entries as a bundle.
    pub(super) fn encode<'e>(first: u64, entries: impl IntoIterator<Item = &'e [u8]>) -> Option<Vec<u8>> {
        Some([first.to_be_bytes().as_slice(), &bundle(entries)?].concat())
    }

    fn decode(bytes: &[u8], first: u64) -> Result<Vec<Vec<u8>>, Error> {
        let (index, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| damaged(&"a piece is missing"))?;
        if u64::from_be_bytes(*index) != first {
            return Err(damaged(&"a piece is another's"));
        }
        let found = entries(rest).map_err(|why| damaged(&why))?;
        if found.is_empty() {
            return Err(damaged(&"a piece is empty"));
        }
        Ok(found.into_iter().map(<[u8]>::to_vec).collect())
    }
}

/// Where the piece that begins with this entry lies.
pub(super) fn slot(first: u64) -> String {
    format!("log/open/{:03}", first % BUNDLE)
}

/// Where a full tile lies.
pub(super) fn tile_key(tile: Tile) -> String {
    format!("log/{}", tile.path())
}

pub(super) fn damaged(why: &dyn std::fmt::Display) -> Error {
    Error::Internal(format!("stored log is damaged: {why}"))
}

/// The entries of a full bundle.
pub(super) const BUNDLE: u64 = 256;
