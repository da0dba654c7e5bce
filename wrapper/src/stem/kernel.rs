//! How processes are made, and how one becomes another program.
//!
//! Each function is one call with its arguments checked; what the calls mean is decided by their callers.
//!
//! Trusted: everything that comes here was written by this program.

#![expect(unsafe_code, reason = "fork, clone, execve and signals before exec; nothing else")]

use std::ffi::{CStr, CString, c_char};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use libc::{c_int, c_long};
use rustix::process::Pid;

/// Which side of a fork this is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side {
    /// The new process.
    New,
    /// This process, with the id of the new one.
    Old(Pid),
}

/// A new process that is our child. We must have one thread.
pub(crate) fn fork() -> io::Result<Side> {
    // SAFETY: this program starts no threads, so no lock is held that the child could wait for.
    side(c_long::from(unsafe { libc::fork() }))
}

/// A new process that is not our child but our parent's, with everything else as by fork(2).
///
/// Process ids are not kept by the C library, so nothing of it goes stale in the new process but the thread id
/// that `pthread_*` goes by, and this program has no threads.
pub(super) fn fork_beside() -> io::Result<Side> {
    let flags = c_long::from(libc::CLONE_PARENT | libc::SIGCHLD);
    let none: c_long = 0;
    // SAFETY: no memory is shared and no pointer is passed: a stack of 0 is a copy of ours. One thread, as above.
    side(unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) })
}

fn side(answer: c_long) -> io::Result<Side> {
    match i32::try_from(answer) {
        Ok(0) => Ok(Side::New),
        Ok(pid) => Pid::from_raw(pid.max(0)).map(Side::Old).ok_or_else(io::Error::last_os_error),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// Becomes another program; returns only where that failed, and says why.
pub(super) fn execve(file: &CStr, arguments: &[CString], environment: &[&CStr]) -> io::Error {
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: the file's name ends with NUL; both lists end with a null pointer and point to strings that end with
    // NUL and outlive the call.
    unsafe { libc::execve(file.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

fn pointers(strings: &[impl AsRef<CStr>]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ref().as_ptr()).chain([ptr::null()]).collect()
}

/// Lets every signal through again.
pub(crate) fn unblock_signals() -> io::Result<()> {
    let mut none = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: `none` is a valid place for one set; the call cannot fail.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: the set was initialised above; a null pointer for the old mask is allowed.
    outcome(unsafe { libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut()) })
}

/// A program expects to die of a closed pipe; Rust's runtime had us ignore it.
pub(super) fn restore_sigpipe() -> io::Result<()> {
    // SAFETY: the default action runs no code of ours.
    let former = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    if former == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn outcome(code: c_int) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
