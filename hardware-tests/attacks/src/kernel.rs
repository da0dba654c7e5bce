//! System calls by number, memory by address, and `fork`: the only place of this program where anything is unsafe.
//!
//! A call's arguments are typed by what the kernel does with them ([`Arg`]): numbers, bytes that it reads, bytes that it writes.
//! Addresses in *another* process are plain numbers here.
//!
//! Trusted: the probes' word that the kernel writes no more than an [`Arg::Out`] has room for.

#![expect(unsafe_code, reason = "system calls that no safe interface has, mappings, fork")]

use std::ffi::{CStr, c_long};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use rustix::process::Pid;

/// One argument of a system call.
#[derive(Debug)]
pub enum Arg<'a> {
    /// A number, or an address in another process.
    Number(i64),
    /// Bytes that the kernel reads.
    In(&'a [u8]),
    /// Bytes that the kernel writes.
    Out(&'a mut [u8]),
    /// A path or a name.
    Text(&'a CStr),
}

macro_rules! numbers {
    ($($kind:ty),*) => { $(impl From<$kind> for Arg<'_> {
        fn from(number: $kind) -> Self { Self::Number(number.into()) }
    })* };
}
numbers!(i32, u32, i64, u8, u16);

impl From<u64> for Arg<'_> {
    fn from(number: u64) -> Self {
        Self::Number(number.cast_signed())
    }
}

impl From<usize> for Arg<'_> {
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl<'a> From<&'a [u8]> for Arg<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::In(bytes)
    }
}

impl<'a> From<&'a mut [u8]> for Arg<'a> {
    fn from(bytes: &'a mut [u8]) -> Self {
        Self::Out(bytes)
    }
}

impl<'a> From<&'a CStr> for Arg<'a> {
    fn from(text: &'a CStr) -> Self {
        Self::Text(text)
    }
}

impl From<&OwnedFd> for Arg<'_> {
    fn from(file: &OwnedFd) -> Self {
        Self::Number(file.as_raw_fd().into())
    }
}

impl From<BorrowedFd<'_>> for Arg<'_> {
    fn from(file: BorrowedFd<'_>) -> Self {
        Self::Number(file.as_raw_fd().into())
    }
}

impl Arg<'_> {
    fn word(&mut self) -> c_long {
        match self {
            Self::Number(number) => *number,
            Self::In(bytes) => address(bytes.as_ptr()),
            Self::Out(bytes) => address(bytes.as_mut_ptr().cast_const()),
            Self::Text(text) => address(text.as_ptr()),
        }
    }
}

fn address<T>(pointer: *const T) -> c_long {
    i64::try_from(pointer.expose_provenance()).unwrap_or(0)
}

/// Makes a system call of at most six arguments.
pub fn call<const N: usize>(number: c_long, args: [Arg<'_>; N]) -> Result<i64, Errno> {
    const { assert!(N <= 6, "a system call has six arguments") };
    let mut args = args;
    let mut words = args.iter_mut().map(Arg::word);
    let mut next = || words.next().unwrap_or(0);
    let (first, second, third) = (next(), next(), next());
    // SAFETY: pointers come from slices that live until the call is over, written to only if they are exclusive; that the
    // kernel stays within them is the caller's to see to, who passes their lengths.
    let answer = unsafe { libc::syscall(number, first, second, third, next(), next(), next()) };
    if answer == -1 { Err(errno()) } else { Ok(answer) }
}

/// The same with `name(arg, ...)`: arguments become [`Arg`]s by themselves.
#[macro_export]
macro_rules! call {
    ($number:expr $(, $arg:expr)* $(,)?) => { $crate::kernel::call($number, [$($crate::kernel::Arg::from($arg)),*]) };
}

fn errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Takes a descriptor that a call made.
pub fn adopt(number: i64) -> Result<OwnedFd, Errno> {
    let number = i32::try_from(number).ok().ok_or(Errno::BADF)?;
    // SAFETY: the call that answered it made it for us, and nobody else has it.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(number) })
}

/// The descriptor of this number that we inherited over `execve`.
pub fn inherited(number: i32) -> Result<OwnedFd, Errno> {
    // F_GETFD fails for what is not open.
    crate::call!(libc::SYS_fcntl, number, libc::F_GETFD)?;
    adopt(number.into())
}

/// Memory of our own, by the page.
#[derive(Debug)]
pub struct Mapping {
    start: *mut u8,
    length: usize,
}

impl Mapping {
    /// Private memory.
    pub fn anonymous(length: usize) -> Result<Self, Errno> {
        // SAFETY: the kernel chooses where; nothing of ours is replaced.
        let start = unsafe {
            mmap_anonymous(ptr::null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)?
        };
        Ok(Self { start: start.cast(), length })
    }

    /// A file's pages, shared.
    pub fn shared(file: impl AsFd, length: usize) -> Result<Self, Errno> {
        Self::of(file, length, 0, ProtFlags::READ | ProtFlags::WRITE)
    }

    /// A file's pages, shared, to be read alone.
    pub fn readable(file: impl AsFd, length: usize) -> Result<Self, Errno> {
        Self::of(file, length, 0, ProtFlags::READ)
    }

    /// A file's pages from an offset on, shared: the rings of `io_uring`.
    pub fn ring(file: impl AsFd, length: usize, offset: u64) -> Result<Self, Errno> {
        Self::of(file, length, offset, ProtFlags::READ | ProtFlags::WRITE)
    }

    fn of(file: impl AsFd, length: usize, offset: u64, rights: ProtFlags) -> Result<Self, Errno> {
        // SAFETY: the kernel chooses where; nothing of ours is replaced.
        let start = unsafe { mmap(ptr::null_mut(), length, rights, MapFlags::SHARED, file, offset)? };
        Ok(Self { start: start.cast(), length })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> u64 {
        u64::try_from(self.start.expose_provenance()).unwrap_or(0)
    }

    /// What is in it now.
    #[must_use]
    pub fn copy(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.length];
        // SAFETY: the mapping is as long as the vector, and they are not the same memory. Others may write to it
        // meanwhile; then a byte is the old or the new one.
        unsafe { ptr::copy_nonoverlapping(self.start.cast_const(), bytes.as_mut_ptr(), self.length) };
        bytes
    }

    /// A word of it, as the kernel wrote it last.
    #[must_use]
    pub fn word(&self, at: usize) -> u32 {
        self.cell(at).map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Sets a word of it; what is before it is there first.
    pub fn set_word(&self, at: usize, value: u32) {
        if let Some(word) = self.cell(at) {
            word.store(value, Ordering::Release);
        }
    }

    fn cell(&self, at: usize) -> Option<&AtomicU32> {
        let last = self.length.checked_sub(4)?;
        if at > last || !at.is_multiple_of(4) {
            return None;
        }
        // SAFETY: within the mapping, which begins at a page, and aligned; others access it by atomic words or not at all.
        Some(unsafe { AtomicU32::from_ptr(self.start.wrapping_add(at).cast()) })
    }

    /// Puts bytes at its start, as many as there is room for.
    pub fn put(&mut self, bytes: &[u8]) {
        let length = bytes.len().min(self.length);
        // SAFETY: no longer than either, and not the same memory.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.start, length) };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: we mapped it, and nothing refers to it any more.
        unsafe { munmap(self.start.cast(), self.length) }.ok();
    }
}

/// Attaches System V shared memory by its number.
pub fn attach(id: i32, length: usize, rights: i32) -> Result<Mapping, Errno> {
    let start = crate::call!(libc::SYS_shmat, id, 0, rights)?;
    let start = usize::try_from(start).ok().ok_or(Errno::FAULT)?;
    // Unmapping it whole detaches it.
    Ok(Mapping { start: ptr::with_exposed_provenance_mut(start), length })
}

/// Where a fork goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// In the new process.
    Child,
    /// In the old one.
    Parent(Pid),
}

/// A new process. This program has one thread when it forks, so the child may do anything.
pub fn fork() -> Result<Side, Errno> {
    // SAFETY: there is one thread, so no lock is held by a thread that the child does not have.
    side(unsafe { libc::fork() }.into())
}

/// A new process that shares with this one what the flags say (`CLONE_FILES`); never memory.
pub fn clone(flags: i32) -> Result<Side, Errno> {
    if flags & (libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SETTLS) != 0 {
        return Err(Errno::INVAL);
    }
    side(crate::call!(libc::SYS_clone, flags | libc::SIGCHLD, 0, 0, 0, 0)?)
}

/// Which side of such a call this is, by its answer.
pub(crate) fn side(answer: i64) -> Result<Side, Errno> {
    match answer {
        0 => Ok(Side::Child),
        -1 => Err(errno()),
        pid => Ok(Side::Parent(i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?)),
    }
}

/// Ends a forked process without the parent's destructors.
pub fn leave(code: i32) -> ! {
    // SAFETY: does not return, and runs nothing.
    unsafe { libc::_exit(code) }
}

/// Waits for a signal; for ever, if none kills.
pub fn pause() -> ! {
    loop {
        // Interrupted by a handler: again.
        crate::call!(libc::SYS_ppoll, 0, 0, 0, 0, 0).ok();
    }
}
