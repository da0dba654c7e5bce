//! The stack of a program that has not run an instruction yet.
//!
//! The kernel laid it out (System V ABI for x86-64, section 3.4.1, "Initial Stack and Register State"):
//! argument count, argument pointers, null, environment pointers, null; the strings lie above.
//!
//! Untrusted: all of it. Counts and lengths are bounded, addresses are only ever read through the kernel.

use std::io;

use rustix::process::Pid;

use super::{Error, Tracee};
use crate::graft::kernel;

/// Pointers that a stack may have; Linux itself allows 6 MiB of strings and pointers at most.
const MAX_ENTRIES: usize = 1 << 20;
/// Bytes of one string: `MAX_ARG_STRLEN` of execve(2).
const MAX_STRING: usize = 128 * 1024;
const WORD: usize = 8;
/// A piece of memory never crosses the boundary of a page of this size, so that it is readable or not.
const PAGE: usize = 4096;

/// What the graft wants to know of the stack.
#[derive(Debug)]
pub(super) struct Stack {
    /// `argv[0]` and `argv[1]`, empty where absent.
    pub(super) arguments: [Vec<u8>; 2],
    /// Where the environment pointers begin.
    pub(super) environment: usize,
}

/// One entry of the environment.
#[derive(Debug)]
pub(super) struct Entry {
    /// The address of the pointer to the string.
    pub(super) slot: usize,
    /// `NAME=value`.
    pub(super) text: Vec<u8>,
}

impl Stack {
    pub(super) fn read(tracee: Tracee, top: usize) -> Result<Self, Error> {
        let count = usize::try_from(tracee.word(top)?).unwrap_or(usize::MAX);
        if count > MAX_ENTRIES {
            return Err(Error::Stack { what: "argument count", found: count });
        }
        let first = top.saturating_add(WORD);
        let mut strings = Window::default();
        let mut argument = |index: usize| {
            if index >= count {
                return Ok(Vec::new());
            }
            strings.string(tracee, pointer(tracee.word(first.saturating_add(index.saturating_mul(WORD)))?))
        };
        let environment = first.saturating_add(count.saturating_add(1).saturating_mul(WORD));
        Ok(Self { arguments: [argument(0)?, argument(1)?], environment })
    }

    pub(super) fn entries(&self, tracee: Tracee) -> Result<Vec<Entry>, Error> {
        let (mut slots, mut strings) = (Window::default(), Window::default());
        let mut entries = Vec::new();
        let mut slot = self.environment;
        loop {
            let word = slots.word(tracee, slot)?;
            if word == 0 {
                return Ok(entries);
            }
            if entries.len() == MAX_ENTRIES {
                return Err(Error::Stack { what: "environment count", found: MAX_ENTRIES });
            }
            entries.push(Entry { slot, text: strings.string(tracee, pointer(word))? });
            slot = slot.saturating_add(WORD);
        }
    }
}

/// The piece of memory that was read last: what is wanted next mostly lies in it.
#[derive(Debug, Default)]
struct Window {
    start: usize,
    bytes: Vec<u8>,
}

impl Window {
    /// The bytes up to the next NUL.
    fn string(&mut self, tracee: Tracee, address: usize) -> Result<Vec<u8>, Error> {
        let mut text = Vec::new();
        while text.len() < MAX_STRING {
            let piece = self.from(tracee, address.saturating_add(text.len()))?;
            if let Some(end) = piece.iter().position(|byte| *byte == 0) {
                text.extend(piece.iter().take(end));
                return Ok(text);
            }
            text.extend(piece);
        }
        Err(Error::Stack { what: "string length", found: text.len() })
    }

    fn word(&mut self, tracee: Tracee, address: usize) -> Result<u64, Error> {
        let piece = self.from(tracee, address)?;
        let word = piece.first_chunk::<WORD>().ok_or(Error::Stack { what: "word at", found: address })?;
        Ok(u64::from_le_bytes(*word))
    }

    /// What the window shows from `address` on, at least one byte; it is moved there if need be.
    fn from(&mut self, tracee: Tracee, address: usize) -> Result<&[u8], Error> {
        let shown = address.checked_sub(self.start).is_some_and(|offset| offset < self.bytes.len());
        if !shown {
            self.bytes = piece(tracee.pid, address)?;
            self.start = address;
        }
        Ok(self.bytes.get(address.saturating_sub(self.start)..).unwrap_or_default())
    }
}

/// The memory from `address` to the end of its page.
fn piece(pid: Pid, address: usize) -> Result<Vec<u8>, Error> {
    let to_page_end = PAGE.saturating_sub(address.checked_rem(PAGE).unwrap_or(0));
    let mut piece = vec![0; to_page_end];
    let read = match kernel::read_memory(pid, address, &mut piece) {
        // After a change of user the tracer may not read at once, but may still read word by word.
        Err(error) if may_not(&error) => peek_all(pid, address, &mut piece),
        other => other,
    };
    piece.truncate(read.map_err(|source| Error::Trace { doing: "reading the stack", source })?);
    if piece.is_empty() {
        return Err(Error::Stack { what: "end of memory", found: address });
    }
    Ok(piece)
}

fn may_not(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS))
}

fn peek_all(pid: Pid, address: usize, into: &mut [u8]) -> io::Result<usize> {
    // Words are read at aligned addresses: the last one must not reach into the next page.
    let skew = address.checked_rem(WORD).unwrap_or(0);
    let (mut from, mut skip, mut read) = (address.saturating_sub(skew), skew, 0_usize);
    while let Some(left) = into.get_mut(read..).filter(|left| !left.is_empty()) {
        let word = kernel::peek(pid, from)?.to_le_bytes();
        let fresh = word.get(skip..).unwrap_or_default();
        for (place, byte) in left.iter_mut().zip(fresh) {
            *place = *byte;
        }
        read = read.saturating_add(fresh.len().min(left.len()));
        from = from.saturating_add(WORD);
        skip = 0;
    }
    Ok(read)
}

fn pointer(word: u64) -> usize {
    usize::try_from(word).unwrap_or(usize::MAX)
}
