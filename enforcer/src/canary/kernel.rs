//! Attacks that are system calls without a safe name. Each does no harm where it goes through.
//!
//! Trusted: our callers, who attack their own decoy.

#![expect(unsafe_code, reason = "an attack is a system call, with arguments of our own")]

use std::io;

/// `PTRACE_SEIZE`, `PTRACE_INTERRUPT` and `PTRACE_DETACH` (linux/ptrace.h).
const SEIZE: libc::c_long = 0x4206;
const INTERRUPT: libc::c_long = 0x4207;
const DETACH: libc::c_long = 17;
/// `KCMP_FILE` (linux/kcmp.h).
const KCMP_FILE: libc::c_long = 0;

/// Attaches, and lets go: who is not let go of is not reaped by its parent.
pub(super) fn seize(pid: libc::pid_t) -> io::Result<()> {
    trace(SEIZE, pid)?;
    // Only who stands still can be let go of.
    trace(INTERRUPT, pid)?;
    // SAFETY: nothing is written where there is no address.
    let stopped = unsafe { libc::waitpid(pid, std::ptr::null_mut(), libc::__WALL) };
    call(stopped.into())?;
    trace(DETACH, pid)
}

fn trace(request: libc::c_long, pid: libc::pid_t) -> io::Result<()> {
    // SAFETY: neither address is followed.
    call(unsafe { libc::syscall(libc::SYS_ptrace, request, libc::c_long::from(pid), 0, 0) })
}

/// Asks for no byte at an address that nobody has: the rights are checked first.
pub(super) fn read_memory(pid: libc::c_long) -> io::Result<()> {
    let mut byte = 0_u8;
    let local = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let remote = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 1 };
    // SAFETY: one byte of ours, and an address of the other's that the kernel checks.
    let read = unsafe {
        libc::syscall(libc::SYS_process_vm_readv, pid, &raw const local, 1, &raw const remote, 1, 0)
    };
    // There is nothing at that address; so far one comes who has the right.
    call(read).or_else(|error| if error.raw_os_error() == Some(libc::EFAULT) { Ok(()) } else { Err(error) })
}

/// Compares its first descriptor with ours.
pub(super) fn compare(ours: libc::c_long, pid: libc::c_long) -> io::Result<()> {
    // SAFETY: numbers alone.
    call(unsafe { libc::syscall(libc::SYS_kcmp, ours, pid, KCMP_FILE, 0, 0) })
}

/// Asks for an `io_uring`, and lets it go.
pub(super) fn ring() -> io::Result<()> {
    // `struct io_uring_params` is 120 bytes (linux/io_uring.h).
    let mut parameters = [0_u64; 15];
    // SAFETY: the kernel writes at most that structure.
    descriptor(unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) })
}

/// `UFFD_USER_MODE_ONLY` (linux/userfaultfd.h): for the process's own faults, for which nobody needs a right.
const OWN_FAULTS: libc::c_int = 1;

/// Asks for a userfaultfd, and lets it go.
pub(super) fn faults() -> io::Result<()> {
    // SAFETY: a number alone.
    descriptor(unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | OWN_FAULTS) })
}

fn call(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn descriptor(result: libc::c_long) -> io::Result<()> {
    call(result)?;
    if let Ok(fd) = i32::try_from(result) {
        // SAFETY: it was given to us just now, and nobody else knows it.
        unsafe { libc::close(fd) };
    }
    Ok(())
}
