//! The stack of a program that has not run an instruction yet.
//!
//! The kernel laid it out (System V ABI for x86-64, section 3.4.1, "Initial Stack and Register State"; other
//! 64-bit architectures alike): argument count, argument pointers, null, environment pointers, null; the
//! strings lie above.
//!
//! Untrusted: all of it. Counts and lengths are bounded; memory is only ever read through a [`Source`].

use super::Error;

/// Reads memory from an address on; how many bytes could be read.
pub type Source<'a> = dyn Fn(usize, &mut [u8]) -> Result<usize, Error> + 'a;

/// Pointers that a stack may have; Linux itself allows 6 MiB of strings and pointers at most.
const MAX_ENTRIES: usize = 1 << 20;
/// Bytes of all strings: what Linux allows, rounded up.
const MAX_STRINGS: usize = 8 << 20;
/// Bytes of one string: `MAX_ARG_STRLEN` of execve(2).
const MAX_STRING: usize = 128 * 1024;
const WORD: usize = 8;
/// A piece of memory never crosses the boundary of a page of this size, so that it is readable or not.
const PAGE: usize = 4096;

/// What the graft wants to know of the stack.
#[derive(Debug)]
pub struct Stack {
    /// `argv[0]` and `argv[1]`, empty where absent.
    pub arguments: [Vec<u8>; 2],
    /// Where the environment pointers begin.
    environment: usize,
}

/// One entry of the environment that is of interest.
#[derive(Debug)]
pub struct Entry<T> {
    /// The address of the pointer to the string.
    pub slot: usize,
    /// What was found in it.
    pub found: T,
}

impl Stack {
    /// Reads what lies at `top`, the stack pointer.
    pub fn read(memory: &Source<'_>, top: usize) -> Result<Self, Error> {
        let (mut words, mut strings) = (Window::default(), Window::default());
        let count = address(words.word(memory, top)?);
        if count > MAX_ENTRIES {
            return Err(Error::Stack { what: "argument count", found: count });
        }
        let first = top.saturating_add(WORD);
        let mut argument = |index: usize| {
            if index >= count {
                return Ok(Vec::new());
            }
            let pointer = words.word(memory, first.saturating_add(index.saturating_mul(WORD)))?;
            strings.string(memory, address(pointer))
        };
        let environment = first.saturating_add(count.saturating_add(1).saturating_mul(WORD));
        Ok(Self { arguments: [argument(0)?, argument(1)?], environment })
    }

    /// The entries of the environment in which `look` finds something.
    pub fn entries<T>(
        &self,
        memory: &Source<'_>,
        look: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<Entry<T>>, Error> {
        let (mut slots, mut strings) = (Window::default(), Window::default());
        let mut entries = Vec::new();
        let mut read = 0_usize;
        for index in 0..MAX_ENTRIES {
            let slot = self.environment.saturating_add(index.saturating_mul(WORD));
            let word = slots.word(memory, slot)?;
            if word == 0 {
                return Ok(entries);
            }
            let text = strings.string(memory, address(word))?;
            read = read.saturating_add(text.len());
            if read > MAX_STRINGS {
                return Err(Error::Stack { what: "environment size", found: read });
            }
            entries.extend(look(&text).map(|found| Entry { slot, found }));
        }
        Err(Error::Stack { what: "environment count", found: MAX_ENTRIES })
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
    fn string(&mut self, memory: &Source<'_>, address: usize) -> Result<Vec<u8>, Error> {
        let mut text = Vec::new();
        while text.len() < MAX_STRING {
            let piece = self.from(memory, address.saturating_add(text.len()))?;
            if let Some(end) = piece.iter().position(|byte| *byte == 0) {
                text.extend(piece.iter().take(end));
                return Ok(text);
            }
            text.extend(piece);
        }
        Err(Error::Stack { what: "string length", found: text.len() })
    }

    fn word(&mut self, memory: &Source<'_>, address: usize) -> Result<u64, Error> {
        let piece = self.from(memory, address)?;
        let word = piece.first_chunk::<WORD>().ok_or(Error::Stack { what: "word at", found: address })?;
        Ok(u64::from_le_bytes(*word))
    }

    /// What the window shows from `address` on, at least one byte; it is moved there if need be.
    fn from(&mut self, memory: &Source<'_>, address: usize) -> Result<&[u8], Error> {
        let shown = address.checked_sub(self.start).is_some_and(|offset| offset < self.bytes.len());
        if !shown {
            self.bytes = piece(memory, address)?;
            self.start = address;
        }
        Ok(self.bytes.get(address.saturating_sub(self.start)..).unwrap_or_default())
    }
}

/// The memory from `address` to the end of its page.
fn piece(memory: &Source<'_>, address: usize) -> Result<Vec<u8>, Error> {
    let to_page_end = PAGE.saturating_sub(address.checked_rem(PAGE).unwrap_or(0));
    let mut piece = vec![0; to_page_end];
    let read = memory(address, &mut piece)?;
    piece.truncate(read);
    if piece.is_empty() {
        return Err(Error::Stack { what: "end of memory", found: address });
    }
    Ok(piece)
}

fn address(word: u64) -> usize {
    usize::try_from(word).unwrap_or(usize::MAX)
}
