//! The system calls of user notification that no safe interface offers.
//!
//! Each function is one call with its arguments checked; what the calls mean is decided by their callers.
//!
//! Trusted: the kernel's word on who asks. Untrusted: the memory of a process that asks, which is only ever read
//! and written as bytes.

#![expect(unsafe_code, reason = "seccomp(2), its ioctls and process_vm_readv(2)")]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::ptr;

use libc::{c_int, c_ulong, sock_filter};
use rustix::process::{DumpableBehavior, Pid, set_dumpable_behavior};

// linux/seccomp.h: _IOWR('!', 0 and 1), _IOW('!', 2 to 4) with the sizes of their structures.
const RECEIVE: u32 = 0xc050_2100;
const SEND: u32 = 0xc018_2101;
const STILL_VALID: u32 = 0x4008_2102;
const ADD_FD: u32 = 0x4018_2103;
const SET_FLAGS: u32 = 0x4008_2104;
/// `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`, since Linux 6.6.
const SYNC_WAKE_UP: u64 = 1;

/// What the kernel says of one system call that waits for us.
#[derive(Clone, Copy, Debug)]
pub(super) struct Notice {
    pub(super) id: u64,
    /// The thread; none where it is in a process namespace that we cannot see.
    pub(super) thread: Option<Pid>,
    pub(super) number: c_int,
    pub(super) arguments: [u64; 6],
}

/// Installs a filter in this thread, and returns the descriptor on which its questions arrive, closed on exec.
///
/// Needs `no_new_privs`. `EBUSY`: somebody else answers questions about this process already.
pub(super) fn install(program: &mut [sock_filter]) -> io::Result<OwnedFd> {
    let len = u16::try_from(program.len()).map_err(io::Error::other)?;
    let filter = libc::sock_fprog { len, filter: program.as_mut_ptr() };
    let with = |flags: c_ulong| {
        // SAFETY: `filter` describes `program`, which outlives the call; the kernel copies it.
        let answer = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const filter)
        };
        c_int::try_from(answer).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)
    };
    // Only a deadly signal takes a question back that we have read (since Linux 5.19).
    let patient = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let fd = with(patient).or_else(|error| match error.raw_os_error() {
        Some(libc::EINVAL) => with(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER),
        Some(_) | None => Err(error),
    })?;
    // SAFETY: the kernel just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Has the program wake on our processor at once when we answer, where the kernel can.
pub(super) fn wake_at_once(listener: BorrowedFd<'_>) {
    // SAFETY: this request takes a number, not a pointer.
    let code = unsafe { libc::ioctl(listener.as_raw_fd(), request(SET_FLAGS), SYNC_WAKE_UP) };
    // Refused before Linux 6.6: then it wakes as others do.
    outcome(code).unwrap_or_default();
}

/// Whether the structures of this kernel are those that we know: larger ones would not fit in their places.
pub(super) fn sizes_are_known() -> io::Result<bool> {
    let mut sizes = libc::seccomp_notif_sizes { seccomp_notif: 0, seccomp_notif_resp: 0, seccomp_data: 0 };
    // SAFETY: `sizes` is a valid place for what is written.
    let code = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_NOTIF_SIZES, 0, &raw mut sizes) };
    if code != 0 {
        return Err(io::Error::last_os_error());
    }
    let known = [size_of::<libc::seccomp_notif>(), size_of::<libc::seccomp_notif_resp>()];
    Ok([sizes.seccomp_notif, sizes.seccomp_notif_resp].map(usize::from) == known)
}

/// The next question. It must be known that there is one, or this waits for it.
///
/// `ENOENT`: whoever asked was killed meanwhile.
pub(super) fn receive(listener: BorrowedFd<'_>) -> io::Result<Notice> {
    let mut place = MaybeUninit::<libc::seccomp_notif>::zeroed();
    // SAFETY: `place` is zeroed, as the request wants it, and as large as this kernel's structure.
    let code = unsafe { libc::ioctl(listener.as_raw_fd(), request(RECEIVE), place.as_mut_ptr()) };
    outcome(code)?;
    // SAFETY: every bit pattern is a valid set of integers, and all were zeroed.
    let notice = unsafe { place.assume_init() };
    Ok(Notice {
        id: notice.id,
        thread: i32::try_from(notice.pid).ok().and_then(Pid::from_raw),
        number: notice.data.nr,
        arguments: notice.data.args,
    })
}

/// Whether the one who asked still waits. From then on what was opened under its id before is its own.
pub(super) fn still_waits(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: `id` is a valid place for one u64.
    let code = unsafe { libc::ioctl(listener.as_raw_fd(), request(STILL_VALID), &raw const id) };
    code == 0
}

/// How a question is answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// The call goes on as if nobody had looked.
    GoesOn,
    /// The call's result.
    Result(i64),
    /// The call's error number.
    Error(c_int),
}

/// Answers a question. `ENOENT`: nobody waits for it any more.
pub(super) fn answer(listener: BorrowedFd<'_>, id: u64, verdict: Verdict) -> io::Result<()> {
    let mut response = libc::seccomp_notif_resp { id, val: 0, error: 0, flags: 0 };
    match verdict {
        Verdict::GoesOn => response.flags = flag(libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE),
        Verdict::Result(value) => response.val = value,
        Verdict::Error(number) => response.error = number.saturating_neg(),
    }
    // SAFETY: `response` is a valid place of this kernel's size.
    outcome(unsafe { libc::ioctl(listener.as_raw_fd(), request(SEND), &raw mut response) })
}

/// Puts a descriptor into the process that asks, and answers with its number.
pub(super) fn answer_with(
    listener: BorrowedFd<'_>,
    id: u64,
    fd: BorrowedFd<'_>,
    close_on_exec: bool,
) -> io::Result<()> {
    let newfd_flags = if close_on_exec { libc::O_CLOEXEC.cast_unsigned() } else { 0 };
    let srcfd = fd.as_raw_fd().cast_unsigned();
    let add = |flags: c_ulong| {
        let added = libc::seccomp_notif_addfd { id, flags: flag(flags), srcfd, newfd: 0, newfd_flags };
        // SAFETY: `added` is a valid structure of the size that the request names.
        let number = unsafe { libc::ioctl(listener.as_raw_fd(), request(ADD_FD), &raw const added) };
        if number < 0 { Err(io::Error::last_os_error()) } else { Ok(number) }
    };
    match add(libc::SECCOMP_ADDFD_FLAG_SEND) {
        // Before Linux 5.14: in two steps.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            answer(listener, id, Verdict::Result(add(0)?.into()))
        }
        outcome => outcome.map(drop),
    }
}

/// Reads a process's memory at once, up to the first page that cannot be read.
pub(super) fn read_memory(thread: Pid, address: u64, into: &mut [u8]) -> io::Result<usize> {
    let address = usize::try_from(address).map_err(io::Error::other)?;
    let local = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    let remote = libc::iovec { iov_base: ptr::without_provenance_mut(address), iov_len: into.len() };
    let thread = thread.as_raw_pid();
    // SAFETY: `local` describes `into`; the remote side is checked by the kernel.
    let read = unsafe { libc::process_vm_readv(thread, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(read).map_err(|_negative| io::Error::last_os_error())
}

/// Opens files as another user for as long as it lives (setfsuid(2), setfsgid(2)).
///
/// Without the capabilities for it nothing changes, and what is opened is refused as before.
#[derive(Debug)]
pub(super) struct FileUser {
    user: u32,
    group: u32,
}

impl FileUser {
    pub(super) fn switch(user: u32, group: u32) -> Self {
        // The group first: afterwards we may lack the right.
        let group = set_file_id(libc::SYS_setfsgid, group);
        Self { user: set_file_id(libc::SYS_setfsuid, user), group }
    }
}

impl Drop for FileUser {
    fn drop(&mut self) {
        set_file_id(libc::SYS_setfsuid, self.user);
        set_file_id(libc::SYS_setfsgid, self.group);
        // A change of user makes us what `fs.suid_dumpable` says; this value is never refused.
        set_dumpable_behavior(DumpableBehavior::NotDumpable).unwrap_or_default();
    }
}

/// Returns the id before.
fn set_file_id(call: libc::c_long, id: u32) -> u32 {
    // SAFETY: no pointers are passed.
    let before = unsafe { libc::syscall(call, id) };
    u32::try_from(before).unwrap_or(id)
}

fn request(code: u32) -> libc::Ioctl {
    // The C libraries disagree on the type, not on the bits.
    #[cfg(target_env = "musl")]
    return code.cast_signed();
    #[cfg(not(target_env = "musl"))]
    return code.into();
}

fn flag(flags: c_ulong) -> u32 {
    u32::try_from(flags).unwrap_or(u32::MAX)
}

fn outcome(code: c_int) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

const _: () = assert!(size_of::<libc::seccomp_notif>() == 80, "linux/seccomp.h");
const _: () = assert!(size_of::<libc::seccomp_notif_resp>() == 24, "linux/seccomp.h");
const _: () = assert!(size_of::<libc::seccomp_notif_addfd>() == 24, "linux/seccomp.h");
