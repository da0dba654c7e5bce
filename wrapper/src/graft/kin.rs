//! Who is followed. A child is announced by a stop of its parent, and seen by a stop of its own; the two come in any order, and the
//! child may have come to its end, or to its program, before it is announced.
//!
//! Pure: numbers of processes in, and whether anybody is left.

use std::collections::BTreeSet;

#[derive(Debug, Default)]
pub(super) struct Kin {
    traced: BTreeSet<i32>,
    /// Announced, not yet seen.
    unborn: BTreeSet<i32>,
    /// Seen, not yet announced.
    early: BTreeSet<i32>,
}

impl Kin {
    /// The first of all, which nobody announces.
    pub(super) fn adopted(&mut self, pid: i32) {
        self.traced.insert(pid);
    }

    /// It has been seen. Whether for the first time.
    pub(super) fn born(&mut self, pid: i32) -> bool {
        let is_new = self.traced.insert(pid);
        if is_new && !self.unborn.remove(&pid) {
            self.early.insert(pid);
        }
        is_new
    }

    /// A parent says that it is there.
    pub(super) fn announced(&mut self, child: i32) {
        if !self.early.remove(&child) {
            self.unborn.insert(child);
        }
    }

    /// It has ended, or is followed no more.
    pub(super) fn gone(&mut self, pid: i32) {
        self.traced.remove(&pid);
        self.unborn.remove(&pid);
        if self.is_empty() {
            // Their parents were killed before they could announce them.
            self.early.clear();
        }
    }

    pub(super) fn has(&self, pid: i32) -> bool {
        self.traced.contains(&pid)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.traced.is_empty() && self.unborn.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: i32 = 10;
    const CHILD: i32 = 11;

    fn family() -> Kin {
        let mut kin = Kin::default();
        kin.adopted(PARENT);
        kin
    }

    #[test]
    fn a_child_is_waited_for_once_it_is_announced() {
        let mut kin = family();
        kin.announced(CHILD);
        kin.gone(PARENT);
        assert!(!kin.is_empty() && !kin.has(CHILD));
        assert!(kin.born(CHILD) && !kin.born(CHILD));
        kin.gone(CHILD);
        assert!(kin.is_empty());
    }

    #[test]
    fn a_child_that_is_gone_before_it_is_announced_is_not_waited_for() {
        let mut kin = family();
        assert!(kin.born(CHILD));
        kin.gone(CHILD);
        kin.announced(CHILD);
        kin.gone(PARENT);
        assert!(kin.is_empty());
    }

    #[test]
    fn a_number_that_is_used_again_is_waited_for_again() {
        let mut kin = family();
        kin.born(CHILD);
        kin.announced(CHILD);
        kin.gone(CHILD);
        kin.announced(CHILD);
        kin.gone(PARENT);
        assert!(!kin.is_empty());
    }
}
