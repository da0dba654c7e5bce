//! Tiles: the log as files that never change, in the form of C2SP's `tlog-tiles`.
//!
//! A tile of hashes holds 256 neighbours of one level; the level above holds the roots of full tiles. A bundle of
//! entries holds the leaves of one tile of level 0. What is not full yet is a file of its own for each width.
//! [`Edge`] is the writer's state: the tiles that are not full.
//!
//! Untrusted: paths and files. A tile is believed only once a root follows from it.

use std::fmt;

use super::entry::Entry;
use super::proof::Nodes;
use super::tree::{Head, LeafHash, node_hash, root_over};
use crate::bytes::{Malformed, Reader};
use crate::{Crypto, Digest};

/// What a file of the log holds.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Level {
    /// Entries.
    Entries,
    /// Hashes: of the leaves at level 0, of full tiles of the level below above it. At most 63.
    Hashes(u8),
}

/// How many hashes or entries a file holds: 1 to 256.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Width(u16);

impl Width {
    /// A full tile's.
    pub const FULL: Self = Self(256);

    /// This width, if a tile can have it.
    #[must_use]
    pub fn new(width: u64) -> Option<Self> {
        u16::try_from(width).ok().filter(|width| (1..=256).contains(width)).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn count(self) -> usize {
        usize::from(self.0)
    }
}

/// The name of a file of the log.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Tile {
    /// What it holds.
    pub level: Level,
    /// Its place among those of its level.
    pub index: u64,
    /// How much it holds.
    pub width: Width,
}

impl Tile {
    /// The tile of this level and place as it stands in a tree of `size`; `None` if it is empty there.
    #[must_use]
    pub fn in_tree(level: Level, index: u64, size: u64) -> Option<Self> {
        let left = at_level(level, size).checked_sub(index.checked_mul(256)?)?;
        Width::new(left.min(256)).map(|width| Self { level, index, width })
    }

    /// Every tile that a tree of `new` has and one of `old` had not: by level, then by place.
    pub fn between(old: u64, new: u64) -> impl Iterator<Item = Self> {
        // 256 to the power of 8 is more than 64 bits have.
        let levels = std::iter::once(Level::Entries).chain((0..8).map(Level::Hashes));
        levels.flat_map(move |level| {
            let (before, after) = (at_level(level, old), at_level(level, new));
            let changed = if after > before { before >> 8..after.div_ceil(256) } else { 0..0 };
            changed.filter_map(move |index| Self::in_tree(level, index, new))
        })
    }

    /// The path below the log's prefix: `tile/0/x001/x234/067.p/8`.
    #[must_use]
    pub fn path(&self) -> String {
        self.to_string()
    }

    /// Reads a path, of which there is one for each tile.
    pub fn parse(path: &str) -> Result<Self, BadPath> {
        let bad = || BadPath(path.chars().take(80).collect());
        let rest = path.strip_prefix("tile/").ok_or_else(bad)?;
        let (level, rest) = rest.split_once('/').ok_or_else(bad)?;
        let level = match level {
            "entries" => Level::Entries,
            number => Level::Hashes(number.parse().ok().filter(|level| *level < 64).ok_or_else(bad)?),
        };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, width.parse().ok().filter(|width| *width < 256).ok_or_else(bad)?),
            None => (rest, 256),
        };
        let digits: String = index.chars().filter(|character| !matches!(character, 'x' | '/')).collect();
        let index = digits.parse().map_err(|_why| bad())?;
        let tile = Self { level, index, width: Width::new(width).ok_or_else(bad)? };
        // Everything that was not looked at above: signs, zeros in front, groups of another length.
        if tile.path() == path { Ok(tile) } else { Err(bad()) }
    }
}

/// How many nodes of this level a tree of `size` has.
fn at_level(level: Level, size: u64) -> u64 {
    match level {
        Level::Entries => size,
        Level::Hashes(level) => size.checked_shr(u32::from(level).saturating_mul(8)).unwrap_or(0),
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Level::Entries => f.write_str("tile/entries/")?,
            Level::Hashes(level) => write!(f, "tile/{level}/")?,
        }
        let mut rest = self.index;
        let mut groups = vec![rest % 1000];
        while rest >= 1000 {
            rest /= 1000;
            groups.push(rest % 1000);
        }
        let last = groups.first().copied().unwrap_or(0);
        groups.iter().skip(1).rev().try_for_each(|group| write!(f, "x{group:03}/"))?;
        write!(f, "{last:03}")?;
        if self.width == Width::FULL { Ok(()) } else { write!(f, ".p/{}", self.width.0) }
    }
}

/// A text that is not the path of a tile.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected a path like tile/0/x001/234 or tile/entries/000.p/5, found {0:?}")]
pub struct BadPath(String);

/// Writes a bundle: each entry behind its length, 16 bits, big-endian. `None` if one is longer than an entry.
#[must_use]
pub fn bundle<'e>(entries: impl IntoIterator<Item = &'e [u8]>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).ok().filter(|_| entry.len() <= Entry::MAX_BYTES)?;
        bytes.extend(length.to_be_bytes());
        bytes.extend(entry);
    }
    Some(bytes)
}

/// Takes a bundle apart; there may be 1 to 256 entries in it, and nothing else.
pub fn entries(bytes: &[u8]) -> Result<Vec<&[u8]>, Malformed> {
    let mut reader = Reader::new(bytes);
    let mut entries = Vec::new();
    while !reader.is_empty() {
        let length = usize::from(reader.u16_be()?);
        if length > Entry::MAX_BYTES {
            let (what, expected) = ("length of an entry in a bundle", "at most 4096");
            return Err(Malformed::Value { what, expected, found: length.to_string() });
        }
        entries.push(reader.take(length)?);
        if entries.len() > Width::FULL.count() {
            let (what, expected) = ("entries in a bundle", "at most 256");
            return Err(Malformed::Value { what, expected, found: "more".to_owned() });
        }
    }
    Ok(entries)
}

/// Writes a tile of hashes.
#[must_use]
pub fn hashes(hashes: &[Digest<32>]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// Takes a tile of hashes apart; it has exactly this width.
pub fn hashes_from(bytes: &[u8], width: Width) -> Result<Vec<Digest<32>>, Malformed> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    if hashes.len() != width.count() || !rest.is_empty() {
        let expected = width.count().saturating_mul(32);
        return Err(Malformed::Length { what: "a tile of hashes", expected, found: bytes.len() });
    }
    Ok(hashes.iter().copied().map(Digest).collect())
}

/// The first so many hashes or entries of a file that holds more: what `tile` was before it grew to `bytes`.
pub fn cut(bytes: &[u8], tile: Tile) -> Result<Vec<u8>, Malformed> {
    let count = tile.width.count();
    let length = match tile.level {
        Level::Hashes(_) => count.saturating_mul(32),
        // Every entry, and its length before it.
        Level::Entries => entries(bytes)?.iter().take(count).map(|entry| entry.len().saturating_add(2)).sum(),
    };
    let short = Malformed::Length { what: "a file that grew", expected: length, found: bytes.len() };
    bytes.get(..length).map(<[u8]>::to_vec).ok_or(short)
}

/// Looks complete subtrees up in the tiles of a tree of `size`, which `read` fetches.
pub fn nodes<'n, E: From<Malformed>>(
    crypto: &'n dyn Crypto,
    size: u64,
    read: &'n mut dyn FnMut(Tile) -> Result<Vec<u8>, E>,
) -> Box<Nodes<'n, E>> {
    Box::new(move |height, place| {
        let outside = || Malformed::Value {
            what: "subtree",
            expected: "one that the tree has",
            found: format!("place {place} at height {height} in a tree of size {size}"),
        };
        let within = height % 8;
        let first = place.checked_shl(u32::from(within)).ok_or_else(outside)?;
        let tile = Tile::in_tree(Level::Hashes(height / 8), first >> 8, size).ok_or_else(outside)?;
        let all = hashes_from(&read(tile)?, tile.width)?;
        let from = usize::try_from(first & 255).unwrap_or(usize::MAX);
        let until = from.saturating_add(1_usize << within);
        let part = all.get(from..until).ok_or_else(outside)?;
        Ok(complete(crypto, part))
    })
}

/// The root over a number of hashes that is a power of two.
fn complete(crypto: &dyn Crypto, hashes: &[Digest<32>]) -> Digest<32> {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(crypto, left, right)).collect();
    }
    row.first().copied().unwrap_or_else(|| crypto.sha256(&[]))
}

/// The tiles of a tree that are not full: what a writer must know to go on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Edge {
    size: u64,
    /// The hashes of each level's last tile, from the leaves upwards; fewer than 256 each.
    levels: Vec<Vec<Digest<32>>>,
}

impl Edge {
    /// The edge of a tree of `size`, out of its partial tiles.
    pub fn load<E: From<Malformed>>(
        size: u64,
        read: &mut dyn FnMut(Tile) -> Result<Vec<u8>, E>,
    ) -> Result<Self, E> {
        let mut levels = Vec::new();
        for level in (0..8).map(Level::Hashes).take_while(|level| at_level(*level, size) > 0) {
            // A full tile is no longer at the edge.
            let last = Tile::in_tree(level, at_level(level, size) >> 8, size);
            levels.push(match last {
                Some(tile) => hashes_from(&read(tile)?, tile.width)?,
                None => Vec::new(),
            });
        }
        Ok(Self { size, levels })
    }

    /// Appends a leaf. What is returned are the tiles that became full by it, with their bytes.
    pub fn append(&mut self, crypto: &dyn Crypto, leaf: LeafHash) -> Vec<(Tile, Vec<u8>)> {
        self.size = self.size.saturating_add(1);
        let mut full = Vec::new();
        let mut hash = leaf.0;
        for level in 0..8 {
            let Some(row) = self.row(level) else { break };
            row.push(hash);
            if row.len() < Width::FULL.count() {
                break;
            }
            let row = std::mem::take(row);
            hash = complete(crypto, &row);
            let level = Level::Hashes(level);
            let index = (at_level(level, self.size) >> 8).saturating_sub(1);
            full.push((Tile { level, index, width: Width::FULL }, hashes(&row)));
        }
        full
    }

    fn row(&mut self, level: u8) -> Option<&mut Vec<Digest<32>>> {
        let level = usize::from(level);
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        self.levels.get_mut(level)
    }

    /// The tiles that are not full, with their bytes. Empty ones are not files.
    pub fn partial(&self) -> impl Iterator<Item = (Tile, Vec<u8>)> {
        (0_u8..).zip(&self.levels).filter_map(|(level, row)| {
            let level = Level::Hashes(level);
            let tile = Tile::in_tree(level, at_level(level, self.size) >> 8, self.size)?;
            Some((tile, hashes(row)))
        })
    }

    /// The leaf hash at `index`, if it stands in the last tile of leaves.
    pub(super) fn known(&self, index: u64) -> Option<Digest<32>> {
        let row = self.levels.first()?;
        let within = index.checked_sub(self.size & !255)?;
        row.get(usize::try_from(within).ok()?).copied()
    }

    /// Size and root.
    #[must_use]
    pub fn head(&self, crypto: &dyn Crypto) -> Head {
        // Highest level first, and in each row the larger subtrees first: that is the order of the leaves.
        let peaks: Vec<_> = self.levels.iter().rev().flat_map(|row| peaks(crypto, row)).collect();
        Head { size: self.size, root: root_over(crypto, peaks.into_iter()) }
    }
}

/// The roots of the complete subtrees over a row, largest first.
fn peaks(crypto: &dyn Crypto, mut row: &[Digest<32>]) -> Vec<Digest<32>> {
    let mut peaks = Vec::new();
    while let Some(height) = row.len().checked_ilog2() {
        let Some((subtree, rest)) = row.split_at_checked(1 << height) else { break };
        peaks.push(complete(crypto, subtree));
        row = rest;
    }
    peaks
}
