//! What is known of each source, of a bounded number of them: the one that was away longest is forgotten.
//!
//! A forgotten source begins anew, so a caller with many addresses gains nothing by having one forgotten: it takes as many
//! others as the table holds.

use std::collections::{BTreeMap, HashMap};

use super::Source;

/// A table of sources.
#[derive(Debug)]
pub(super) struct Table<T> {
    known: HashMap<Source, (u64, T)>,
    order: BTreeMap<u64, Source>,
    calls: u64,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { known: HashMap::new(), order: BTreeMap::new(), calls: 0 }
    }
}

impl<T> Table<T> {
    /// What is known of this source, or what is made for it.
    pub(super) fn of(&mut self, source: Source, most: usize, make: impl FnOnce() -> T) -> &mut T {
        self.calls = self.calls.wrapping_add(1);
        match self.known.get(&source) {
            Some((call, _)) => drop(self.order.remove(call)),
            None => self.make_room(most),
        }
        self.order.insert(self.calls, source);
        let known = self.known.entry(source).or_insert_with(|| (0, make()));
        known.0 = self.calls;
        &mut known.1
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    fn make_room(&mut self, most: usize) {
        while self.known.len() >= most.max(1) {
            let Some((_, oldest)) = self.order.pop_first() else { return };
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> Source {
        Source::V4([192, 0, 2, last])
    }

    #[test]
    fn the_source_that_was_away_longest_is_forgotten() {
        let mut table = Table::default();
        for last in [1, 2, 3, 1] {
            *table.of(source(last), 3, || 0) += 1;
        }
        *table.of(source(4), 3, || 0) += 1;
        assert_eq!(table.len(), 3);
        assert_eq!(*table.of(source(1), 3, || 0), 2, "asked again: not the oldest");
        assert_eq!(*table.of(source(2), 3, || 0), 0, "forgotten");
        assert_eq!((table.len(), table.order.len()), (3, 3));
    }
}
