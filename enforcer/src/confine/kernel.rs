//! `seccomp(2)`, with the flag that the filter's library does not set: refusals are told in the kernel's audit log.

#![expect(unsafe_code, reason = "the kernel takes a filter by its address")]

use std::io;

use seccompiler::sock_filter;

/// `struct sock_fprog` (linux/filter.h).
#[repr(C)]
struct Program {
    length: libc::c_ushort,
    instructions: *const sock_filter,
}

/// Puts a filter on this thread, the only one. Rights are not to be gained any more.
pub(super) fn filter(instructions: &[sock_filter]) -> io::Result<()> {
    let length = libc::c_ushort::try_from(instructions.len()).map_err(io::Error::other)?;
    let program = Program { length, instructions: instructions.as_ptr() };
    // SAFETY: the structure and the instructions live as long as the call, which copies them; `sock_filter` is the kernel's.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_LOG,
            &raw const program,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
