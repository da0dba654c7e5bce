//! System calls that no safe interface offers: tracing and signal masks. The one home of `unsafe` here.
//!
//! Each function is one call with its arguments checked; what the calls mean is decided by their callers.
//!
//! Trusted: process ids, which come from our own children. Untrusted: the memory of a traced process,
//! which is only ever read as bytes and words.

#![expect(unsafe_code, reason = "ptrace and signalfd; nothing else in this room")]

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::ptr;

use libc::{c_int, c_long, c_uint};
use rustix::process::{Pid, getpid};

/// The general registers of this architecture, as `PTRACE_GETREGSET` gives them.
pub(crate) type Registers = libc::user_regs_struct;

/// The register set of the general registers (`NT_PRSTATUS` of elf(5)).
const NT_PRSTATUS: usize = 1;

/// `PTRACE_SETSIGMASK` of ptrace(2), and the size of the kernel's own set of signals.
const SET_SIGNAL_MASK: (c_uint, usize) = (0x420b, 8);

/// Asks our parent to trace us from our next `execve` on; called before it, in the process that it made.
///
/// Signals stay blocked until [`unblock_signals`]: each would stop us, while it waits for our `execve`
/// and not for our stops.
pub(crate) fn ask_to_be_traced() -> io::Result<()> {
    let mut all = signal_set(libc::sigfillset);
    // SAFETY: `all` is a valid set. A blocked SIGTRAP would let the program run past its first stop.
    outcome(unsafe { libc::sigdelset(&raw mut all, libc::SIGTRAP) })?;
    set_signal_mask(&all)?;
    request(libc::PTRACE_TRACEME, 0, 0, 0)
}

/// Unblocks all signals of a stopped tracee; those that came meanwhile are delivered when it goes on.
pub(crate) fn unblock_signals(pid: Pid) -> io::Result<()> {
    let (code, size) = SET_SIGNAL_MASK;
    let none = 0_u64;
    request(code, pid.as_raw_pid(), size, (&raw const none).expose_provenance())
}

/// How a traced process goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Resume {
    /// Freely, until its next event.
    Continue,
    /// For one instruction.
    Step,
    /// Not at all, until it is continued by a signal: it stands still with its group.
    Listen,
    /// Freely, and no longer traced.
    Detach,
}

/// Lets a stopped tracee go on, with `signal` delivered to it (0: none).
pub(crate) fn resume(pid: Pid, how: Resume, signal: c_int) -> io::Result<()> {
    let code = match how {
        Resume::Continue => libc::PTRACE_CONT,
        Resume::Step => libc::PTRACE_SINGLESTEP,
        Resume::Listen => libc::PTRACE_LISTEN,
        Resume::Detach => libc::PTRACE_DETACH,
    };
    request(code, pid.as_raw_pid(), 0, usize::try_from(signal).unwrap_or(0))
}

/// Traces a process that did not ask for it, and lets it run on; stops for `options` like a tracee that asked.
pub(crate) fn seize(pid: Pid, options: c_int) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, pid.as_raw_pid(), 0, usize::try_from(options).unwrap_or(0))
}

/// Sets what a tracee stops for, and that it dies with us.
pub(crate) fn set_trace_options(pid: Pid, options: c_int) -> io::Result<()> {
    request(libc::PTRACE_SETOPTIONS, pid.as_raw_pid(), 0, usize::try_from(options).unwrap_or(0))
}

/// Whether a stop is the whole group's stop and not the delivery of a signal (ptrace(2), "Group-stop").
pub(crate) fn is_group_stop(pid: Pid) -> bool {
    let mut info = MaybeUninit::<libc::siginfo_t>::uninit();
    let place = info.as_mut_ptr().expose_provenance();
    let answer = request(libc::PTRACE_GETSIGINFO, pid.as_raw_pid(), 0, place);
    answer.is_err_and(|error| error.raw_os_error() == Some(libc::EINVAL))
}

/// The number that came with a tracee's event: for a fork, the id of the new process.
pub(crate) fn event_message(pid: Pid) -> io::Result<u64> {
    let mut message = 0_u64;
    let place = (&raw mut message).expose_provenance();
    request(libc::PTRACE_GETEVENTMSG, pid.as_raw_pid(), 0, place)?;
    Ok(message)
}

/// One word of a tracee's memory.
pub(crate) fn peek(pid: Pid, address: usize) -> io::Result<u64> {
    let mut word = 0_u64;
    let place = (&raw mut word).expose_provenance();
    request(libc::PTRACE_PEEKDATA, pid.as_raw_pid(), address, place)?;
    Ok(word)
}

/// Replaces one word of a tracee's memory, program text included.
pub(crate) fn poke(pid: Pid, address: usize, word: u64) -> io::Result<()> {
    let word = usize::try_from(word).map_err(io::Error::other)?;
    request(libc::PTRACE_POKEDATA, pid.as_raw_pid(), address, word)
}

/// The general registers of a tracee; none when it runs the 32-bit instruction set.
pub(crate) fn registers(pid: Pid) -> io::Result<Option<Registers>> {
    let mut set = MaybeUninit::<Registers>::zeroed();
    let mut place = libc::iovec { iov_base: set.as_mut_ptr().cast(), iov_len: size_of::<Registers>() };
    let vector = (&raw mut place).expose_provenance();
    request(libc::PTRACE_GETREGSET, pid.as_raw_pid(), NT_PRSTATUS, vector)?;
    // SAFETY: the place was zeroed, and every bit pattern is a valid set of integers.
    let set = unsafe { set.assume_init() };
    Ok((place.iov_len == size_of::<Registers>()).then_some(set))
}

/// Replaces the general registers of a tracee.
pub(crate) fn set_registers(pid: Pid, mut set: Registers) -> io::Result<()> {
    let mut place = libc::iovec { iov_base: (&raw mut set).cast(), iov_len: size_of::<Registers>() };
    let vector = (&raw mut place).expose_provenance();
    request(libc::PTRACE_SETREGSET, pid.as_raw_pid(), NT_PRSTATUS, vector)
}

/// Reads a tracee's memory at once, up to the first page that cannot be read.
pub(crate) fn read_memory(pid: Pid, address: usize, into: &mut [u8]) -> io::Result<usize> {
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let remote = libc::iovec { iov_base: ptr::without_provenance_mut(address), iov_len: into.len() };
    // SAFETY: `local` describes `into`; the remote side is checked by the kernel.
    let read =
        unsafe { libc::process_vm_readv(pid.as_raw_pid(), &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(read).map_err(|_negative| io::Error::last_os_error())
}

/// Blocks every signal that can be blocked and returns the descriptor from which they are read.
pub(crate) fn block_signals() -> io::Result<OwnedFd> {
    let all = signal_set(libc::sigfillset);
    set_signal_mask(&all)?;
    // SAFETY: `all` is a valid set; -1 asks for a new descriptor.
    let fd = unsafe { libc::signalfd(-1, &raw const all, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn signal_set(fill: unsafe extern "C" fn(*mut libc::sigset_t) -> c_int) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: `set` is a valid place for one set; both functions that fill sets cannot fail.
    unsafe { fill(set.as_mut_ptr()) };
    // SAFETY: the call above initialised the set.
    unsafe { set.assume_init() }
}

fn set_signal_mask(set: &libc::sigset_t) -> io::Result<()> {
    // SAFETY: `set` is a valid set; a null pointer for the old mask is allowed.
    outcome(unsafe { libc::sigprocmask(libc::SIG_SETMASK, set, ptr::null_mut()) })
}

/// Sends a signal by its number: real-time signals have no name.
pub(crate) fn send_signal(pid: Pid, signal: c_int) -> io::Result<()> {
    // SAFETY: no pointers are passed.
    outcome(unsafe { libc::kill(pid.as_raw_pid(), signal) })
}

/// Sends a signal to every process of a group.
pub(crate) fn send_signal_to_group(leader: Pid, signal: c_int) -> io::Result<()> {
    // SAFETY: no pointers are passed. A process id is positive, and its negative names the group.
    outcome(unsafe { libc::kill(leader.as_raw_pid().wrapping_neg(), signal) })
}

/// The raw call: glibc's own wrapper returns peeked words where errors should be. The codes have another type in each libc.
fn request(code: impl Into<c_long>, pid: c_int, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: every caller in this file passes as `data` a number, or the address of a live place of the
    // size that the request writes or reads.
    let answer: c_long = unsafe { libc::syscall(libc::SYS_ptrace, code.into(), pid, address, data) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn outcome(code: c_int) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

const _: () = assert!(usize::BITS == u64::BITS, "64-bit machines only");

/// Whether we trace a process, or a thread, whose end has not been told yet.
pub(crate) fn is_traced(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
    line.is_some_and(|line| line.trim().parse() == Ok(getpid().as_raw_pid()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graft::wait_for;
    use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
    use std::process::Command;

    #[test]
    fn a_signal_before_the_program_runs_waits_for_it() {
        let mut command = Command::new("true");
        let disturb = || {
            ask_to_be_traced()?;
            // SAFETY: no pointers are passed.
            outcome(unsafe { libc::raise(libc::SIGUSR1) })
        };
        // SAFETY: the closure makes system calls alone.
        unsafe { command.pre_exec(disturb) };
        let mut child = command.spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        assert_eq!(wait_for(pid).unwrap().stopping_signal(), Some(libc::SIGTRAP));
        unblock_signals(pid).unwrap();
        resume(pid, Resume::Continue, 0).unwrap();
        assert_eq!(wait_for(pid).unwrap().stopping_signal(), Some(libc::SIGUSR1));
        resume(pid, Resume::Detach, libc::SIGUSR1).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGUSR1));
    }
}
