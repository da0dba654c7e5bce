//! Many accesses that are alike become one event.
//!
//! The first of a kind is told at once. What follows within the window is counted, and told as one when the window ends. A kind is the
//! subject's program, name, user and control group; the vector and what was ruled; and the object. Whoever makes up kinds (a
//! name is of their own choice) fills the table; beyond that only vectors are told apart, so memory is bounded and every count exact.
//!
//! Untrusted: records, as far as their subject chose what is in them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use enforcer_abi::Record;

use super::event::Told;

/// Kinds whose windows are open.
#[derive(Debug)]
pub struct Aggregator {
    settings: Settings,
    open: HashMap<Kind, Run>,
    mixed: BTreeMap<(u16, u8, u8), Run>,
}

/// How much is made one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// In nanoseconds; 0: nothing is made one, which is what `logAll` asks for.
    pub window: u64,
    /// Kinds that are told apart at a time.
    pub kinds: usize,
}

impl Settings {
    /// Ten seconds, and 4096 kinds: about a megabyte.
    pub const USUAL: Self = Self { window: 10_000_000_000, kinds: 4096 };
    /// Everything by itself.
    pub const ALL: Self = Self { window: 0, kinds: 0 };
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Kind {
    exe: Option<Arc<str>>,
    comm: [u8; 16],
    name: [u8; 48],
    cgroup: u64,
    object_group: u64,
    uid: u32,
    vector: u16,
    tier: u8,
    ruling: u8,
}

impl Kind {
    fn of(record: &Record, exe: Option<&Arc<str>>) -> Self {
        let Record { comm, name, cgroup, object_group, uid, vector, tier, ruling, .. } = *record;
        Self { exe: exe.cloned(), comm, name, cgroup, object_group, uid, vector, tier, ruling }
    }
}

/// Since the window began; the one that began it was told already.
#[derive(Clone, Debug)]
struct Run {
    began: u64,
    told: Option<Told>,
}

impl Run {
    fn add(&mut self, record: &Record, exe: Option<&Arc<str>>, mixed: bool) {
        let one = || Told { first: record.at, record: *record, count: 0, exe: exe.cloned(), mixed };
        let told = self.told.get_or_insert_with(one);
        told.record = *record;
        told.count = told.count.saturating_add(1);
    }
}

impl Aggregator {
    /// Nothing is open.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, open: HashMap::new(), mixed: BTreeMap::new() }
    }

    /// Takes a record in; gives it back where it is to be told at once.
    pub fn take(&mut self, record: &Record, exe: Option<&Arc<str>>) -> Option<Told> {
        let one = |mixed| Told { first: record.at, record: *record, count: 1, exe: exe.cloned(), mixed };
        if self.settings.window == 0 {
            return Some(one(false));
        }
        let kind = Kind::of(record, exe);
        if let Some(run) = self.open.get_mut(&kind) {
            run.add(record, exe, false);
            return None;
        }
        if self.open.len() < self.settings.kinds {
            self.open.insert(kind, Run { began: record.at, told: None });
            return Some(one(false));
        }
        let coarse = (record.vector, record.tier, record.ruling);
        let run = self.mixed.entry(coarse).or_insert(Run { began: record.at, told: None });
        run.add(record, None, true);
        None
    }

    /// What windows that ended by `now` (of the records' clock) have to tell. A kind that goes on stays open, and is told once
    /// per window.
    pub fn due(&mut self, now: u64) -> Vec<Told> {
        let window = self.settings.window;
        let mut told = Vec::new();
        let ended = |run: &Run| now.saturating_sub(run.began) >= window;
        self.open.retain(|_, run| keeps(run, ended(run), now, &mut told));
        self.mixed.retain(|_, run| keeps(run, ended(run), now, &mut told));
        told
    }

    /// What all windows have to tell, ended or not: at the end.
    pub fn rest(&mut self) -> Vec<Told> {
        let open = self.open.drain().map(|(_, run)| run);
        open.chain(std::mem::take(&mut self.mixed).into_values()).filter_map(|run| run.told).collect()
    }
}

/// Whether the run stays; one that was silent for a whole window goes.
fn keeps(run: &mut Run, ended: bool, now: u64, told: &mut Vec<Told>) -> bool {
    if !ended {
        return true;
    }
    run.began = now;
    match run.told.take() {
        Some(more) => {
            told.push(more);
            true
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use enforcer_abi::Vector;

    use super::super::event::tests::record;
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Record {
        Record { at: seconds.saturating_mul(SECOND), ..record(Vector::Environ) }
    }

    fn usual() -> Aggregator {
        Aggregator::new(Settings { kinds: 2, ..Settings::USUAL })
    }

    #[test]
    fn the_first_is_told_at_once_and_the_others_as_one() {
        let mut all = usual();
        let first = all.take(&at(0), None).unwrap();
        assert_eq!((first.count, first.first), (1, 0));
        for second in 1..=5 {
            assert_eq!(all.take(&at(second), None), None);
        }
        assert_eq!(all.due(9 * SECOND), vec![], "the window is open");
        let [more] = <[Told; 1]>::try_from(all.due(10 * SECOND)).unwrap();
        assert_eq!((more.count, more.first, more.record.at, more.mixed), (5, SECOND, 5 * SECOND, false));
        assert_eq!(all.take(&at(11), None), None, "it goes on: still the same");
        assert_eq!(all.due(20 * SECOND).len(), 1);
        assert_eq!(all.due(30 * SECOND), vec![]);
        assert!(all.take(&at(31), None).is_some(), "after a window of silence it is news");
    }

    #[test]
    fn kinds_are_told_apart() {
        let mut all = Aggregator::new(Settings::USUAL);
        let [gdb, strace]: [Arc<str>; 2] = ["/usr/bin/gdb".into(), "/usr/bin/strace".into()];
        let base = at(0);
        assert!(all.take(&base, Some(&gdb)).is_some());
        assert!(all.take(&base, Some(&strace)).is_some(), "another program");
        for other in [
            Record { comm: [1; 16], ..base },
            Record { name: [1; 48], ..base },
            Record { cgroup: 1, ..base },
            Record { object_group: 1, ..base },
            Record { uid: 1, ..base },
            Record { vector: 1 + base.vector, ..base },
            Record { ruling: 1, ..base },
            Record { tier: 4, ..base },
        ] {
            assert!(all.take(&other, Some(&gdb)).is_some(), "{other:?}");
        }
        for same in [Record { pid: 99, tid: 99, ..base }, Record { detail: 9, syscall: 9, at: 9, ..base }] {
            assert!(all.take(&same, Some(&gdb)).is_none(), "{same:?}");
        }
    }

    #[test]
    fn whoever_makes_up_names_is_counted_all_the_same_and_costs_no_memory() {
        let mut all = usual();
        let mut told = 0;
        for number in 0..10_000_u32 {
            let mut comm = [0; 16];
            comm[..4].copy_from_slice(&number.to_ne_bytes());
            told += all.take(&Record { comm, ..at(1) }, None).map_or(0, |told| told.count);
        }
        assert_eq!(told, 2, "as many kinds as fit");
        assert_eq!((all.open.len(), all.mixed.len()), (2, 1));
        let due = all.due(11 * SECOND);
        assert!(due.iter().all(|one| one.mixed));
        assert_eq!(due.iter().map(|one| one.count).sum::<u64>(), 9_998, "sums are exact");
    }

    #[test]
    fn at_the_end_nothing_is_kept_back() {
        let mut all = usual();
        for second in 0..3 {
            all.take(&at(second), None);
        }
        assert_eq!(all.rest().iter().map(|one| one.count).sum::<u64>(), 2);
        assert_eq!(all.rest(), vec![]);
    }

    #[test]
    fn whoever_wants_everything_is_told_everything() {
        let mut all = Aggregator::new(Settings::ALL);
        assert!((0..3).all(|second| all.take(&at(second), None).is_some_and(|one| one.count == 1)));
        assert_eq!(all.due(u64::MAX), vec![]);
    }
}
