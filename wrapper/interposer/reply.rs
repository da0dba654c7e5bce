//! What the wrapper answers, and what it looks like on the line.
//!
//! One message: `[what, exit code, 0, 0, length (4)]`, and for each entry that was sent the offset at which its
//! expansion begins (4). All numbers are little-endian. With values comes the descriptor of their memory.
//!
//! Trusted: the wrapper; its door has a random name. Its numbers are checked all the same.

use core::ffi::c_int;
use core::mem::MaybeUninit;

use crate::calls::{self, Message, Vector};
#[cfg(not(getenv))]
use crate::environment::Text;

/// Entries with references that one program may have.
pub(crate) const MAX_ENTRIES: usize = 512;

/// In the first byte.
const STAY: u8 = 0;
const VALUES: u8 = 1;
const HEADER: usize = 8;

const NO_ANSWER: &str = "the wrapper does not answer";

/// Room for an answer.
pub(crate) struct Reply(MaybeUninit<[u32; 2 + MAX_ENTRIES]>);

/// What the wrapper decided.
pub(crate) enum Answer<'a> {
    /// This program carries references on.
    Stay,
    /// The entries with references, expanded.
    Values(Values<'a>),
    /// There is no way; the wrapper has told why.
    End(u8),
}

/// A mapping of secret memory: entries, each with its NUL at least.
pub(crate) struct Values<'a> {
    pub(crate) address: *mut u8,
    pub(crate) len: usize,
    #[cfg_attr(getenv, expect(dead_code, reason = "entries are found by their names there"))]
    starts: &'a [u32],
}

impl Reply {
    pub(crate) const fn empty() -> Self {
        Self(MaybeUninit::uninit())
    }

    pub(crate) fn receive(&mut self, line: c_int) -> Result<Answer<'_>, &'static str> {
        // `struct cmsghdr` and one descriptor, in words.
        let mut control = [0_u64; 3];
        let mut vector = Vector { start: self.0.as_mut_ptr().cast(), len: size_of_val(&self.0) };
        let mut message = Message::of(&raw mut vector, 1, control.as_mut_ptr().cast(), size_of_val(&control));
        let received = usize::try_from(calls::receive(line, &mut message)).unwrap_or(0);
        if received < HEADER {
            return Err(NO_ANSWER);
        }
        // SAFETY: so many bytes were received, and any are a number.
        let words = unsafe { core::slice::from_raw_parts(self.0.as_ptr().cast::<u32>(), received / 4) };
        let [head, len, starts @ ..] = words else { return Err(NO_ANSWER) };
        let len = u32::from_le(*len) as usize;
        match head.to_ne_bytes() {
            [STAY, ..] => Ok(Answer::Stay),
            [VALUES, ..] => {
                let descriptor = calls::received(&message, &control).ok_or(NO_ANSWER)?;
                let mapped = calls::map(descriptor, len);
                // While it is open, root can take the descriptor from here.
                calls::close(descriptor);
                let address = mapped.ok_or("no secret memory (RLIMIT_MEMLOCK?)")?;
                Ok(Answer::Values(Values { address, len, starts }))
            }
            [_, code, ..] => Ok(Answer::End(code)),
        }
    }
}

#[cfg(not(getenv))]
impl Values<'_> {
    /// The expansion of the entry that was sent at this place.
    pub(crate) fn at(&self, index: usize) -> Option<Text> {
        let start = u32::from_le(*self.starts.get(index)?) as usize;
        (start < self.len).then(|| Text(self.address).from(start))
    }
}
