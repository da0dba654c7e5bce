//! System calls that no safe interface has: who connects to a Unix socket, by number and by descriptor.
//!
//! Trusted: the kernel's answer. Untrusted: nothing comes in.

#![expect(unsafe_code, reason = "SO_PEERCRED with a process that may be 0, and SO_PEERPIDFD")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use libc::c_int;

/// The process at the other end; 0 when it is in a process namespace that we cannot see, which rustix, whose ids are
/// never 0, reads as an error.
pub(crate) fn peer(line: BorrowedFd<'_>) -> io::Result<c_int> {
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    option(line, libc::SO_PEERCRED, &mut found)?;
    Ok(found.pid)
}

/// The same process as a descriptor; none where the kernel does not have that yet (before 6.5), or where the process
/// has been reaped.
pub(crate) fn peer_descriptor(line: BorrowedFd<'_>) -> Option<OwnedFd> {
    let mut found: c_int = -1;
    option(line, libc::SO_PEERPIDFD, &mut found).ok()?;
    if found < 0 {
        return None;
    }
    // SAFETY: the kernel just made this descriptor for us; nobody else owns it.
    Some(unsafe { OwnedFd::from_raw_fd(found) })
}

fn option<T>(line: BorrowedFd<'_>, option: c_int, into: &mut T) -> io::Result<()> {
    let mut len = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    let place = (&raw mut *into).cast();
    // SAFETY: `place` is one live `T`, of integers alone at both calls, and `len` its size.
    let code = unsafe { libc::getsockopt(line.as_raw_fd(), libc::SOL_SOCKET, option, place, &raw mut len) };
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
