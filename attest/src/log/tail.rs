//! The end of the chain: what the next entry must follow.
//!
//! The writer asks the [`Tail`] to append, a reader asks it to accept; both move it on by one. After a restart it
//! is made again from the last stored entry.
//!
//! Untrusted: the entries that [`Tail::accept`] is shown.

use super::entry::{BadEntry, Entry, Event, Format};
use super::names::EntryDigest;
use crate::{Crypto, UnixTime};

/// The end of a log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tail {
    count: u64,
    last: EntryDigest,
    clock: UnixTime,
}

impl Tail {
    /// The end of a log without entries.
    pub const EMPTY: Self = Self { count: 0, last: EntryDigest::NONE, clock: UnixTime(0) };

    /// The end of a log whose last entry this is.
    pub fn after(crypto: &dyn Crypto, last: &[u8]) -> Result<Self, BadEntry> {
        let entry = Entry::decode(last)?;
        Ok(Self {
            count: entry.index.saturating_add(1),
            last: EntryDigest::of(crypto, last),
            clock: entry.clock,
        })
    }

    /// How many entries there are: the index of the next one.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The clock of the last entry.
    #[must_use]
    pub fn clock(&self) -> UnixTime {
        self.clock
    }

    /// Makes the next entry and its bytes. An event that does not fit leaves the log as it is.
    pub fn append(&mut self, crypto: &dyn Crypto, event: Event) -> Result<(Entry, Vec<u8>), BadEntry> {
        let entry = Entry {
            format: Format::V1,
            index: self.count,
            previous: self.last,
            clock: self.clock.max(event.at),
            event,
        };
        let bytes = entry.encode()?;
        self.advance(crypto, &entry, &bytes);
        Ok((entry, bytes))
    }

    /// Takes `entry`, which stands at the end as `bytes`, if it follows what came before.
    pub fn accept(&mut self, crypto: &dyn Crypto, entry: &Entry, bytes: &[u8]) -> Result<(), Break> {
        let index = self.count;
        if entry.index != index {
            return Err(Break::Index { expected: index, found: entry.index });
        }
        if entry.previous != self.last {
            return Err(Break::Chain { index, expected: self.last, found: entry.previous });
        }
        let expected = self.clock.max(entry.event.at);
        if entry.clock < self.clock {
            return Err(Break::ClockBack { index, before: self.clock, found: entry.clock });
        }
        if entry.clock != expected {
            return Err(Break::Clock { index, expected, found: entry.clock });
        }
        self.advance(crypto, entry, bytes);
        Ok(())
    }

    fn advance(&mut self, crypto: &dyn Crypto, entry: &Entry, bytes: &[u8]) {
        let last = EntryDigest::of(crypto, bytes);
        *self = Self { count: self.count.saturating_add(1), last, clock: entry.clock };
    }
}

/// Why an entry does not follow the one before.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Break {
    /// Another entry belongs here.
    #[error("expected entry {expected}, found entry {found}")]
    Index {
        /// The index of the place.
        expected: u64,
        /// The index in the entry.
        found: u64,
    },
    /// The entry names another predecessor.
    #[error("entry {index} follows another entry: expected digest {expected}, found {found}")]
    Chain {
        /// Which entry.
        index: u64,
        /// The digest of the entry that stands before.
        expected: EntryDigest,
        /// The digest that the entry names.
        found: EntryDigest,
    },
    /// The log's clock went back.
    #[error("the clock goes back at entry {index}: expected {before} or later, found {found}")]
    ClockBack {
        /// Which entry.
        index: u64,
        /// The clock of the entry before.
        before: UnixTime,
        /// The clock of this one.
        found: UnixTime,
    },
    /// The log's clock is not the later of the two instants that make it.
    #[error("the clock of entry {index} is not its own: expected {expected}, found {found}")]
    Clock {
        /// Which entry.
        index: u64,
        /// The later of the previous clock and the event's instant.
        expected: UnixTime,
        /// What the entry says.
        found: UnixTime,
    },
}
