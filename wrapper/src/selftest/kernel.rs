//! Tracing as an attacker asks for it, and questions that only a filter can misunderstand.
//!
//! Each function is one call; what the answers mean is decided by their callers.
//!
//! Trusted: process ids, which the keeper named. Untrusted: nothing is read here.

#![expect(
    unsafe_code,
    reason = "ptrace as an attacker asks for it, and calls with absurd arguments; nothing else"
)]

use std::io;

use libc::c_long;
use rustix::process::Pid;

/// Begins to trace a process, without stopping it.
pub(super) fn seize(pid: Pid) -> io::Result<()> {
    request(libc::PTRACE_SEIZE.into(), pid)
}

/// Stops a process that we trace.
pub(super) fn interrupt(pid: Pid) -> io::Result<()> {
    request(libc::PTRACE_INTERRUPT.into(), pid)
}

fn request(code: c_long, pid: Pid) -> io::Result<()> {
    let none: c_long = 0;
    // SAFETY: neither request reads or writes memory of ours.
    let answer = unsafe { libc::syscall(libc::SYS_ptrace, code, c_long::from(pid.as_raw_pid()), none, none) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The error number of a system call on process and descriptor -1, which there is none of.
///
/// The kernel says so; a filter that refuses the call says something else.
pub(super) fn absurd(call: c_long) -> i32 {
    let (nobody, none): (c_long, c_long) = (-1, 0);
    // `ptrace(2)` takes its request first, the others the process or the descriptor.
    let first = if call == libc::SYS_ptrace { libc::PTRACE_SEIZE.into() } else { nobody };
    // SAFETY: no pointers are passed, and there is no such process or descriptor.
    let answer = unsafe { libc::syscall(call, first, nobody, none, none, none, none) };
    if answer < 0 { io::Error::last_os_error().raw_os_error().unwrap_or(0) } else { 0 }
}
