//! What an audit finds: one variant for each thing that can have been done to a log.
//!
//! A message names the place, what was expected and what was found; the check it belongs to has a stable id.

use super::entry::BadEntry;
use super::names::{DecisionId, EntryDigest, RecordDigest};
use crate::bytes::Malformed;
use crate::{Digest, UnixTime};

/// Evidence that something was changed, taken out or put in.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Tampered {
    /// A file that a log of this size has is not there.
    #[error("expected {file} in a log of {size} entries, found no such file")]
    Missing {
        /// Its path.
        file: String,
        /// The size in the checkpoint.
        size: u64,
    },
    /// A file has another form.
    #[error("{file} is not a file of a log: {problem}")]
    File {
        /// Its path.
        file: String,
        /// What is wrong.
        problem: Malformed,
    },
    /// More entries than the checkpoint counts.
    #[error("expected {expected} entries in {file}, found {found}")]
    Surplus {
        /// The bundle.
        file: String,
        /// How many it must hold.
        expected: usize,
        /// How many it holds.
        found: usize,
    },
    /// Fewer entries than the checkpoint counts.
    #[error("gap: expected entry {expected} in {file}, found its end")]
    Ends {
        /// The bundle.
        file: String,
        /// The first entry that is missing.
        expected: u64,
    },
    /// Entries are missing.
    #[error("gap: expected entry {expected}, found entry {found}")]
    Gap {
        /// The first entry that is missing.
        expected: u64,
        /// What stands in its place.
        found: u64,
    },
    /// Entries are in another order.
    #[error("reordered: expected entry {expected}, found entry {found}")]
    Reordered {
        /// Which entry belongs here.
        expected: u64,
        /// What stands in its place.
        found: u64,
    },
    /// Not an entry at all.
    #[error("entry {index} is malformed: {problem}")]
    Malformed {
        /// Which.
        index: u64,
        /// What is wrong.
        problem: BadEntry,
    },
    /// An entry is not the one that was logged.
    #[error("entry {index} was edited: expected leaf hash {expected}, found {found}")]
    Edited {
        /// Which.
        index: u64,
        /// The hash of the entry that was logged.
        expected: Digest<32>,
        /// The hash of this one.
        found: Digest<32>,
    },
    /// An entry names another predecessor.
    #[error("chain broken at entry {index}: expected predecessor {expected}, found {found}")]
    Chain {
        /// Which.
        index: u64,
        /// The digest of the entry that stands before.
        expected: EntryDigest,
        /// The digest that the entry names.
        found: EntryDigest,
    },
    /// The log's clock went back.
    #[error("the clock goes back at entry {index}: expected {before} or later, found {found}")]
    ClockBack {
        /// Which.
        index: u64,
        /// The clock of the entry before.
        before: UnixTime,
        /// The clock of this one.
        found: UnixTime,
    },
    /// The log's clock is not made of the instants that make it.
    #[error("the clock of entry {index} is wrong: expected {expected}, found {found}")]
    Clock {
        /// Which.
        index: u64,
        /// The later of the previous clock and the event's instant.
        expected: UnixTime,
        /// What the entry says.
        found: UnixTime,
    },
    /// One decision, two entries.
    #[error("decision {decision} is logged twice: expected entry {first} alone, found entry {second} too")]
    Duplicate {
        /// The decision.
        decision: DecisionId,
        /// Its first entry.
        first: u64,
        /// Its second.
        second: u64,
    },
    /// A tile is not what the entries make.
    #[error("{file} is not the entries': expected {expected}, found {found}")]
    Tile {
        /// Its path.
        file: String,
        /// The hash that follows from the entries.
        expected: Digest<32>,
        /// The hash that the tile has in its place.
        found: Digest<32>,
    },
    /// The entries are not those of the checkpoint.
    #[error("{size} entries do not have the signed root: expected {expected}, found {found}")]
    Root {
        /// How many entries.
        size: u64,
        /// The root in the checkpoint.
        expected: Digest<32>,
        /// The root that follows from the entries.
        found: Digest<32>,
    },
    /// There were more entries once.
    #[error("the log shrank: expected at least {old} entries, found {new}")]
    Shrunken {
        /// How many there were.
        old: u64,
        /// How many there are.
        new: u64,
    },
    /// The log was another one once.
    #[error("fork: the first {size} entries had another root: expected {expected}, found {found}")]
    Fork {
        /// How many entries the earlier checkpoint counts.
        size: u64,
        /// Its root.
        expected: Digest<32>,
        /// The root that they have now.
        found: Digest<32>,
    },
    /// A record file is not the one that was logged.
    #[error("the record of entry {index} is another file: expected digest {expected}, found {found}")]
    Record {
        /// Which.
        index: u64,
        /// The digest in the entry.
        expected: RecordDigest,
        /// The digest of the file.
        found: RecordDigest,
    },
    /// A record file is not there.
    #[error("expected the record of decision {decision} for entry {index}, found no such file")]
    NoRecord {
        /// Which.
        index: u64,
        /// The decision that names it.
        decision: DecisionId,
    },
}

impl Tampered {
    /// The stable id of the check that failed.
    #[must_use]
    pub fn check(&self) -> &'static str {
        match self {
            Self::Missing { .. } | Self::File { .. } | Self::Surplus { .. } | Self::Ends { .. } => {
                "log.complete"
            }
            Self::Gap { .. } | Self::Reordered { .. } | Self::Duplicate { .. } => "log.order",
            Self::Malformed { .. } | Self::Edited { .. } => "log.entries",
            Self::Chain { .. } => "log.chain",
            Self::ClockBack { .. } | Self::Clock { .. } => "log.clock",
            Self::Tile { .. } => "log.tiles",
            Self::Root { .. } => "log.root",
            Self::Shrunken { .. } | Self::Fork { .. } => "log.append_only",
            Self::Record { .. } | Self::NoRecord { .. } => "log.records",
        }
    }

    /// The checks of an audit, in the order of the list above.
    pub const CHECKS: [&'static str; 9] = [
        "log.complete",
        "log.order",
        "log.entries",
        "log.chain",
        "log.clock",
        "log.tiles",
        "log.root",
        "log.append_only",
        "log.records",
    ];
}
