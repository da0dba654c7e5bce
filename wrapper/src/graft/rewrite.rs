//! New values for programs that run: which of them can be given any, and that all are or none.
//!
//! Only where it was asked for ([`super::Tracer::keeping_pages`]) does a mapping of a program's memory stay
//! here; it has no descriptor, is never wiped, and goes when the program has ended.
//!
//! Trusted: the new values. Untrusted: the programs.

use std::ops::Range;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use secretmem::Shared;

use super::deliver::Delivered;
use super::page::Kept;
use super::references::{Secrets, Template};

/// Living programs whose memory is kept. Of a further one only that it exists is known.
const MAX_KEPT: usize = 64;

/// What came of new values.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Rewritten {
    /// So many programs have them.
    Everywhere(usize),
    /// A value has no room where the former one lies, by the name of its variable; nothing was written.
    Outgrown(String),
    /// A program is out of reach: its memory could not be kept, or it has become another program since.
    /// Nothing was written.
    OutOfReach,
}

/// The memory of programs that were given values.
#[derive(Debug)]
pub(super) enum Pages {
    Unkept,
    Kept { programs: Vec<Kept>, overflowed: bool },
}

impl Pages {
    pub(super) fn kept() -> Self {
        Self::Kept { programs: Vec::new(), overflowed: false }
    }

    pub(super) fn are_kept(&self) -> bool {
        matches!(self, Self::Kept { .. })
    }

    /// Keeps what was delivered, if that is wanted; else gives our view of it back.
    pub(super) fn add(
        &mut self,
        pid: Pid,
        delivered: Delivered,
        entries: Vec<(Range<usize>, Template)>,
    ) -> Option<Shared> {
        let Delivered { address, shared: memory } = delivered;
        let Self::Kept { programs, overflowed } = self else { return memory };
        programs.retain(Kept::is_alive);
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) if programs.len() < MAX_KEPT => {
                programs.push(Kept { pid, process, address, memory, entries });
                None
            }
            Ok(_) | Err(_) => {
                *overflowed = true;
                memory
            }
        }
    }

    /// The programs that were given values and live.
    pub(super) fn programs(&mut self) -> Vec<Pid> {
        let Self::Kept { programs, .. } = self else { return Vec::new() };
        programs.retain(Kept::is_alive);
        programs.iter().map(|program| program.pid).collect()
    }

    pub(super) fn rewrite(&mut self, secrets: &Secrets) -> Rewritten {
        let Self::Kept { programs, overflowed } = self else { return Rewritten::OutOfReach };
        programs.retain(Kept::is_alive);
        if *overflowed || !programs.iter().all(Kept::is_within_reach) {
            return Rewritten::OutOfReach;
        }
        if let Some(variable) = programs.iter().find_map(|program| program.outgrown(secrets)) {
            return Rewritten::Outgrown(variable.to_owned());
        }
        for program in programs.iter() {
            program.rewrite(secrets);
        }
        Rewritten::Everywhere(programs.len())
    }
}
