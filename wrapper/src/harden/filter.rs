//! Seccomp filters: what is not in the table of [`super::calls`] does not happen, and some calls not with every
//! argument.
//!
//! A fetcher that makes a call outside its list is killed: it holds keys and reads what strangers wrote, and its death
//! costs one errand, told by the keeper. In the keeper such a call fails with EPERM: its death would be the program's,
//! and an update of a C library must not be able to cause that. Neither gets through.
//!
//! Trusted: the table. Nothing comes from outside.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

use super::calls::{self, Call, Need};

/// Whose filter.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Process {
    /// The one that stays.
    Keeper,
    /// The same where it answers for files: how they look is written into the memory of those who ask.
    KeeperOfFiles,
    /// One that fetches.
    Fetcher,
}

impl Process {
    /// What `call` is to this process.
    #[must_use]
    pub const fn need(self, call: &Call) -> Need {
        match self {
            Self::Keeper | Self::KeeperOfFiles => call.keeper,
            Self::Fetcher => call.fetcher,
        }
    }

    const fn otherwise(self) -> SeccompAction {
        match self {
            Self::Keeper | Self::KeeperOfFiles => SeccompAction::Errno(EPERM),
            Self::Fetcher => SeccompAction::KillProcess,
        }
    }

    /// The ways to open a file that are refused to it. `/proc/PID/mem` is opened to read and write.
    const fn writing(self) -> &'static [i32] {
        match self {
            Self::KeeperOfFiles => &[libc::O_WRONLY],
            Self::Keeper | Self::Fetcher => &[libc::O_WRONLY, libc::O_RDWR],
        }
    }

    /// The families of sockets that it may open.
    const fn families(self) -> &'static [i32] {
        match self {
            Self::Keeper | Self::KeeperOfFiles => &[libc::AF_UNIX],
            // The resolver asks the kernel for our addresses, to put those of others in order.
            Self::Fetcher => &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK],
        }
    }
}

const EPERM: u32 = libc::EPERM.cast_unsigned();

/// What the graft asks of ptrace(2): nothing that makes a tracee of a process that did not offer itself, but
/// `PTRACE_SEIZE`, which the way in place needs.
fn tracing() -> Vec<u32> {
    // The codes have another type in each libc.
    [
        libc::PTRACE_PEEKDATA.into(),
        libc::PTRACE_POKEDATA.into(),
        libc::PTRACE_CONT.into(),
        libc::PTRACE_SINGLESTEP.into(),
        libc::PTRACE_DETACH.into(),
        libc::PTRACE_SETOPTIONS.into(),
        libc::PTRACE_GETEVENTMSG.into(),
        libc::PTRACE_GETSIGINFO.into(),
        libc::PTRACE_GETREGSET.into(),
        libc::PTRACE_SETREGSET.into(),
        libc::PTRACE_SEIZE.into(),
        libc::PTRACE_INTERRUPT.into(),
        libc::PTRACE_LISTEN.into(),
        // PTRACE_SETSIGMASK
        0x420b,
    ]
    .into_iter()
    .filter_map(|code: c_long| u32::try_from(code).ok())
    .collect()
}

/// Restricts this process for the rest of its life.
pub fn apply(process: Process) -> Result<(), Error> {
    // The list comes last: it does not allow a further filter.
    for program in [refused(process)?, allowed(process)?] {
        apply_filter(&program)?;
    }
    Ok(())
}

/// The calls of the table, and no others.
fn allowed(process: Process) -> Result<BpfProgram, Error> {
    let rules =
        calls::all().filter(|call| process.need(call) != Need::No).map(|call| (call.number, Vec::new()));
    program(rules.collect(), process.otherwise(), SeccompAction::Allow)
}

/// Arguments with which allowed calls are refused. That is never deadly: a resolver's library that is loaded late
/// finds its pages refused and is done without.
fn refused(process: Process) -> Result<BpfProgram, Error> {
    let mut rules = BTreeMap::new();
    // No program text but what we were started with.
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![having(2, libc::PROT_EXEC, libc::PROT_EXEC)?]);
    }
    // Nothing is written to a file, nor made.
    let mut writing = |call: c_long, flags: u8| -> Result<(), Error> {
        let written = process.writing().iter().map(|mode| having(flags, libc::O_ACCMODE, *mode));
        let mut written: Vec<SeccompRule> = written.collect::<Result<_, _>>()?;
        written.push(having(flags, libc::O_CREAT, libc::O_CREAT)?);
        rules.insert(call, written);
        Ok(())
    };
    writing(libc::SYS_openat, 2)?;
    #[cfg(target_arch = "x86_64")]
    writing(libc::SYS_open, 1)?;
    let families: Vec<u32> = process.families().iter().map(|family| family.cast_unsigned()).collect();
    rules.insert(libc::SYS_socket, vec![none_of(0, &families)?]);
    rules.insert(libc::SYS_ptrace, vec![none_of(0, &tracing())?]);
    program(rules, SeccompAction::Allow, SeccompAction::Errno(EPERM))
}

/// Where the bits of `mask` in an argument are `value`.
fn having(argument: u8, mask: i32, value: i32) -> Result<SeccompRule, Error> {
    let operator = SeccompCmpOp::MaskedEq(u64::from(mask.cast_unsigned()));
    Ok(SeccompRule::new(vec![condition(argument, operator, value.cast_unsigned())?])?)
}

/// Where an argument is none of these.
fn none_of(argument: u8, values: &[u32]) -> Result<SeccompRule, Error> {
    let other = |value: &u32| condition(argument, SeccompCmpOp::Ne, *value);
    Ok(SeccompRule::new(values.iter().map(other).collect::<Result<_, _>>()?)?)
}

fn condition(argument: u8, operator: SeccompCmpOp, value: u32) -> Result<SeccompCondition, Error> {
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, u64::from(value))?)
}

fn program(
    rules: BTreeMap<c_long, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, Error> {
    let architecture = std::env::consts::ARCH.try_into()?;
    Ok(SeccompFilter::new(rules, otherwise, matched, architecture)?.try_into()?)
}

/// A filter that the kernel did not take.
#[derive(Debug, thiserror::Error)]
#[error("seccomp filter: {0}")]
pub struct Error(String);

impl From<seccompiler::Error> for Error {
    fn from(error: seccompiler::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<seccompiler::BackendError> for Error {
    fn from(error: seccompiler::BackendError) -> Self {
        Self(error.to_string())
    }
}
