//! The policy: one pure function, for every hook of every tier.
//!
//! Identity first: who is nothing to us and touches nothing of ours is let through after two comparisons.
//! Trusted: tags, and the settings that the loader wrote. Untrusted: everything about the access itself.

use crate::{Guard, Tag, role};

/// What is done about an access that the policy is against.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Mode {
    /// Nothing, not even a record.
    Off = 0,
    /// It is told.
    Detect = 1,
    /// It is told and refused.
    Enforce = 2,
}

impl Mode {
    /// The mode of this number; what is not a mode is the strictest.
    #[must_use]
    #[inline]
    pub const fn of(number: u32) -> Self {
        match number {
            0 => Self::Off,
            1 => Self::Detect,
            _ => Self::Enforce,
        }
    }
}

/// Who is subject to the guards at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Everybody, or this caller is in the one control group that tests confine themselves to.
    Within,
    /// Tests confine the enforcer to another control group.
    Without,
}

/// What is done.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ruling {
    /// Let through in silence.
    Allow = 0,
    /// Let through and told.
    Tell = 1,
    /// Refused and told.
    Deny = 2,
}

/// Whether the policy is against an access, whatever the mode. It comes first in every hook: nearly all end here.
#[must_use]
#[inline]
pub const fn concerns(guard: Guard, subject: Tag, object: Tag) -> bool {
    match guard {
        // One enforcer ends another, when it has taken over.
        Guard::Process if subject.is(role::ENFORCER) && object.is(role::ENFORCER) => false,
        // Nobody's neighbour becomes the enforcer.
        Guard::Process if object.next() & role::ENFORCER != 0 => true,
        Guard::Process => object.is(role::PROTECTED | role::ENFORCER | role::DECOY) && !subject.with(object),
        // Its own parts are the enforcer's alone.
        Guard::Own => !subject.is(role::ENFORCER),
        Guard::Node => !subject.is(role::ENFORCER | role::TRUSTED),
        Guard::Inside => subject.is(role::PROTECTED | role::DECOY),
    }
}

/// What is done about an access that the policy is against.
#[must_use]
#[inline]
pub const fn decide(mode: Mode, scope: Scope) -> Ruling {
    match (mode, scope) {
        (Mode::Off, _) | (_, Scope::Without) => Ruling::Allow,
        (Mode::Detect, Scope::Within) => Ruling::Tell,
        (Mode::Enforce, Scope::Within) => Ruling::Deny,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VICTIM: Tag = Tag { group: 7, roles: role::PROTECTED, becoming: 0 };
    const SIBLING: Tag = Tag { group: 7, roles: role::PROTECTED, becoming: 0 };
    const NEIGHBOUR: Tag = Tag { group: 8, roles: role::PROTECTED, becoming: 0 };
    const ENFORCER: Tag = Tag { group: 1, roles: role::ENFORCER, becoming: 0 };
    const TRUSTED: Tag = Tag { group: 0, roles: role::TRUSTED, becoming: 0 };

    #[test]
    fn only_the_same_group_touches_a_protected_process() {
        assert!(!concerns(Guard::Process, SIBLING, VICTIM));
        for other in [Tag::NONE, NEIGHBOUR, ENFORCER, TRUSTED] {
            assert!(concerns(Guard::Process, other, VICTIM), "{other:?}");
        }
    }

    #[test]
    fn processes_without_a_tag_touch_each_other_as_ever() {
        for subject in [Tag::NONE, VICTIM, ENFORCER] {
            assert!(!concerns(Guard::Process, subject, Tag::NONE), "{subject:?}");
        }
    }

    #[test]
    fn an_enforcer_ends_the_one_before_it_and_nobody_else_does() {
        let next = Tag { group: 2, ..ENFORCER };
        assert!(!concerns(Guard::Process, next, ENFORCER));
        for other in [Tag::NONE, NEIGHBOUR, TRUSTED] {
            assert!(concerns(Guard::Process, other, ENFORCER), "{other:?}");
        }
    }

    #[test]
    fn who_is_about_to_be_the_enforcer_is_kept_from_others_and_has_none_of_its_rights() {
        let next = Tag { becoming: role::ENFORCER, ..Tag::NONE };
        for other in [Tag::NONE, VICTIM, ENFORCER, TRUSTED, next] {
            assert!(concerns(Guard::Process, other, next), "{other:?}");
        }
        assert!(concerns(Guard::Process, next, ENFORCER));
        assert!(concerns(Guard::Own, next, Tag::NONE));
        assert!(concerns(Guard::Node, next, Tag::NONE));
        let neighbour = Tag { becoming: role::ENFORCER, ..SIBLING };
        assert!(concerns(Guard::Process, VICTIM, neighbour));
        assert_eq!(next.now(), Tag::NONE);
    }

    #[test]
    fn who_is_about_to_be_trusted_is_kept_from_those_of_either_entry() {
        let by = |entry: u32| role::TRUSTED | entry << role::ENTRY;
        let [before, next] = [0, by(7)].map(|becoming| Tag { roles: by(3), becoming, ..Tag::NONE });
        assert!(![Tag::NONE, ENFORCER].iter().any(|tag| tag.is_kept_from(0)));
        assert_eq!([0, 3, 7].map(|entry| before.is_kept_from(entry)), [true, false, true]);
        assert_eq!([0, 3, 7].map(|entry| next.is_kept_from(entry)), [true; 3]);
        assert_eq!([before, next].map(Tag::entry), [3, 3]);
        let first = Tag { becoming: by(7) | Tag::COUNTED, ..Tag::NONE };
        assert_eq!([0, 3, 7].map(|entry| first.is_kept_from(entry)), [true, true, false]);
        assert_eq!((first.entry(), first.next()), (0, by(7)));
        assert!(concerns(Guard::Node, first, Tag::NONE));
    }

    #[test]
    fn no_group_is_not_a_group() {
        assert!(concerns(Guard::Process, Tag::NONE, Tag { group: 0, ..VICTIM }));
    }

    #[test]
    fn the_enforcers_parts_are_its_own_and_the_nodes_are_for_the_trusted() {
        assert!(!concerns(Guard::Own, ENFORCER, Tag::NONE));
        assert!(concerns(Guard::Own, TRUSTED, Tag::NONE));
        assert!(!concerns(Guard::Node, TRUSTED, Tag::NONE));
        assert!(!concerns(Guard::Node, ENFORCER, Tag::NONE));
        assert!(concerns(Guard::Node, VICTIM, Tag::NONE));
    }

    #[test]
    fn what_is_forbidden_inside_is_forbidden_to_the_protected_alone() {
        assert!(concerns(Guard::Inside, VICTIM, Tag::NONE));
        assert!(!concerns(Guard::Inside, Tag::NONE, Tag::NONE));
    }

    #[test]
    fn the_mode_decides_what_is_done_and_the_scope_whether_anything_is() {
        let ruled = |scope| [Mode::Off, Mode::Detect, Mode::Enforce].map(|mode| decide(mode, scope));
        assert_eq!(ruled(Scope::Within), [Ruling::Allow, Ruling::Tell, Ruling::Deny]);
        assert_eq!(ruled(Scope::Without), [Ruling::Allow; 3]);
    }

    #[test]
    fn a_number_that_is_no_mode_is_the_strictest() {
        let modes = [Mode::Off, Mode::Detect, Mode::Enforce, Mode::Enforce, Mode::Enforce];
        assert_eq!([0, 1, 2, 3, u32::MAX].map(Mode::of), modes);
    }
}
