//! A fixed number of places for callers, of which nobody has more than their share.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::caller::Key;
use crate::slots::{Slot, Slots};

/// The places.
#[derive(Debug)]
pub(crate) struct Places {
    all: Arc<Slots>,
    each: usize,
    taken: Mutex<BTreeMap<Key, usize>>,
}

/// One place that is taken; dropped, it is given back.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    key: Key,
    _slot: Slot,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Full {
    #[error("too many callers")]
    All,
    #[error("too many requests of one caller at once: at most {0}")]
    Share(usize),
}

impl Places {
    /// A quarter of them for each, and at least one.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { all: Slots::new(most), each: most.div_ceil(4), taken: Mutex::default() })
    }

    pub(crate) fn take(self: &Arc<Self>, key: Key) -> Result<Place, Full> {
        let mut taken = self.taken();
        let mine = taken.get(&key).copied().unwrap_or_default();
        if mine >= self.each {
            return Err(Full::Share(self.each));
        }
        let slot = self.all.take(Duration::ZERO).ok_or(Full::All)?;
        taken.insert(key.clone(), mine.saturating_add(1));
        drop(taken);
        Ok(Place { places: Arc::clone(self), key, _slot: slot })
    }

    /// Waits at most this long until every place is free.
    pub(crate) fn drained(&self, patience: Duration) -> bool {
        self.all.drained(patience)
    }

    /// The counts are right whatever happened to the thread that held the lock: nothing in between panics.
    fn taken(&self) -> MutexGuard<'_, BTreeMap<Key, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        match taken.get_mut(&self.key) {
            Some(mine) if *mine > 1 => *mine = mine.saturating_sub(1),
            Some(_) | None => drop(taken.remove(&self.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_more_than_a_quarter_and_all_have_no_more_than_all() {
        let places = Places::new(8);
        let take = |user| places.take(Key::User(user));
        let mine = [take(0).unwrap(), take(0).unwrap()];
        assert_eq!(take(0).unwrap_err(), Full::Share(2));
        let others: Vec<_> = [1, 1, 2, 2, 3, 3].map(|user| take(user).unwrap()).into();
        assert_eq!(take(4).unwrap_err(), Full::All);
        drop(mine);
        assert!(take(4).is_ok() && take(0).is_ok());
        drop(others);
        assert!(places.drained(Duration::ZERO) && places.taken().is_empty());
        assert!(Places::new(1).take(Key::User(0)).is_ok(), "at least one");
    }
}
