//! A token bucket: so many at once, so many in a time.
//!
//! Credit is counted in fractions of one, so that slow rates lose nothing between two looks at a clock of whole seconds.
//!
//! Trusted: rate and clock.

use attest::UnixTime;

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// So many ...
    pub(super) amount: u64,
    /// ... in so many seconds.
    pub(super) seconds: u64,
    /// The most that can be saved up.
    pub(super) burst: u64,
}

impl Rate {
    fn most(self) -> u64 {
        self.burst.saturating_mul(self.seconds)
    }
}

/// A bucket. One token is as much credit as its rate has seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    credit: u64,
    at: UnixTime,
}

impl Bucket {
    pub(super) fn full(rate: Rate, now: UnixTime) -> Self {
        Self { credit: rate.most(), at: now }
    }

    /// Takes one, or says in how many seconds there is one.
    pub(super) fn take(&mut self, rate: Rate, now: UnixTime) -> Result<(), u64> {
        self.fill(rate, now);
        match self.credit.checked_sub(rate.seconds) {
            Some(left) => {
                self.credit = left;
                Ok(())
            }
            None => Err(self.missing(rate)),
        }
    }

    /// In how many seconds one can be taken; 0 is now.
    pub(super) fn wait(&mut self, rate: Rate, now: UnixTime) -> u64 {
        self.fill(rate, now);
        self.missing(rate)
    }

    pub(super) fn give_back(&mut self, rate: Rate) {
        self.credit = self.credit.saturating_add(rate.seconds).min(rate.most());
    }

    /// A clock that was set back starts the measuring anew.
    fn fill(&mut self, rate: Rate, now: UnixTime) {
        let gained = now.since(self.at).saturating_mul(rate.amount);
        self.credit = self.credit.saturating_add(gained).min(rate.most());
        self.at = now;
    }

    fn missing(self, rate: Rate) -> u64 {
        rate.seconds.saturating_sub(self.credit).div_ceil(rate.amount.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_rate_loses_nothing_to_a_clock_of_whole_seconds() {
        let rate = Rate { amount: 7, seconds: 3600, burst: 1 };
        let mut bucket = Bucket::full(rate, UnixTime(0));
        let mut taken = Vec::new();
        for second in 0..3600 {
            if bucket.take(rate, UnixTime(second)).is_ok() {
                taken.push(second);
            }
        }
        assert_eq!(taken, [0, 515, 1030, 1545, 2060, 2575, 3090]);
    }

    #[test]
    fn a_clock_that_was_set_back_neither_fills_nor_blocks_a_bucket() {
        let rate = Rate { amount: 1, seconds: 1, burst: 1 };
        let mut bucket = Bucket::full(rate, UnixTime(5000));
        assert_eq!(bucket.take(rate, UnixTime(5000)), Ok(()));
        assert_eq!(bucket.take(rate, UnixTime(10)), Err(1));
        assert_eq!(bucket.take(rate, UnixTime(11)), Ok(()));
    }

    #[test]
    fn what_is_saved_up_ends_at_the_burst_also_when_it_is_lowered() {
        let rate = Rate { amount: 1, seconds: 1, burst: 100 };
        let mut bucket = Bucket::full(rate, UnixTime(0));
        let lower = Rate { burst: 2, ..rate };
        let taken = (0..100).filter(|_| bucket.take(lower, UnixTime(1)).is_ok()).count();
        assert_eq!(taken, 2);
    }
}
