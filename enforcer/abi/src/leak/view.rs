//! The bytes that are searched, in a buffer that never needs to be cleared: what lies behind their end is older, and does
//! not count.
//!
//! Twice as long as the window, so that the programs inside the kernel can add a piece of any allowed length behind what is
//! there already, and the verifier needs to know nothing of their sum.

use super::filter::{BEFORE, CHUNK};
use super::key::{GRAM, LONGEST, roll};

/// As many bytes of a system call are looked at, all its pieces together.
pub const WINDOW: usize = 4096;
/// Zeros before the first byte, always.
pub const FRONT: usize = 64;
/// The size of the buffer.
pub const BUFFER: usize = FRONT + 2 * WINDOW;

/// Room for a window. What stands before [`FRONT`] stays zero.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug)]
pub struct Buffer {
    /// The bytes, from [`FRONT`] on.
    pub bytes: [u8; BUFFER],
}

impl Buffer {
    /// Of zeros.
    pub const EMPTY: Self = Self { bytes: [0; BUFFER] };

    /// The chunk at a place, with what stands before it.
    #[inline(always)]
    pub(super) fn chunk(&self, at: u32) -> Option<&[u8; BEFORE + CHUNK]> {
        self.bytes.get(place(at.wrapping_sub(LOOK_BACK))..)?.first_chunk()
    }

    /// What may be a needle at a place.
    #[inline(always)]
    pub(super) fn candidate(&self, at: u32) -> Option<&[u8; LONGEST]> {
        self.bytes.get(place(at)..)?.first_chunk()
    }

    /// What the quick hash is taken of at a place.
    #[inline(always)]
    pub(super) fn gram(&self, at: u32) -> Option<u64> {
        let bytes: &[u8; GRAM] = self.bytes.get(place(at)..)?.first_chunk()?;
        Some(bytes.iter().fold(0, |gram, byte| roll(gram, *byte)))
    }

    /// The byte at a place; `at` may stand a few bytes before the first, where zeros are.
    #[inline(always)]
    pub(super) fn byte(&self, at: u32) -> u8 {
        self.bytes.get(place(at)).copied().unwrap_or_default()
    }
}

/// Where in the buffer a byte of the window is. A mask, and no comparison: the verifier sees its bounds at every use,
/// and there are [`CHUNK`] bytes behind the last place that it allows.
#[inline(always)]
const fn place(at: u32) -> usize {
    #[expect(clippy::as_conversions, reason = "13 bits")]
    let place = (at.wrapping_add(ZEROS) & PLACES) as usize;
    place
}

/// [`FRONT`], as places are counted.
const ZEROS: u32 = 64;
/// The largest place.
const PLACES: u32 = (1 << 13) - 1;
/// [`BEFORE`], as places are counted.
const LOOK_BACK: u32 = 11;
const _: () = assert!(
    FRONT == 64 && BEFORE == 11 && (1 << 13) + CHUNK == BUFFER && LONGEST <= CHUNK,
    "they go together"
);
