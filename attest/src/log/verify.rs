//! Reading a whole log again: is it what its checkpoint says, and did nothing ever change?
//!
//! [`Audit::run`] reads every entry and every tile that a tree of the checkpoint's size has. The first thing that
//! is not as it must be is a [`Tampered`], which names the place, what was expected and what was found.
//!
//! Trusted: the heads, which the caller took from checkpoints that it verified or kept. Untrusted: every file.

use std::collections::BTreeMap;

use super::entry::Entry;
use super::names::DecisionId;
use super::tail::{Break, Tail};
use super::tampered::Tampered;
use super::tile::{Edge, Level, Tile, entries, hashes_from};
use super::tree::{Head, LeafHash, leaf_hash};
use crate::{Crypto, Digest};

/// Where the files of a log are read; `None` if there is no such file.
pub type Files<'f, E> = dyn FnMut(Tile) -> Result<Option<Vec<u8>>, E> + 'f;

/// Who is shown every entry that follows the one before. What an entry says holds only once the audit ends well.
pub type Witnessed<'f, E> = dyn FnMut(&Entry) -> Result<(), Fault<E>> + 'f;

/// What is known of a log before its files are read: how far it was read already, and what it must contain.
#[derive(Clone, Debug)]
pub struct Audit {
    tail: Tail,
    edge: Edge,
    earlier: Vec<Head>,
    decisions: BTreeMap<DecisionId, u64>,
}

impl Audit {
    /// From the first entry on. `earlier` are heads that this log once had.
    #[must_use]
    pub fn whole(earlier: &[Head]) -> Self {
        let (edge, decisions) = (Edge::default(), BTreeMap::new());
        Self { tail: Tail::EMPTY, edge, earlier: earlier.to_vec(), decisions }
    }

    /// From where an earlier audit ended, at `old`: `tail` and `edge` come from files that were verified then. A
    /// decision that is logged twice is found only if both entries are new.
    pub fn resumed(crypto: &dyn Crypto, old: &Head, tail: Tail, edge: Edge) -> Result<Self, Tampered> {
        let held = edge.head(crypto);
        if tail.count() != old.size || held.size != old.size {
            return Err(Tampered::Gap { expected: old.size, found: tail.count().min(held.size) });
        }
        if held.root != old.root {
            return Err(Tampered::Root { size: old.size, expected: old.root, found: held.root });
        }
        Ok(Self { tail, edge, earlier: vec![*old], decisions: BTreeMap::new() })
    }

    /// Asks that the log also contain what it had at `heads`, none of which is older than where this audit begins.
    #[must_use]
    pub fn containing(mut self, heads: impl IntoIterator<Item = Head>) -> Self {
        self.earlier.extend(heads);
        self
    }

    /// Reads everything up to `head`.
    pub fn run<E>(
        self,
        crypto: &dyn Crypto,
        head: &Head,
        files: &mut Files<'_, E>,
        witnessed: &mut Witnessed<'_, E>,
    ) -> Result<(), Fault<E>> {
        if let Some(old) = self.earlier.iter().find(|old| old.size > head.size) {
            return Err(Tampered::Shrunken { old: old.size, new: head.size }.into());
        }
        let first = self.tail.count() / 256;
        let mut walk = Walk { audit: self, crypto, head: *head, files, witnessed, doubt: None };
        walk.compare_earlier()?;
        for place in first..head.size.div_ceil(256) {
            walk.bundle(place)?;
        }
        walk.finish()
    }
}

/// An audit on its way.
struct Walk<'w, 'f, E> {
    audit: Audit,
    crypto: &'w dyn Crypto,
    head: Head,
    files: &'w mut Files<'f, E>,
    witnessed: &'w mut Witnessed<'f, E>,
    /// The first place where entries and tiles differ. Which of the two was changed shows later.
    doubt: Option<Doubt>,
}

/// Two files that say different things.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    tile: Tile,
    /// The entry, where the tile is one of leaf hashes and the entry may be what was changed.
    index: Option<u64>,
    in_tile: Digest<32>,
    in_entries: Digest<32>,
}

impl<E> Walk<'_, '_, E> {
    /// Reads one bundle of entries and the tile of their hashes.
    fn bundle(&mut self, place: u64) -> Result<(), Fault<E>> {
        let (Some(bundle), Some(tile)) = (
            Tile::in_tree(Level::Entries, place, self.head.size),
            Tile::in_tree(Level::Hashes(0), place, self.head.size),
        ) else {
            return Ok(());
        };
        let bytes = self.read(bundle)?;
        let stored = entries(&bytes).map_err(|problem| Tampered::File { file: bundle.path(), problem })?;
        let in_tile = self.hashes(tile)?;
        if stored.len() > bundle.width.count() {
            let (expected, found) = (bundle.width.count(), stored.len());
            return Err(Tampered::Surplus { file: bundle.path(), expected, found }.into());
        }
        let mut index = place.saturating_mul(256);
        for (bytes, in_tile) in stored.iter().zip(in_tile) {
            self.entry(index, bytes, &stored, (tile, in_tile))?;
            index = index.saturating_add(1);
        }
        if stored.len() < bundle.width.count() {
            return Err(Tampered::Ends { file: bundle.path(), expected: index }.into());
        }
        Ok(())
    }

    /// Takes the entry that stands at `index`.
    fn entry(
        &mut self,
        index: u64,
        bytes: &[u8],
        neighbours: &[&[u8]],
        (tile, in_tile): (Tile, Digest<32>),
    ) -> Result<(), Fault<E>> {
        let leaf = leaf_hash(self.crypto, bytes);
        if let Some(known) = self.audit.edge.known(index) {
            let (expected, found) = (known, leaf.0);
            if expected != found {
                return Err(Tampered::Edited { index, expected, found }.into());
            }
            // The tile is a new file all the same.
            self.compare_leaf(None, (tile, in_tile), leaf);
            return Ok(());
        }
        let entry = Entry::decode(bytes).map_err(|problem| Tampered::Malformed { index, problem })?;
        self.audit.tail.accept(self.crypto, &entry, bytes).map_err(|why| self.broken(why, neighbours))?;
        let decision = entry.event.decision;
        if let Some(first) = self.audit.decisions.insert(decision, index) {
            return Err(Tampered::Duplicate { decision, first, second: index }.into());
        }
        self.compare_leaf(Some(index), (tile, in_tile), leaf);
        self.append(leaf)?;
        (self.witnessed)(&entry)
    }

    /// Compares an entry with its place in a tile of leaf hashes. No index: the entry is beyond doubt.
    fn compare_leaf(&mut self, index: Option<u64>, (tile, in_tile): (Tile, Digest<32>), leaf: LeafHash) {
        if in_tile != leaf.0 {
            let doubt = Doubt { tile, index, in_tile, in_entries: leaf.0 };
            self.doubt.get_or_insert(doubt);
        }
    }

    /// Why an entry does not follow, in the words of somebody who sees its neighbours too.
    fn broken(&self, why: Break, neighbours: &[&[u8]]) -> Tampered {
        match why {
            Break::Index { expected, found } => {
                let is_expected =
                    |bytes: &&[u8]| Entry::decode(bytes).is_ok_and(|entry| entry.index == expected);
                if found < expected || neighbours.iter().any(is_expected) {
                    Tampered::Reordered { expected, found }
                } else {
                    Tampered::Gap { expected, found }
                }
            }
            // The entry before is not the one that its tile and its successor know.
            Break::Chain { index, expected, found } => match self.doubt {
                Some(Doubt { index: Some(doubted), in_tile, in_entries, .. })
                    if doubted.checked_add(1) == Some(index) =>
                {
                    Tampered::Edited { index: doubted, expected: in_tile, found: in_entries }
                }
                _ => Tampered::Chain { index, expected, found },
            },
            Break::ClockBack { index, before, found } => Tampered::ClockBack { index, before, found },
            Break::Clock { index, expected, found } => Tampered::Clock { index, expected, found },
        }
    }

    /// Grows the tree, and compares the tiles above the leaves that became full.
    fn append(&mut self, leaf: LeafHash) -> Result<(), Fault<E>> {
        for (tile, bytes) in self.audit.edge.append(self.crypto, leaf) {
            if tile.level != Level::Hashes(0) {
                self.compare(tile, &bytes)?;
            }
        }
        self.compare_earlier()
    }

    fn compare(&mut self, tile: Tile, bytes: &[u8]) -> Result<(), Fault<E>> {
        let in_tile = self.hashes(tile)?;
        let own = hashes_from(bytes, tile.width).unwrap_or_default();
        let differs = in_tile.into_iter().zip(own).find(|(in_tile, own)| in_tile != own);
        if let Some((in_tile, in_entries)) = differs {
            self.doubt.get_or_insert(Doubt { tile, index: None, in_tile, in_entries });
        }
        Ok(())
    }

    /// Compares with the heads that the log once had at this size.
    fn compare_earlier(&mut self) -> Result<(), Fault<E>> {
        let size = self.audit.tail.count();
        if self.audit.earlier.iter().all(|old| old.size != size) {
            return Ok(());
        }
        let found = self.audit.edge.head(self.crypto).root;
        match self.audit.earlier.iter().find(|old| old.size == size && old.root != found) {
            None => Ok(()),
            Some(old) => {
                let fork = Tampered::Fork { size, expected: old.root, found };
                Err(self.doubt.and_then(Doubt::edited).unwrap_or(fork).into())
            }
        }
    }

    /// Compares the root, and the tiles that are not full.
    fn finish(mut self) -> Result<(), Fault<E>> {
        let partial: Vec<_> = self.audit.edge.partial().collect();
        for (tile, bytes) in partial {
            if tile.level != Level::Hashes(0) {
                self.compare(tile, &bytes)?;
            }
        }
        let (expected, found) = (self.head.root, self.audit.edge.head(self.crypto).root);
        let doubt = match (expected == found, self.doubt) {
            (true, None) => return Ok(()),
            // The entries lead to the signed root, so the tile does not.
            (true, Some(doubt)) => {
                let Doubt { tile, in_tile: found, in_entries: expected, .. } = doubt;
                Tampered::Tile { file: tile.path(), expected, found }
            }
            (false, doubt) => doubt.and_then(Doubt::edited).unwrap_or(Tampered::Root {
                size: self.head.size,
                expected,
                found,
            }),
        };
        Err(doubt.into())
    }

    fn hashes(&mut self, tile: Tile) -> Result<Vec<Digest<32>>, Fault<E>> {
        let bytes = self.read(tile)?;
        let bad = |problem| Tampered::File { file: tile.path(), problem }.into();
        hashes_from(&bytes, tile.width).map_err(bad)
    }

    fn read(&mut self, tile: Tile) -> Result<Vec<u8>, Fault<E>> {
        let bytes = (self.files)(tile).map_err(Fault::Unreadable)?;
        bytes.ok_or_else(|| Tampered::Missing { file: tile.path(), size: self.head.size }.into())
    }
}

impl Doubt {
    /// The entry is what was changed.
    fn edited(self) -> Option<Tampered> {
        let (expected, found) = (self.in_tile, self.in_entries);
        self.index.map(|index| Tampered::Edited { index, expected, found })
    }
}

/// Why an audit did not end well.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Fault<E> {
    /// Somebody changed something.
    #[error(transparent)]
    Tampered(#[from] Tampered),
    /// A file cannot be read: there is no verdict.
    #[error("{0}")]
    Unreadable(E),
}
