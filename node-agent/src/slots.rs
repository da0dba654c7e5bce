//! A fixed number of places: callers that are served, or one hand on a device.
//!
//! Whoever holds a [`Slot`] has a place; dropping it gives the place back, also when a thread dies.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The places.
#[derive(Debug)]
pub(crate) struct Slots {
    most: usize,
    taken: Mutex<usize>,
    freed: Condvar,
}

/// One place that is taken.
#[derive(Debug)]
pub(crate) struct Slot(Arc<Slots>);

impl Slots {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::new(0), freed: Condvar::new() })
    }

    /// Takes a place, and waits at most this long for one.
    pub(crate) fn take(self: &Arc<Self>, patience: Duration) -> Option<Slot> {
        let mut taken = self.wait_until(patience, |taken| taken < self.most)?;
        *taken = taken.saturating_add(1);
        Some(Slot(Arc::clone(self)))
    }

    /// Waits at most this long until every place is free.
    pub(crate) fn drained(&self, patience: Duration) -> bool {
        self.wait_until(patience, |taken| taken == 0).is_some()
    }

    fn wait_until(&self, patience: Duration, good: impl Fn(usize) -> bool) -> Option<MutexGuard<'_, usize>> {
        let start = Instant::now();
        let mut taken = self.taken();
        while !good(*taken) {
            let left = patience.checked_sub(start.elapsed()).filter(|left| !left.is_zero())?;
            taken = self.freed.wait_timeout(taken, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Some(taken)
    }

    /// The count is right whatever happened to the thread that held the lock: nothing in between panics.
    fn taken(&self) -> MutexGuard<'_, usize> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.0.taken();
        *taken = taken.saturating_sub(1);
        self.0.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_given_back_is_taken_by_who_waits() {
        let slots = Slots::new(1);
        let first = slots.take(Duration::ZERO).unwrap();
        assert!(slots.take(Duration::ZERO).is_none());
        assert!(!slots.drained(Duration::from_millis(1)));
        let waiting = std::thread::spawn({
            let slots = Arc::clone(&slots);
            move || slots.take(Duration::from_secs(30)).is_some()
        });
        drop(first);
        assert!(waiting.join().unwrap());
        assert!(slots.drained(Duration::ZERO));
    }
}
