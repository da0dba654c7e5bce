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
}

impl Kin {
    /// The first of all, which nobody announces.
    pub(super) fn adopted(&mut self, pid: i32) {
        self.traced.insert(pid);
    }

    /// It has been seen. Whether for the first time.
    pub(super) fn born(&mut self, pid: i32) -> bool {
        self.unborn.remove(&pid);
        self.traced.insert(pid)
    }

    /// A parent says that it has a child, which is still there to be traced, or is not.
    pub(super) fn announced(&mut self, child: i32, is_there: bool) {
        if is_there && !self.traced.contains(&child) {
            self.unborn.insert(child);
        }
    }

    /// It has ended, or is followed no more.
    pub(super) fn gone(&mut self, pid: i32) {
        self.traced.remove(&pid);
        self.unborn.remove(&pid);
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
        kin.announced(CHILD, true);
        kin.gone(PARENT);
        assert!(!kin.is_empty() && !kin.has(CHILD));
        assert!(kin.born(CHILD) && !kin.born(CHILD));
        kin.gone(CHILD);
        assert!(kin.is_empty());
    }

    #[test]
    fn a_child_that_is_seen_before_it_is_announced_is_one() {
        let mut kin = family();
        assert!(kin.born(CHILD));
        kin.announced(CHILD, true);
        kin.gone(CHILD);
        kin.gone(PARENT);
        assert!(kin.is_empty());
    }

    #[test]
    fn a_child_that_is_gone_before_it_is_announced_is_not_waited_for() {
        for is_seen in [false, true] {
            let mut kin = family();
            if is_seen {
                kin.born(CHILD);
            }
            kin.gone(CHILD);
            kin.announced(CHILD, false);
            kin.gone(PARENT);
            assert!(kin.is_empty());
        }
    }
}
