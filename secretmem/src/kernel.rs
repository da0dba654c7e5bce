//! The system calls, each in a block of its own: the one home of `unsafe` of this room.
//!
//! Decides how a mapping is laid out: `[guard page][secret pages][guard page]`, one reservation, so that
//! an overrun in either direction faults instead of reaching a neighbour.
//!
//! Trusted: lengths, which the callers in this room computed. Untrusted: nothing comes from outside.

#![expect(unsafe_code, reason = "mappings are made and unmade here, and nowhere else")]

use std::ffi::c_int;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::AtomicU8;

use crate::Error;

/// Who may see the pages after `fork(2)`, and what may be done to them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Access {
    ReadWrite,
    ReadOnly,
}

/// Pages of a secret descriptor, mapped between two guard pages. Dropping it unmaps; it does not wipe.
pub(crate) struct Mapping {
    reservation: NonNull<u8>,
    reserved: usize,
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping is owned by this value alone and belongs to the process, not to a thread.
unsafe impl Send for Mapping {}
// SAFETY: through `&Mapping` the bytes can only be read.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of `fd`, absent from core dumps and from forked children.
    pub(crate) fn new(fd: BorrowedFd<'_>, len: usize) -> Result<Self, Error> {
        let page = page_size()?;
        let pages = whole_pages(len, page).ok_or(Error::Size(len))?;
        let reserved =
            page.checked_mul(2).and_then(|guards| guards.checked_add(pages)).ok_or(Error::Size(len))?;
        let reservation = reserve(reserved)?;
        // Owned from here on: an early return unmaps the reservation.
        let mapping = Self { reservation, reserved, start: offset(reservation, page), len };
        map_over(mapping.start, pages, fd)?;
        advise(mapping.start, pages, libc::MADV_DONTDUMP, "madvise(MADV_DONTDUMP)")?;
        advise(mapping.start, pages, libc::MADV_DONTFORK, "madvise(MADV_DONTFORK)")?;
        Ok(mapping)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `start` is valid for `len` mapped bytes while `self` lives; every bit pattern is a u8.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; `&mut self` makes the slice unique. Callers hold `Access::ReadWrite`.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }

    /// The bytes as memory that another process reads and writes at the same time.
    pub(crate) fn shared(&self) -> &[AtomicU8] {
        // SAFETY: as in `bytes`; an `AtomicU8` is laid out as a u8, and may be changed by others.
        unsafe { slice::from_raw_parts(self.start.as_ptr().cast(), self.len) }
    }

    pub(crate) fn protect(&mut self, access: Access) -> Result<(), Error> {
        let protection = match access {
            Access::ReadWrite => libc::PROT_READ | libc::PROT_WRITE,
            Access::ReadOnly => libc::PROT_READ,
        };
        // SAFETY: the range is ours; no slice of it is alive because we hold `&mut self`.
        let code = unsafe { libc::mprotect(self.start.as_ptr().cast(), self.len, protection) };
        outcome(code, "mprotect")
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the reservation is ours, whole, and nothing borrows from it any more.
        let code = unsafe { libc::munmap(self.reservation.as_ptr().cast(), self.reserved) };
        debug_assert_eq!(code, 0, "munmap of our own reservation");
    }
}

/// A new secret descriptor of `len` bytes, rounded up to pages, closed on exec.
pub(crate) fn memfd_secret(len: usize) -> Result<OwnedFd, Error> {
    // SAFETY: no pointers are passed.
    let answer = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
    let raw = c_int::try_from(answer).unwrap_or(-1);
    if raw < 0 {
        return Err(unavailable(io::Error::last_os_error()));
    }
    // SAFETY: the kernel just made this descriptor for us; nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(raw) };
    let size = whole_pages(len, page_size()?).ok_or(Error::Size(len))?;
    let size = libc::off_t::try_from(size).map_err(|_overflow| Error::Size(len))?;
    // SAFETY: no pointers are passed; the descriptor is open.
    let code = unsafe { libc::ftruncate(fd.as_raw_fd(), size) };
    outcome(code, "ftruncate")?;
    Ok(fd)
}

/// The size of a page of this machine.
pub(crate) fn page_size() -> Result<usize, Error> {
    // SAFETY: no pointers are passed.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).map_err(|_negative| os("sysconf(_SC_PAGESIZE)"))
}

/// `len` rounded up to pages; none for no bytes and for too many.
pub(crate) fn whole_pages(len: usize, page: usize) -> Option<usize> {
    if len == 0 { None } else { len.checked_next_multiple_of(page) }
}

fn reserve(len: usize) -> Result<NonNull<u8>, Error> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at an address that the kernel chooses touches nothing that exists.
    let address = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
    if address == libc::MAP_FAILED {
        return Err(os("mmap of the guard pages"));
    }
    NonNull::new(address.cast()).ok_or(Error::Size(len))
}

fn offset(base: NonNull<u8>, bytes: usize) -> NonNull<u8> {
    // SAFETY: the caller reserved at least `bytes` more bytes than this from `base` on.
    unsafe { base.add(bytes) }
}

fn map_over(start: NonNull<u8>, len: usize, fd: BorrowedFd<'_>) -> Result<(), Error> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // Only MAP_SHARED is accepted for secret memory.
    let flags = libc::MAP_SHARED | libc::MAP_FIXED;
    // SAFETY: MAP_FIXED replaces part of our own reservation, of which no reference exists yet.
    let address = unsafe { libc::mmap(start.as_ptr().cast(), len, protection, flags, fd.as_raw_fd(), 0) };
    if address != libc::MAP_FAILED {
        return Ok(());
    }
    let source = io::Error::last_os_error();
    if source.raw_os_error() == Some(libc::EAGAIN) {
        return Err(Error::MemoryLock { needed: len, allowed: memory_lock_limit()? });
    }
    Err(Error::Os { doing: "mmap of secret memory", source })
}

fn advise(start: NonNull<u8>, len: usize, advice: c_int, doing: &'static str) -> Result<(), Error> {
    // SAFETY: the range is ours; these two kinds of advice change no byte of it.
    let code = unsafe { libc::madvise(start.as_ptr().cast(), len, advice) };
    outcome(code, doing)
}

fn memory_lock_limit() -> Result<u64, Error> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for one `rlimit`.
    let code = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    outcome(code, "getrlimit(RLIMIT_MEMLOCK)")?;
    Ok(limit.rlim_cur)
}

/// ENOSYS has two causes with different cures; the module's parameters tell them apart.
fn unavailable(source: io::Error) -> Error {
    if source.raw_os_error() != Some(libc::ENOSYS) {
        return Error::Os { doing: "memfd_secret", source };
    }
    if fs::exists("/sys/module/secretmem").unwrap_or(false) { Error::Disabled } else { Error::Absent }
}

fn outcome(code: c_int, doing: &'static str) -> Result<(), Error> {
    if code == 0 { Ok(()) } else { Err(os(doing)) }
}

fn os(doing: &'static str) -> Error {
    Error::Os { doing, source: io::Error::last_os_error() }
}
