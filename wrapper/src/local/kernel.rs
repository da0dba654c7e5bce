//! Who is at the other end of a socket: two questions that no safe interface asks.
//!
//! Trusted: the kernel's answers.

#![expect(unsafe_code, reason = "SO_PEERCRED of peers without a visible id, and SO_PEERPIDFD")]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use libc::{c_int, socklen_t};

/// The user that connected, as our user namespace calls it.
pub(super) fn peer_user(line: BorrowedFd<'_>) -> io::Result<u32> {
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut len = size(size_of::<libc::ucred>())?;
    let place = (&raw mut found).cast();
    // SAFETY: `place` is one live `ucred`, and `len` its size.
    let code = unsafe {
        libc::getsockopt(line.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERCRED, place, &raw mut len)
    };
    if code == 0 { Ok(found.uid) } else { Err(io::Error::last_os_error()) }
}

/// A descriptor of the very process that connected, whatever has become of its number. Since Linux 6.5.
pub(crate) fn peer_process(line: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut found: c_int = -1;
    let mut len = size(size_of::<c_int>())?;
    let place = (&raw mut found).cast();
    // SAFETY: `place` is one live int, and `len` its size.
    let code = unsafe {
        libc::getsockopt(line.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEERPIDFD, place, &raw mut len)
    };
    if code != 0 || found < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(found) })
}

fn size(bytes: usize) -> io::Result<socklen_t> {
    socklen_t::try_from(bytes).map_err(io::Error::other)
}
