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
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::AtomicU8;

use crate::Error;
use crate::kind::{self, Kind};

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
    guard: usize,
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
        let mapping = Self { reservation, reserved, start: offset(reservation, page), guard: page, len };
        map_over(mapping.start, pages, fd)?;
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

    /// What lies between the last byte and the guard page: zeros, as the kernel gave them, and nobody's to write.
    pub(crate) fn beyond(&self) -> &[u8] {
        let ours = self.reserved.saturating_sub(self.guard.saturating_mul(2));
        let beyond = ours.saturating_sub(self.len);
        // SAFETY: the pages are mapped to their end, which is `ours` bytes from `start`; `len` of them are before this.
        unsafe { slice::from_raw_parts(offset(self.start, self.len).as_ptr(), beyond) }
    }

    /// Writes one byte too many, as a stray pointer would.
    #[cfg(test)]
    pub(crate) fn overrun(&mut self) {
        // SAFETY: the last page is mapped to its end, and the tests leave room behind their bytes.
        unsafe { offset(self.start, self.len).as_ptr().write(1) };
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

/// Addresses between two guard pages, of which the first are memory. Dropping it unmaps; it does not wipe.
pub(crate) struct Room {
    reservation: NonNull<u8>,
    reserved: usize,
    start: NonNull<u8>,
    mapped: usize,
    page: usize,
}

// SAFETY: as of `Mapping`.
unsafe impl Send for Room {}
// SAFETY: as of `Mapping`.
unsafe impl Sync for Room {}

impl Room {
    /// Addresses for `len` bytes, and no memory.
    pub(crate) fn reserve(len: usize) -> Result<Self, Error> {
        let page = page_size()?;
        let pages = whole_pages(len, page).ok_or(Error::Size(len))?;
        let reserved =
            page.checked_mul(2).and_then(|guards| guards.checked_add(pages)).ok_or(Error::Size(len))?;
        let reservation = reserve(reserved)?;
        Ok(Self { reservation, reserved, start: offset(reservation, page), mapped: 0, page })
    }

    /// Maps `len` bytes of `fd`, rounded up to pages, behind what is mapped already.
    pub(crate) fn extend(&mut self, fd: BorrowedFd<'_>, len: usize) -> Result<(), Error> {
        let pages = whole_pages(len, self.page).ok_or(Error::Size(len))?;
        let mapped = self.mapped.checked_add(pages).ok_or(Error::Size(len))?;
        let guards = self.page.saturating_mul(2);
        if mapped > self.reserved.saturating_sub(guards) {
            return Err(Error::Size(len));
        }
        map_over(offset(self.start, self.mapped), pages, fd)?;
        self.mapped = mapped;
        Ok(())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the first `mapped` bytes from `start` are memory while `self` lives; every bit pattern is a u8.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.mapped) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; `&mut self` makes the slice unique, and the pages were mapped to be written.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.mapped) }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: the reservation is ours, whole, and nothing borrows from it any more.
        let code = unsafe { libc::munmap(self.reservation.as_ptr().cast(), self.reserved) };
        debug_assert_eq!(code, 0, "munmap of our own reservation");
    }
}

/// Has `map` map a new descriptor of `len` bytes: secret memory, or what may stand in for it.
pub(crate) fn obtain<T>(
    len: usize,
    mut map: impl FnMut(BorrowedFd<'_>) -> Result<T, Error>,
) -> Result<(T, OwnedFd), Error> {
    let secret = memfd_secret(len).and_then(|fd| Ok((map(fd.as_fd())?, fd)));
    match secret {
        Err(Error::Absent | Error::Disabled | Error::MemoryLock { .. }) if kind::ordinary_will_do() => {
            let fd = memfd_ordinary(len)?;
            Ok((map(fd.as_fd())?, fd))
        }
        settled => settled,
    }
}

/// A new secret descriptor of `len` bytes, rounded up to pages, closed on exec.
fn memfd_secret(len: usize) -> Result<OwnedFd, Error> {
    // SAFETY: no pointers are passed.
    let answer = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
    let raw = c_int::try_from(answer).unwrap_or(-1);
    if raw < 0 {
        return Err(unavailable(io::Error::last_os_error()));
    }
    // SAFETY: the kernel just made this descriptor for us; nobody else owns it.
    sized(unsafe { OwnedFd::from_raw_fd(raw) }, len)
}

/// A descriptor of ordinary memory, likewise.
fn memfd_ordinary(len: usize) -> Result<OwnedFd, Error> {
    // SAFETY: the name is a C string.
    let raw = unsafe { libc::memfd_create(c"ordinary".as_ptr(), libc::MFD_CLOEXEC) };
    if raw < 0 {
        return Err(os("memfd_create"));
    }
    // SAFETY: the kernel just made this descriptor for us; nobody else owns it.
    sized(unsafe { OwnedFd::from_raw_fd(raw) }, len)
}

fn sized(fd: OwnedFd, len: usize) -> Result<OwnedFd, Error> {
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
        lock_ordinary(start, len, fd);
        advise(start, len, libc::MADV_DONTDUMP, "madvise(MADV_DONTDUMP)")?;
        return advise(start, len, libc::MADV_DONTFORK, "madvise(MADV_DONTFORK)");
    }
    let source = io::Error::last_os_error();
    if source.raw_os_error() == Some(libc::EAGAIN) {
        return Err(Error::MemoryLock { needed: len, allowed: memory_lock_limit()? });
    }
    Err(Error::Os { doing: "mmap of secret memory", source })
}

/// Ordinary memory is known by its seals, which secret memory does not have (EINVAL). Secret memory is locked already.
fn lock_ordinary(start: NonNull<u8>, len: usize, fd: BorrowedFd<'_>) {
    // SAFETY: no pointers are passed; the descriptor is open.
    let seals = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) };
    if seals < 0 {
        return;
    }
    // SAFETY: the range is ours, and mapped.
    let code = unsafe { libc::mlock(start.as_ptr().cast(), len) };
    kind::had(if code == 0 { Kind::Locked } else { Kind::Unlocked });
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
