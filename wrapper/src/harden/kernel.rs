//! Closing descriptors that nobody here owns: the one home of `unsafe` of this part.
//!
//! Trusted: the caller, to name every descriptor of ours.

#![expect(unsafe_code, reason = "close_range(2) has no safe interface")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_int, c_long};

/// Closes every descriptor above standard error but `kept`.
pub(super) fn close_all_but(kept: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut kept: Vec<c_int> = kept.iter().map(AsRawFd::as_raw_fd).filter(|fd| *fd > 2).collect();
    kept.sort_unstable();
    let mut from: c_int = 3;
    for fd in kept {
        close_range(from, fd.saturating_sub(1))?;
        from = fd.saturating_add(1);
    }
    close_range(from, c_int::MAX)
}

fn close_range(first: c_int, last: c_int) -> io::Result<()> {
    if first > last {
        return Ok(());
    }
    // SAFETY: no pointers are passed. Every descriptor that a value of ours owns was kept by the caller.
    let code = unsafe { libc::syscall(libc::SYS_close_range, c_long::from(first), c_long::from(last), 0) };
    match code {
        0 => Ok(()),
        // Linux before 5.9: secret memory is younger than that, so nothing of ours runs there.
        _refused => Err(io::Error::last_os_error()),
    }
}
