//! The kernel's maps are played.

use std::collections::BTreeMap;

use super::*;

#[derive(Clone, Default)]
struct Played {
    sets: BTreeMap<u64, Set>,
    needles: BTreeMap<(u64, u32, u32), leak::Needle>,
    searches: bool,
    /// What was attached and detached.
    turns: Vec<bool>,
}

fn numbers(place: Place) -> (u64, u32, u32) {
    (place.group, place.spot, place.nth)
}

impl Kernel for Played {
    fn put(&mut self, place: Place, needle: leak::Needle) -> io::Result<()> {
        self.needles.insert(numbers(place), needle);
        Ok(())
    }

    fn take(&mut self, place: Place) -> io::Result<()> {
        self.needles.remove(&numbers(place));
        Ok(())
    }

    fn set(&mut self, group: u64, set: &Set) -> io::Result<()> {
        self.sets.insert(group, *set);
        Ok(())
    }

    fn unset(&mut self, group: u64) -> io::Result<()> {
        self.sets.remove(&group);
        Ok(())
    }

    fn groups(&self) -> io::Result<Vec<(u64, [u8; 32])>> {
        Ok(self.sets.iter().map(|(group, set)| (*group, set.key.bytes())).collect())
    }

    fn needles(&self) -> io::Result<Vec<(Place, leak::Needle)>> {
        let place = |(group, spot, nth): (u64, u32, u32)| Place { group, spot, nth };
        Ok(self.needles.iter().map(|(numbers, needle)| (place(*numbers), *needle)).collect())
    }

    fn search(&mut self, on: bool) -> io::Result<()> {
        if self.searches != on {
            self.turns.push(on);
        }
        self.searches = on;
        Ok(())
    }
}

const KEY: [u8; 32] = [7; 32];

fn registered() -> Leaks<Played> {
    let mut leaks = Leaks::new(Played::default(), Unread::Count);
    leaks.register(1, &KEY, &needles(&KEY, b"correct horse battery").unwrap()).unwrap();
    leaks
}

#[test]
fn the_search_begins_with_the_first_group_and_ends_with_the_last() {
    let mut leaks = registered();
    leaks.register(2, &KEY, &needles(&KEY, b"correct horse battery").unwrap()).unwrap();
    assert_eq!(leaks.kernel.turns, [true]);
    leaks.forget(1);
    assert_eq!(leaks.kernel.turns, [true]);
    leaks.forget(2);
    assert_eq!(leaks.kernel.turns, [true, false]);
    assert!(leaks.kernel.sets.is_empty() && leaks.kernel.needles.is_empty());
}

#[test]
fn the_decoy_has_a_secret_while_somebody_else_has_and_is_no_reason_to_search() {
    let mut leaks = Leaks::new(Played::default(), Unread::Count);
    leaks.decoy_is(99, &[3; 32]);
    assert!(!leaks.can_be_tried() && leaks.kernel.sets.is_empty());
    leaks.register(1, &KEY, &needles(&KEY, b"correct horse battery").unwrap()).unwrap();
    assert!(leaks.can_be_tried());
    assert_eq!(leaks.kernel.sets.keys().collect::<Vec<_>>(), [&1, &99]);
    // The decoy was killed, and there is another.
    leaks.decoy_is(100, &[4; 32]);
    assert_eq!(leaks.kernel.sets.keys().collect::<Vec<_>>(), [&1, &100]);
    leaks.forget(1);
    assert!(!leaks.can_be_tried() && leaks.kernel.sets.is_empty() && leaks.kernel.needles.is_empty());
    assert_eq!(leaks.kernel.turns, [true, false]);
}

#[test]
fn what_an_enforcer_before_us_registered_is_searched_for_on_and_ends_with_its_group() {
    let before = registered().kernel;
    let mut leaks = Leaks::new(Played { searches: false, turns: vec![], ..before.clone() }, Unread::Retry);
    leaks.adopt().unwrap();
    assert_eq!((leaks.kernel.turns.as_slice(), &leaks.kernel.needles), (&[true][..], &before.needles));
    assert_eq!(leaks.kernel.sets[&1].unread(), Unread::Retry);
    // It is told its key again, under which it registers the same.
    let key = leaks.key(1).unwrap();
    leaks.register(1, &key, &needles(&key, b"correct horse battery").unwrap()).unwrap();
    assert_eq!(leaks.kernel.needles, before.needles);
    leaks.forget(1);
    assert!(leaks.kernel.needles.is_empty() && !leaks.kernel.searches);
}

#[test]
fn needles_that_nobody_would_find_are_taken_away() {
    let mut before = registered().kernel;
    let whole = before.needles.clone();
    before.sets.insert(5, Set::default());
    before.sets.insert(DECOYS + 77, before.sets[&1]);
    let stray = Place { group: 6, spot: 3, nth: 0 };
    before.put(stray, *whole.values().next().unwrap()).unwrap();
    // Not the first of its row, and there is no first.
    before.put(Place { group: 5, spot: 3, nth: 1 }, *whole.values().next().unwrap()).unwrap();
    let mut leaks = Leaks::new(before, Unread::Count);
    leaks.adopt().unwrap();
    assert_eq!(leaks.kernel.needles, whole);
    assert_eq!(leaks.kernel.sets.keys().collect::<Vec<_>>(), [&1]);
}
