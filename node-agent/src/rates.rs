//! How often: a number of requests at once, and then so many a second.
//!
//! For each key one point in time is kept, until when what it asked for is paid for (the generic cell rate algorithm); a
//! key whose point has passed is forgotten. Time is an argument: since some beginning.

use std::collections::BTreeMap;
use std::time::Duration;

/// A pace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pace {
    /// Requests a second, for as long as one likes; at least 1.
    pub per_second: u32,
    /// Requests at once, before that; at least 1.
    pub burst: u32,
}

/// What each key has asked for.
#[derive(Debug)]
pub(crate) struct Rates<K> {
    pace: Pace,
    paid_until: BTreeMap<K, Duration>,
    /// Not before then is anything to be forgotten: to look sooner would be work for nothing.
    look_again: Duration,
}

impl<K: Clone + Ord> Rates<K> {
    pub(crate) fn new(pace: Pace) -> Self {
        Self { pace, paid_until: BTreeMap::new(), look_again: Duration::ZERO }
    }

    /// Whether one more is in time.
    pub(crate) fn take(&mut self, key: &K, now: Duration) -> bool {
        let Some(one) = Duration::from_secs(1).checked_div(self.pace.per_second) else { return false };
        let start = self.paid_until.get(key).copied().unwrap_or_default().max(now);
        let end = start.saturating_add(one);
        if end.saturating_sub(now) > one.saturating_mul(self.pace.burst) || !self.has_room(key, now) {
            return false;
        }
        self.paid_until.insert(key.clone(), end);
        true
    }

    /// Whoever comes with ever new keys is not remembered without end.
    fn has_room(&mut self, key: &K, now: Duration) -> bool {
        if self.paid_until.len() < MOST_KEYS || self.paid_until.contains_key(key) {
            return true;
        }
        if now >= self.look_again {
            self.paid_until.retain(|_, until| *until > now);
            self.look_again = self.paid_until.values().min().copied().unwrap_or_default();
        }
        self.paid_until.len() < MOST_KEYS
    }
}

/// Many times as many pods as a node has.
const MOST_KEYS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_burst_is_served_and_then_only_the_pace() {
        let mut rates = Rates::new(Pace { per_second: 10, burst: 3 });
        for served in [true, true, true, false, false] {
            assert_eq!(rates.take(&"a", at(0)), served);
        }
        assert!(rates.take(&"b", at(0)), "another's burst is their own");
        assert!(!rates.take(&"a", at(99)));
        assert!(rates.take(&"a", at(100)) && !rates.take(&"a", at(100)));
        let mut served = 0;
        for millis in 0..10_000 {
            served += usize::from(rates.take(&"a", at(200 + millis)));
        }
        assert_eq!(served, 100);
    }

    #[test]
    fn who_comes_with_ever_new_keys_is_bounded_and_harms_nobody_who_is_known() {
        let mut rates = Rates::new(Pace { per_second: 1, burst: 2 });
        assert!(rates.take(&0, at(0)));
        let served = (1..100_000).filter(|key| rates.take(key, at(0))).count();
        assert_eq!((served, rates.paid_until.len()), (MOST_KEYS - 1, MOST_KEYS));
        assert!(rates.take(&0, at(0)) && !rates.take(&100_001, at(999)));
        assert!(rates.take(&100_001, at(1000)), "and only for as long as they are asked of");
    }
}
