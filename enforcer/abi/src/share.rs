//! Who may have how much of the tables that all protected processes are in.
//!
//! A table that is full forgets whoever comes next. So a group that has its share gets no more, and no longer forks; where
//! little is left, it is left to groups that have little. Nobody's entry is ever given to another.
//!
//! Trusted: the counts, which the programs keep. Untrusted: how much a group asks for.

/// Entries of the tables of processes, and of what they made.
pub const CAPACITY: u32 = 65_536;
/// What a group may have of it, unless the loader says otherwise: processes and threads.
pub const TASKS: u32 = 8_192;
/// Likewise, of secret and shared memory.
pub const MADE: u32 = 4_096;
/// What is left to groups that have little.
pub const RESERVE: u32 = 16_384;
/// Little.
pub const LITTLE: u32 = 256;

/// Which table.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Table {
    /// Processes and threads, by number.
    Tasks = 0,
    /// What they made.
    Made = 1,
}

impl Table {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Tasks, Self::Made];

    /// Its place in the counts.
    #[expect(clippy::as_conversions, reason = "the number of an enum of repr(u32)")]
    #[must_use]
    #[inline]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tasks => "tasks",
            Self::Made => "made",
        }
    }
}

/// What a group has: a value of the map `SHARES`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Share {
    /// Processes and threads that are in the table.
    pub tasks: i64,
    /// What they made that is in its table.
    pub made: i64,
}

/// Whether who has `own` of a table with `total` entries in use may have one more, where `share` is the most.
#[must_use]
#[inline]
pub const fn may_grow(own: i64, total: i64, share: u32) -> bool {
    // Widening.
    #[expect(clippy::as_conversions, reason = "u32 in i64, in a const fn")]
    let (share, little) = (share as i64, LITTLE as i64);
    #[expect(clippy::as_conversions, reason = "likewise")]
    let (all, common) = (CAPACITY as i64, CAPACITY.saturating_sub(RESERVE) as i64);
    own < share && (total < common || (own < little && total < all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_grows_up_to_its_share() {
        assert!(may_grow(0, 0, TASKS) && may_grow(8_191, 8_191, TASKS));
        assert!(!may_grow(8_192, 8_192, TASKS));
        assert!(may_grow(99, 5_000, 100) && !may_grow(100, 5_000, 100));
    }

    #[test]
    fn what_is_left_is_left_to_those_who_have_little() {
        assert!(may_grow(255, 49_152, TASKS) && !may_grow(256, 49_152, TASKS));
        assert!(may_grow(0, 65_535, TASKS));
    }

    #[test]
    fn where_nothing_is_left_nobody_grows() {
        assert!(!may_grow(0, 65_536, TASKS));
    }

    #[test]
    fn a_count_that_went_wrong_is_no_more_than_none() {
        assert!(may_grow(-1, -1, TASKS));
        assert!(!may_grow(0, 0, 0));
    }
}
