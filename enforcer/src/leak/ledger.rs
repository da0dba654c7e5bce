//! Which needles each group has, and where they go: pure.
//!
//! Needles whose first bytes look alike to the filter stand in a row under one place; the row is short, because the search
//! goes through all of it. A registration is taken as a whole or not at all.
//!
//! Untrusted: needles. Trusted: the group they come from.

use std::collections::HashMap;

use enforcer_abi::leak::{CROWD, Form, Key, Needle, Place, SPOTS, Set, Unread};
use protocol::enforcer;

/// Groups that may have needles at a time: as many as the kernel's map holds, but for the decoy's.
pub const MOST_GROUPS: usize = 255;
/// Needles of one group.
pub const MOST_NEEDLES: usize = 1024;
/// Needles of all groups: as many as the kernel's map holds.
pub const MOST_IN_ALL: usize = 32_768;

/// Why needles are not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Too many groups.
    #[error("expected at most {MOST_GROUPS} groups with needles, found more")]
    Groups,
    /// Too many needles.
    #[error("expected at most {most} needles, found {found}")]
    Needles {
        /// Of one group, or of all.
        most: usize,
        /// With these.
        found: usize,
    },
    /// Too many begin alike.
    #[error("expected at most {CROWD} needles that begin alike, found more")]
    Crowd,
    /// It is none.
    #[error("expected a needle of 16 to 64 bytes in a known form, found one of {length} in form {form}")]
    Shape {
        /// As it says.
        length: u16,
        /// Likewise.
        form: u16,
    },
    /// Its place does not exist.
    #[error("expected a place below {SPOTS}, found {0}")]
    Spot(u32),
}

/// What is to be written.
#[derive(Debug)]
pub struct Change {
    /// Needles that are new.
    pub needles: Vec<(Place, Needle)>,
    /// The group's filter, whole.
    pub set: Box<Set>,
}

/// All groups.
#[derive(Debug, Default)]
pub struct Ledger {
    unread: Unread,
    groups: HashMap<u64, Group>,
    needles: usize,
}

#[derive(Clone, Debug)]
struct Group {
    set: Box<Set>,
    rows: HashMap<u32, Vec<Needle>>,
    count: usize,
}

impl Ledger {
    /// Nobody has any; what cannot be looked at is treated like this.
    #[must_use]
    pub fn new(unread: Unread) -> Self {
        Self { unread, ..Self::default() }
    }

    /// Takes in a group of an enforcer before us: its key, and its needles in the order of their places. None where they are
    /// not as we would have written them.
    pub fn adopt(&mut self, group: u64, key: &[u8; 32], found: &[(Place, Needle)]) -> Option<Box<Set>> {
        let mut adopted = Group::new(key, self.unread);
        for (place, needle) in found {
            let Needle { hash, spot, length, form } = *needle;
            let added = adopted.add(group, &enforcer::Needle { hash, spot, length, form });
            if added != Ok(Some((*place, *needle))) {
                return None;
            }
        }
        let all = self.needles.saturating_add(adopted.count);
        if all > MOST_IN_ALL || self.groups.len() >= MOST_GROUPS {
            return None;
        }
        self.needles = all;
        let set = adopted.set.clone();
        self.groups.insert(group, adopted);
        Some(set)
    }

    /// The groups that have needles.
    pub fn groups(&self) -> impl Iterator<Item = u64> {
        self.groups.keys().copied()
    }

    /// The key of a group that has some.
    #[must_use]
    pub fn key(&self, group: u64) -> Option<[u8; 32]> {
        self.groups.get(&group).map(|group| group.set.key.bytes())
    }

    /// Adds to a group's needles; those that it has already are nothing new.
    pub fn register(
        &mut self,
        group: u64,
        key: &[u8; 32],
        needles: &[enforcer::Needle],
    ) -> Result<Change, Refused> {
        if !self.groups.contains_key(&group) && self.groups.len() >= MOST_GROUPS {
            return Err(Refused::Groups);
        }
        let known = self.groups.get(&group).cloned();
        let mut after = known.unwrap_or_else(|| Group::new(key, self.unread));
        let before = after.count;
        let mut new = Vec::new();
        for needle in needles {
            new.extend(after.add(group, needle)?);
        }
        let all = self.needles.saturating_sub(before).saturating_add(after.count);
        if all > MOST_IN_ALL {
            return Err(Refused::Needles { most: MOST_IN_ALL, found: all });
        }
        self.needles = all;
        let set = after.set.clone();
        self.groups.insert(group, after);
        Ok(Change { needles: new, set })
    }

    /// The group is no more: where its needles were.
    pub fn forget(&mut self, group: u64) -> Vec<Place> {
        let Some(gone) = self.groups.remove(&group) else { return Vec::new() };
        self.needles = self.needles.saturating_sub(gone.count);
        let row = |(spot, row): (&u32, &Vec<Needle>)| {
            let spot = *spot;
            (0..).zip(row).map(move |(nth, _)| Place { group, spot, nth }).collect::<Vec<_>>()
        };
        gone.rows.iter().flat_map(row).collect()
    }

    /// Whether nothing is registered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

impl Group {
    fn new(key: &[u8; 32], unread: Unread) -> Self {
        Self { set: Box::new(Set::new(Key::new(key), unread)), rows: HashMap::new(), count: 0 }
    }

    fn add(&mut self, group: u64, needle: &enforcer::Needle) -> Result<Option<(Place, Needle)>, Refused> {
        let enforcer::Needle { hash, spot, length, form } = *needle;
        if !(16..=64).contains(&length) || Form::of(form).is_none() {
            return Err(Refused::Shape { length, form });
        }
        if spot >= SPOTS {
            return Err(Refused::Spot(spot));
        }
        let needle = Needle { hash, spot, length, form };
        let row = self.rows.entry(spot).or_default();
        if row.contains(&needle) {
            return Ok(None);
        }
        let nth = u32::try_from(row.len()).unwrap_or(u32::MAX);
        if nth >= CROWD {
            return Err(Refused::Crowd);
        }
        if self.count >= MOST_NEEDLES {
            return Err(Refused::Needles { most: MOST_NEEDLES, found: self.count.saturating_add(1) });
        }
        row.push(needle);
        self.count = self.count.saturating_add(1);
        self.set.add(spot);
        Ok(Some((Place { group, spot, nth }, needle)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needle(hash: u64, spot: u32) -> enforcer::Needle {
        enforcer::Needle { hash, spot, length: 20, form: 0 }
    }

    fn registered(
        ledger: &mut Ledger,
        group: u64,
        needles: &[enforcer::Needle],
    ) -> Result<Vec<(u32, u32)>, Refused> {
        let change = ledger.register(group, &[7; 32], needles)?;
        Ok(change.needles.iter().map(|(place, _)| (place.spot, place.nth)).collect())
    }

    #[test]
    fn needles_that_begin_alike_stand_in_a_row_and_none_stands_twice() {
        let mut ledger = Ledger::default();
        assert_eq!(
            registered(&mut ledger, 1, &[needle(1, 9), needle(2, 9), needle(1, 9)]),
            Ok(vec![(9, 0), (9, 1)])
        );
        assert_eq!(registered(&mut ledger, 1, &[needle(2, 9), needle(3, 9)]), Ok(vec![(9, 2)]));
        assert_eq!(
            registered(&mut ledger, 2, &[needle(1, 9)]),
            Ok(vec![(9, 0)]),
            "another group's are its own"
        );
        let mut places: Vec<u32> = ledger.forget(1).iter().map(|place| place.nth).collect();
        places.sort_unstable();
        assert_eq!(places, [0, 1, 2]);
        assert!(!ledger.is_empty());
        assert_eq!(ledger.forget(2).len(), 1);
        assert!(ledger.is_empty() && ledger.forget(2).is_empty());
    }

    #[test]
    fn what_an_enforcer_before_us_wrote_is_taken_in_as_it_stands_or_not_at_all() {
        let mut before = Ledger::new(Unread::Count);
        let needles = [needle(1, 9), needle(2, 9), needle(3, 4)];
        let mut written = before.register(1, &[7; 32], &needles).unwrap().needles;
        written.sort_by_key(|(place, _)| (place.spot, place.nth));
        let key = before.key(1).unwrap();
        let mut after = Ledger::new(Unread::Refuse);
        let set = after.adopt(1, &key, &written).unwrap();
        assert_eq!((set.needles, set.unread()), (3, Unread::Refuse));
        // Who registers them again under the key that it was told registers nothing new.
        assert_eq!(registered(&mut after, 1, &needles), Ok(vec![]));
        assert_eq!((after.groups().collect::<Vec<_>>(), after.key(1)), (vec![1], Some(key)));
        assert_eq!(after.forget(1).len(), 3);
        // The first of a row is not there: nothing behind it would be found.
        let holes = [written[0], written[2]];
        assert!(after.adopt(1, &key, &holes).is_none() && after.is_empty());
    }

    #[test]
    fn what_is_refused_leaves_no_trace() {
        let mut ledger = Ledger::default();
        let crowd: Vec<_> = (0..9).map(|hash| needle(hash, 9)).collect();
        assert_eq!(registered(&mut ledger, 1, &crowd), Err(Refused::Crowd));
        assert_eq!(registered(&mut ledger, 1, &[needle(1, SPOTS)]), Err(Refused::Spot(SPOTS)));
        let short = enforcer::Needle { length: 15, ..needle(1, 1) };
        assert_eq!(registered(&mut ledger, 1, &[short]), Err(Refused::Shape { length: 15, form: 0 }));
        let unknown = enforcer::Needle { form: 9, ..needle(1, 1) };
        assert_eq!(registered(&mut ledger, 1, &[unknown]), Err(Refused::Shape { length: 20, form: 9 }));
        let many: Vec<_> = (0..1025).map(|n| needle(n.into(), n)).collect();
        assert_eq!(registered(&mut ledger, 1, &many), Err(Refused::Needles { most: 1024, found: 1025 }));
        assert!(ledger.is_empty());
    }

    #[test]
    fn there_is_room_for_so_many_groups_and_needles() {
        let mut ledger = Ledger::default();
        let many: Vec<_> = (0..1024).map(|n| needle(n.into(), n)).collect();
        for group in 1..=32 {
            assert_eq!(registered(&mut ledger, group, &many).map(|new| new.len()), Ok(1024));
        }
        let found = MOST_IN_ALL + 1;
        assert_eq!(
            registered(&mut ledger, 33, &[needle(1, 1)]),
            Err(Refused::Needles { most: MOST_IN_ALL, found })
        );
        ledger.forget(32);
        for group in 32..=255 {
            assert_eq!(registered(&mut ledger, group, &[needle(1, 1)]), Ok(vec![(1, 0)]));
        }
        assert_eq!(registered(&mut ledger, 256, &[needle(1, 1)]), Err(Refused::Groups));
    }
}
