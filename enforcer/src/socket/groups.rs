//! The groups of protected processes: each has a key of its own, and is counted with the place that it came from.
//!
//! Core: what is random and what the clock says comes as an argument. What is here is bounded: so many groups on a machine,
//! so many of one control group. A group that the kernel knows and we do not is one of an enforcer before us; it is taken in.
//!
//! Trusted: the caller. Untrusted: names of places, which are compared and no more.

use std::collections::BTreeMap;
use std::fmt;

use super::edge::Inside;

/// Groups on a machine.
pub const MOST: usize = 4096;
/// Of one control group.
pub const MOST_ALIKE: usize = 256;

/// A group's key for fingerprints. Never shown.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Key(pub [u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// One group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Group {
    /// For fingerprints.
    pub key: Key,
    /// Who was tagged first.
    pub leader: u32,
    /// What the kernel's programs saw of it when it was tagged; none where they saw nothing.
    pub before: Option<Inside>,
    /// Whether it was looked at since, and nothing was wrong.
    pub is_clear: bool,
    /// Where it came from.
    pub place: String,
    /// Whether it had something registered under an enforcer before us: it has secrets already.
    pub is_inherited: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Groups(BTreeMap<u64, Group>);

/// There is no room for another group.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Full {
    /// On this machine.
    #[error("expected at most {MOST} groups on a machine, found as many")]
    Machine,
    /// From this control group.
    #[error("expected at most {MOST_ALIKE} groups of one control group, found as many")]
    Place,
}

impl Groups {
    /// Whether there is room for another one from there.
    pub fn room(&self, place: &str) -> Result<(), Full> {
        let alike = self.0.values().filter(|group| group.place == place).count();
        if alike >= MOST_ALIKE {
            return Err(Full::Place);
        }
        if self.0.len() >= MOST { Err(Full::Machine) } else { Ok(()) }
    }

    /// Takes one in.
    pub fn insert(&mut self, number: u64, group: Group) {
        self.0.insert(number, group);
    }

    /// The group of this number.
    pub fn find(&mut self, number: u64) -> Option<&mut Group> {
        self.0.get_mut(&number)
    }

    /// The numbers of those that `ended` says have ended; they are forgotten.
    pub fn forget(&mut self, mut ended: impl FnMut(u64) -> bool) -> Vec<u64> {
        self.0.extract_if(.., |number, _| ended(*number)).map(|(number, _)| number).collect()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(place: &str) -> Group {
        Group {
            key: Key([1; 32]),
            leader: 7,
            before: None,
            is_clear: false,
            place: place.to_owned(),
            is_inherited: false,
        }
    }

    #[test]
    fn one_place_does_not_take_all_the_room() {
        let mut groups = Groups::default();
        for number in 0..MOST_ALIKE {
            assert_eq!(groups.room("a"), Ok(()));
            groups.insert(number.try_into().unwrap(), group("a"));
        }
        assert_eq!(groups.room("a"), Err(Full::Place));
        assert_eq!(groups.room("b"), Ok(()));
        for number in MOST_ALIKE..MOST {
            groups.insert(number.try_into().unwrap(), group(&number.to_string()));
        }
        assert_eq!(groups.room("b"), Err(Full::Machine));
    }

    #[test]
    fn who_has_ended_makes_room_and_is_named() {
        let mut groups = Groups::default();
        for number in 1..=3 {
            groups.insert(number, group("a"));
        }
        assert_eq!(groups.forget(|number| number != 2), [1, 3]);
        assert_eq!(groups.len(), 1);
        assert!(groups.find(2).is_some() && groups.find(1).is_none());
    }

    #[test]
    fn a_key_is_not_shown() {
        assert!(!format!("{:?}", group("a")).contains("1, 1"));
    }
}
