//! A histogram with fixed bounds.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::value;

/// How often which magnitude was seen.
#[derive(Debug)]
pub(super) struct Histogram {
    bounds: &'static [u64],
    /// One for each bound, and one for what is above all.
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
}

impl Histogram {
    pub(super) fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    pub(super) fn observe(&self, found: u64) {
        let place = self.bounds.partition_point(|bound| *bound < found);
        self.counts.get(place).into_iter().for_each(super::one_more);
        // Wraps after half a million years of microseconds.
        self.sum.fetch_add(found, Relaxed);
    }

    /// Each bound with the number that did not exceed it.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        self.bounds.iter().zip(&self.counts).scan(0_u64, |below, (bound, count)| {
            *below = below.saturating_add(value(count));
            Some((*bound, *below))
        })
    }

    /// How many there were, and their sum.
    pub(super) fn totals(&self) -> (u64, u64) {
        (self.counts.iter().map(value).fold(0, u64::saturating_add), value(&self.sum))
    }
}

/// How many decisions went into one commit of the log.
#[derive(Debug)]
pub(crate) struct Batches(pub(super) Histogram);

impl Default for Batches {
    fn default() -> Self {
        Self(Histogram::new(&[1, 2, 4, 8, 16, 32, 64, 128]))
    }
}

impl Batches {
    /// One commit of so many.
    pub(crate) fn observe(&self, decisions: usize) {
        self.0.observe(u64::try_from(decisions).unwrap_or(u64::MAX));
    }
}

/// From a tenth of a millisecond to ten seconds.
pub(super) const MICROSECONDS: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    10_000_000,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_equals_a_bound_counts_below_it_and_what_is_above_all_counts_in_the_total() {
        let histogram = Histogram::new(&[1, 10]);
        for found in [0, 1, 2, 10, 11, 1000] {
            histogram.observe(found);
        }
        assert_eq!(histogram.cumulative().collect::<Vec<_>>(), [(1, 2), (10, 4)]);
        assert_eq!(histogram.totals(), (6, 1024));
    }
}
