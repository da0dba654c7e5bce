//! The memory of a process that asks, and whose it is.
//!
//! Read by `process_vm_readv(2)`; where that is refused because the process runs as another user (an entrypoint that
//! was root became `postgres`), by `/proc/PID/mem`, opened with that user's id for files. Written by `/proc/PID/mem`
//! alone: the descriptor stays with the process that it was opened for, whatever becomes of its number.
//!
//! Untrusted: every address and every byte.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use rustix::process::Pid;

use super::kernel;

/// A thread that waits for an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'l> {
    pub(super) listener: BorrowedFd<'l>,
    pub(super) id: u64,
    pub(super) thread: Pid,
}

impl Asker<'_> {
    /// Reads up to the first page that cannot be read.
    pub(super) fn read(&self, address: u64, into: &mut [u8]) -> io::Result<usize> {
        match kernel::read_memory(self.thread, address, into) {
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
                self.as_its_user(|memory| memory.read_at(into, address))
            }
            outcome => outcome,
        }
    }

    /// Writes all of it, to the process that waits for this answer and to no other.
    pub(super) fn write(&self, address: u64, bytes: &[u8]) -> io::Result<()> {
        self.as_its_user(|memory| memory.write_all_at(bytes, address))
    }

    /// Who owns the process. The kernel says root for one that may not be looked into.
    pub(super) fn owner(&self) -> io::Result<(u32, u32)> {
        self.of().map(|of| (of.uid(), of.gid()))
    }

    fn of(&self) -> io::Result<Metadata> {
        fs::metadata(format!("/proc/{}", self.thread))
    }

    fn as_its_user<T>(&self, act: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        let memory = self.memory().or_else(|_refused| {
            let (user, group) = self.owner()?;
            let _meanwhile = kernel::FileUser::switch(user, group);
            self.memory()
        })?;
        // From here on the file is of the process that asked, or there is nobody to answer.
        if !kernel::still_waits(self.listener, self.id) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        act(&memory)
    }

    fn memory(&self) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(format!("/proc/{}/mem", self.thread))
    }
}
