//! Which challenges were answered of late.
//!
//! A challenge is answered once, on whichever node, before or after a restart. Its answer is an entry of the log; only
//! those of the last minutes matter, because a challenge that was answered earlier has expired. They are kept in memory
//! and read again from the log by whoever begins to write it.
//!
//! What is remembered begins at a *horizon*. An answer's entry has the instant at which it was judged, and no judge takes a challenge that expires later than [`Recent::REACH`] from its own
//! now. So a challenge that expires at least that long after the horizon was answered if, and only if, it is here; about one
//! that expires earlier this memory cannot tell, and says that it was. No two clocks have to agree for that.

use std::collections::{HashSet, VecDeque};

use attest::UnixTime;

use crate::challenge::Challenges;
use crate::record::DecisionId;

/// The answers since the horizon.
#[derive(Debug)]
pub(crate) struct Recent {
    horizon: UnixTime,
    ids: HashSet<[u8; 32]>,
    order: VecDeque<(UnixTime, [u8; 32])>,
}

impl Recent {
    /// The latest expiry, in seconds from now, that a challenge may have to be judged.
    pub(crate) const REACH: u64 = Challenges::LIFETIME.saturating_add(Challenges::SKEW);

    /// Nothing is remembered from before `horizon`.
    pub(crate) fn since(horizon: UnixTime) -> Self {
        Self { horizon, ids: HashSet::new(), order: VecDeque::new() }
    }

    pub(crate) fn insert(&mut self, at: UnixTime, id: DecisionId) {
        if self.ids.insert(id.0) {
            self.order.push_back((at, id.0));
        }
    }

    /// Whether the challenge of this name and expiry was answered, or may have been.
    pub(crate) fn answered(&self, id: DecisionId, expires: UnixTime) -> bool {
        self.ids.contains(&id.0) || expires < self.horizon.plus(Self::REACH)
    }

    /// Whether an entry of this very name is remembered.
    pub(crate) fn contains(&self, id: DecisionId) -> bool {
        self.ids.contains(&id.0)
    }

    /// Forgets what no challenge that still counts at `now` can be about.
    pub(crate) fn forget(&mut self, now: UnixTime) {
        let horizon = UnixTime(now.0.saturating_sub(Self::REACH));
        while let Some((at, id)) = self.order.front().copied().filter(|(at, _)| *at < horizon) {
            self.order.pop_front();
            self.ids.remove(&id);
            self.horizon = self.horizon.max(at.plus(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> DecisionId {
        DecisionId([byte; 32])
    }

    #[test]
    fn an_answer_is_remembered_until_its_challenge_has_expired() {
        let mut recent = Recent::since(UnixTime(0));
        recent.insert(UnixTime(1000), id(1));
        // Issued at 1000, judged at 1000: it expires at 1120.
        for now in [1000, 1100, 1119] {
            recent.forget(UnixTime(now));
            assert!(recent.answered(id(1), UnixTime(1120)), "{now}");
            assert!(!recent.answered(id(2), UnixTime(1120).plus(Recent::REACH)), "{now}");
        }
    }

    /// A clock that runs ahead forgets early: then nothing that may have been answered counts.
    #[test]
    fn what_was_forgotten_under_a_fast_clock_is_still_not_taken_twice() {
        let mut recent = Recent::since(UnixTime(0));
        recent.insert(UnixTime(1000), id(1));
        recent.forget(UnixTime(9000));
        assert!(!recent.contains(id(1)));
        assert!(recent.answered(id(1), UnixTime(1120)));
        assert!(recent.answered(id(7), UnixTime(1150)));
        assert!(!recent.answered(id(7), UnixTime(1151)));
    }

    #[test]
    fn what_was_never_read_counts_as_answered() {
        let recent = Recent::since(UnixTime(5000));
        assert!(recent.answered(id(1), UnixTime(5000).plus(Recent::REACH - 1)));
        assert!(!recent.answered(id(1), UnixTime(5000).plus(Recent::REACH)));
    }
}
