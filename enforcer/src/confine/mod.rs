//! What the enforcer may itself: at each step only what is still ahead takes.
//!
//! [`begin`], before anything else: nobody dumps it, nothing that it executes gains rights, and of root's rights it keeps those
//! alone that loading takes. [`spare`] puts one of them aside for as long as it is not needed. [`close`], when everything is armed:
//! what is left of its rights is for looking after it, and calls that nobody needs who does no more than that fail with EPERM
//! ([`calls`]); whoever takes the process over executes, mounts, loads and traces nothing.
//!
//! A right that it was not given is not missed here; what it was for says so.
//!
//! Trusted: nothing comes from outside.

mod calls;
mod filter;
mod kernel;

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, remove_capability_from_bounding_set, set_capabilities,
    set_no_new_privs,
};

pub(crate) use filter::Error;

/// What loading takes: `BPF` and `PERFMON` the programs, `NET_ADMIN` the one of the topmost control group, `SYS_ADMIN` the
/// kernel's lists of maps and programs, and events of perf; and what stays.
const LOADING: CapabilitySet =
    STAYING.union(CapabilitySet::PERFMON).union(CapabilitySet::NET_ADMIN).union(CapabilitySet::SYS_ADMIN);
/// What looking after it takes: the maps, and which programs others run.
const STAYING: CapabilitySet = CapabilitySet::BPF.union(CapabilitySet::SYS_PTRACE);
/// What the canary's children need where Yama lets only ancestors trace.
pub(crate) const ATTACKING: CapabilitySet = CapabilitySet::SYS_PTRACE;
/// To continue whom an attacker stopped, whoever owns it: only where attackers are killed.
const CONTINUING: CapabilitySet = CapabilitySet::KILL;

/// What becomes of whom no hook refuses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Attackers {
    /// They are killed, and may leave somebody stopped.
    Killed,
    /// They are told.
    Told,
}

impl Attackers {
    const fn with(self, rights: CapabilitySet) -> CapabilitySet {
        match self {
            Self::Killed => rights.union(CONTINUING),
            Self::Told => rights,
        }
    }
}

/// Before anything else.
pub(crate) fn begin(attackers: Attackers) -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    set_no_new_privs(true)?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    keep(attackers.with(LOADING))
}

/// When everything is armed: for the rest of its life.
pub(crate) fn close(attackers: Attackers) -> Result<(), Error> {
    keep(attackers.with(STAYING))?;
    filter::apply()
}

/// Gives up all rights but these, as far as it has them.
pub(crate) fn keep(rights: CapabilitySet) -> io::Result<()> {
    let had = capabilities(None)?;
    if had.effective.contains(CapabilitySet::SETPCAP) {
        for other in CapabilitySet::all().difference(rights).iter() {
            match remove_capability_from_bounding_set(other) {
                // A kernel that does not know it does not give it, either.
                Ok(()) | Err(rustix::io::Errno::INVAL) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    let kept = had.permitted.intersection(rights);
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    Ok(set_capabilities(None, sets)?)
}

/// A right that is put aside, or taken up again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Listing {
    /// The kernel's lists can be read, and events opened.
    Possible,
    /// `SYS_ADMIN`, which stands for every other right that loading takes, is not in use.
    Spared,
}

/// Takes up `SYS_ADMIN`, or puts it aside.
pub(crate) fn spare(listing: Listing) -> io::Result<()> {
    let had = capabilities(None)?;
    let effective = match listing {
        Listing::Possible => had.permitted,
        Listing::Spared => had.permitted.difference(CapabilitySet::SYS_ADMIN),
    };
    Ok(set_capabilities(None, CapabilitySets { effective, ..had })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_and_what_attacks_was_there_when_it_was_loaded() {
        assert!(LOADING.contains(STAYING) && STAYING.contains(ATTACKING));
        assert!(
            !STAYING.intersects(CapabilitySet::SYS_ADMIN | CapabilitySet::NET_ADMIN | CapabilitySet::PERFMON)
        );
    }

    #[test]
    fn a_right_over_others_is_kept_only_where_attackers_are_killed() {
        assert!(Attackers::Killed.with(STAYING).contains(CapabilitySet::KILL));
        assert!(!Attackers::Told.with(LOADING).contains(CapabilitySet::KILL));
    }
}
