//! The environment as pointers: slots, and the strings that they point to.
//!
//! Slots come from `environ` and end with a null; strings end with NUL. Everything is read byte by byte, and no byte
//! is read before those in front of it were seen not to be the end.
//!
//! Untrusted: what the strings say. Trusted: that they end, which the kernel and the loader saw to.

use crate::stamp;

unsafe extern "C" {
    /// The environment, by the name that it has in glibc and in musl.
    static mut environ: Slot;
}

/// Where a pointer to an entry stands; laid out as that pointer's address.
#[derive(Clone, Copy, Eq, PartialEq)]
#[repr(transparent)]
pub(crate) struct Slot(*mut Text);

/// A string that ends with NUL; laid out as its address.
#[derive(Clone, Copy, Eq, PartialEq, PartialOrd)]
#[repr(transparent)]
pub(crate) struct Text(pub(crate) *mut u8);

impl Slot {
    /// The environment as it is now; none where the C library has not set it yet.
    pub(crate) fn first() -> Option<Self> {
        // SAFETY: a word is read, which the program changes under its own rules.
        let slot = unsafe { environ };
        (!slot.0.is_null()).then_some(slot)
    }

    /// Whether there are no slots at all.
    pub(crate) fn is_nowhere(self) -> bool {
        self.0.is_null()
    }

    pub(crate) fn text(self) -> Text {
        // SAFETY: slots come from `environ`, up to the null that ends it.
        unsafe { self.0.read() }
    }

    /// Points the slot elsewhere.
    pub(crate) fn set(self, text: Text) {
        // SAFETY: the slot is one of the environment's own, of which we are the only user before `main`.
        unsafe { self.0.write(text) };
    }

    /// The slot after this one, which is not the last.
    pub(crate) fn next(self) -> Self {
        // SAFETY: the caller has seen that this is not the null that ends the environment.
        Self(unsafe { self.0.add(1) })
    }
}

impl Text {
    pub(crate) fn is_none(self) -> bool {
        self.0.is_null()
    }

    /// The byte at `at`, where no byte before it is NUL.
    pub(crate) fn byte(self, at: usize) -> u8 {
        let place = self.from(at).0;
        // SAFETY: `at` is at most the place of the NUL.
        unsafe { place.read() }
    }

    /// Writes a byte over one of the string's own.
    pub(crate) fn set(self, at: usize, byte: u8) {
        let place = self.from(at).0;
        // SAFETY: `at` is at most the place of the NUL, and the strings of an environment may be written to.
        unsafe { place.write(byte) };
    }

    /// What follows the first `at` bytes, none of which is NUL.
    pub(crate) fn from(self, at: usize) -> Self {
        // SAFETY: at most the place of the NUL, or of what follows it in the same memory.
        Self(unsafe { self.0.add(at) })
    }

    /// Bytes before the NUL.
    pub(crate) fn len(self) -> usize {
        let mut len = 0;
        while self.byte(len) != 0 {
            len += 1;
        }
        len
    }

    /// Whether it starts with these bytes, none of which is NUL.
    pub(crate) fn starts_with(self, start: impl Iterator<Item = u8>) -> bool {
        start.enumerate().all(|(at, byte)| self.byte(at) == byte)
    }

    /// Whether what references begin with stands anywhere in it.
    pub(crate) fn bears_reference(self) -> bool {
        let mut at = self;
        loop {
            if at.starts_with(stamp::prefix()) {
                return true;
            }
            if at.byte(0) == 0 {
                return false;
            }
            at = at.from(1);
        }
    }
}

/// The slots of an environment, up to the null that ends it.
pub(crate) struct Entries(pub(crate) Slot);

impl Iterator for Entries {
    type Item = Slot;

    fn next(&mut self) -> Option<Slot> {
        let slot = self.0;
        if slot.text().is_none() {
            return None;
        }
        self.0 = slot.next();
        Some(slot)
    }
}
