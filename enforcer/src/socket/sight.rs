//! Whether a process is fit to be protected, and is protected: what is looked at, and what is wrong with it.
//!
//! A tag lies on one task. Threads that were there before have none; a tracer that was there before goes on reading; so
//! neither may be there once the tag is. Memory that is shared (`CLONE_VM`), descriptors of its files in procfs and shared
//! tables of descriptors end with `execve(2)`, which is why it executes itself anew: that it did, and still is the same
//! program, is seen from within the kernel.
//!
//! Trusted: the kernel. Untrusted: the process, whose name may look like a field.

use std::io;

use super::edge::Inside;
use crate::procfs;

/// What procfs says of a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sight {
    /// Threads.
    pub threads: u32,
    /// Who traces it; 0: nobody.
    pub tracer: u32,
}

/// What is wrong with a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// Others of its threads would go without a tag.
    #[error("expected one thread, found {0}")]
    Threads(u32),
    /// Whoever traces it goes on reading.
    #[error("expected no tracer, found process {0}")]
    Traced(u32),
    /// Its memory is the one that others may have opened.
    #[error("expected that it executed itself anew after it was tagged, found that it did not")]
    NotAnew,
    /// It is another program than the one that asked.
    #[error("expected the program that asked to be protected, found another")]
    OtherProgram,
    /// Somebody decides about its system calls.
    #[error("expected that nobody supervises its system calls, found a seccomp listener")]
    Supervised,
    /// Somebody's counters copy its registers and stack.
    #[error("expected that no counters of perf look at it, found some")]
    Measured,
    /// Somebody reads in its folder.
    #[error("expected that nobody holds its files of procfs, found process {0}")]
    Foreign(u32),
}

impl Sight {
    /// By `/proc/PID/status`.
    pub fn of(pid: u32) -> io::Result<Self> {
        let status = procfs::ours()?.text(&format!("{pid}/status"))?;
        Self::parse(&status).ok_or_else(|| io::Error::other("status: expected Threads and TracerPid"))
    }

    fn parse(status: &str) -> Option<Self> {
        // The first line is the name, in which a newline is written as `\n`.
        let field = |name: &str| {
            let value = status.lines().skip(1).find_map(|line| line.strip_prefix(name))?;
            value.trim().parse().ok()
        };
        Some(Self { threads: field("Threads:")?, tracer: field("TracerPid:")? })
    }

    /// Whether a tag on its first thread covers it, and nobody was there before.
    pub const fn fit(self) -> Result<(), Unfit> {
        match self {
            Self { tracer: 1.., .. } => Err(Unfit::Traced(self.tracer)),
            Self { threads: 1, .. } => Ok(()),
            Self { threads, .. } => Err(Unfit::Threads(threads)),
        }
    }
}

impl Inside {
    /// Whether it is what it was when it was tagged, in a memory of its own, and nobody else is in it.
    pub fn renewed(self, before: Self) -> Result<(), Unfit> {
        if self.executed == before.executed {
            return Err(Unfit::NotAnew);
        }
        if self.exe != before.exe {
            return Err(Unfit::OtherProgram);
        }
        self.alone()
    }

    /// Whether nobody else is in it.
    pub const fn alone(self) -> Result<(), Unfit> {
        match self {
            Self { supervised: true, .. } => Err(Unfit::Supervised),
            Self { measured: true, .. } => Err(Unfit::Measured),
            Self { foreign: Some(process), .. } => Err(Unfit::Foreign(process)),
            Self { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str =
        "Name:\tTracerPid:\\n9\nUmask:\t0022\nState:\tS (sleeping)\nTracerPid:\t0\nThreads:\t1\n";

    #[test]
    fn a_name_that_looks_like_a_field_is_a_name() {
        assert_eq!(Sight::parse(STATUS), Some(Sight { threads: 1, tracer: 0 }));
        let named = "Name:\tx\nTracerPid:\t12\nThreads:\t3\n";
        assert_eq!(Sight::parse(named), Some(Sight { threads: 3, tracer: 12 }));
        assert_eq!(Sight::parse("Name:\tx\nThreads:\t1\n"), None);
    }

    #[test]
    fn who_is_traced_or_has_threads_already_is_not_fit() {
        assert_eq!(Sight { threads: 1, tracer: 0 }.fit(), Ok(()));
        assert_eq!(Sight { threads: 2, tracer: 0 }.fit(), Err(Unfit::Threads(2)));
        assert_eq!(Sight { threads: 1, tracer: 7 }.fit(), Err(Unfit::Traced(7)));
        let own = Sight::of(std::process::id()).unwrap();
        assert!(
            own.threads > 1 && own.fit() == Err(Unfit::Threads(own.threads)),
            "a test has a thread of its own: {own:?}"
        );
    }

    #[test]
    fn the_same_memory_another_program_and_company_are_each_told() {
        let before = Inside { executed: 3, exe: (8, 77), ..Inside::default() };
        let after = Inside { executed: 4, ..before };
        assert_eq!(after.renewed(before), Ok(()));
        assert_eq!(before.renewed(before), Err(Unfit::NotAnew));
        assert_eq!(Inside { exe: (8, 78), ..after }.renewed(before), Err(Unfit::OtherProgram));
        assert_eq!(Inside { supervised: true, ..after }.renewed(before), Err(Unfit::Supervised));
        assert_eq!(Inside { measured: true, ..after }.renewed(before), Err(Unfit::Measured));
        assert_eq!(Inside { foreign: Some(9), ..after }.renewed(before), Err(Unfit::Foreign(9)));
    }
}
