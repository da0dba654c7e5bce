//! How long requests took.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

/// A distribution, in microseconds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Latency {
    /// How many were timed.
    pub count: usize,
    /// Half took no longer.
    pub p50: u64,
    /// 99 of 100 took no longer.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

impl Latency {
    /// Of these times, in any order.
    #[must_use]
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| {
            // The nearest rank, counted from one.
            let rank = times.len().saturating_mul(percent).div_ceil(100).saturating_sub(1);
            let time = times.get(rank).copied().unwrap_or_default();
            u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
        };
        Self { count: times.len(), p50: at(50), p99: at(99), max: at(100) }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, p50, p99, max } = self;
        write!(f, "p50 {p50} us, p99 {p99} us, longest {max} us, of {count}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_counted_from_the_shortest() {
        let times = |range: std::ops::RangeInclusive<u64>| range.rev().map(Duration::from_micros).collect();
        let hundred = Latency { count: 100, p50: 50, p99: 99, max: 100 };
        assert_eq!(Latency::of(times(1..=100)), hundred);
        assert_eq!(Latency::of(times(7..=7)), Latency { count: 1, p50: 7, p99: 7, max: 7 });
        assert_eq!(Latency::of(Vec::new()), Latency::default());
    }
}
