//! Secret memory that grows where it lies, for bytes whose number nobody knows beforehand.
//!
//! [`Growing`] reserves addresses for as many bytes as there may be, and pages for as many as there are. Each piece of it
//! comes from a descriptor of its own that is closed at once: none is open while the bytes arrive, and nothing is copied
//! when more are needed.
//!
//! Trusted: the caller's limit. Untrusted: nothing; the bytes are not looked at.

use std::fmt;

use zeroize::Zeroize as _;

use crate::Error;
use crate::kernel::{self, Room};

/// Secret memory between nothing and a limit. Wiped on drop.
pub struct Growing {
    room: Room,
    limit: usize,
}

impl Growing {
    /// No memory yet, and addresses for `limit` bytes.
    pub fn create(limit: usize) -> Result<Self, Error> {
        Ok(Self { room: Room::reserve(limit)?, limit })
    }

    /// Makes sure that there are at least `len` bytes; those that are there stay where and what they are.
    pub fn grow(&mut self, len: usize) -> Result<(), Error> {
        if len > self.limit {
            return Err(Error::Full { needed: len, left: self.limit });
        }
        let more = len.saturating_sub(self.room.bytes().len());
        if more > 0 { kernel::obtain(more, |fd| self.room.extend(fd, more)).map(drop) } else { Ok(()) }
    }

    /// The bytes that are there: whole pages.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.room.bytes()
    }

    /// The same, to be filled.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.room.bytes_mut()
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        self.room.bytes_mut().zeroize();
    }
}

impl fmt::Debug for Growing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Growing({} of {} secret bytes)", self.room.bytes().len(), self.limit)
    }
}
