//! The filter of a group: which places of a window may begin a needle, or end the head of a shape.
//!
//! The only code that runs at every byte: 64 places at a time, without a branch, a bit of the answer for each.
//!
//! Trusted: the set. Untrusted: the bytes.

use super::key::{GRAM, Key, SPOTS, roll};
use super::shapes;

/// What is asked at a time.
pub(super) const CHUNK: usize = 64;
/// As many bytes before a chunk take part.
pub(super) const BEFORE: usize = GRAM - 1;
/// Words of the filter.
const WORDS: usize = 512;

const _: () = assert!(WORDS * 64 == 32_768 && SPOTS == 32_768, "a bit for each place");

/// What a group shall not send.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Set {
    /// The group's key.
    pub key: Key,
    /// How many needles it has.
    pub needles: u32,
    /// [`Unread`].
    unread: u32,
    /// A bit for each place where one of them may be found.
    places: [u64; WORDS],
}

const _: () = assert!(size_of::<Set>() == 4096 + 40, "no padding");

/// What is done about bytes that cannot be read where the vector is enforced: a page is not there, or is another file's.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Unread {
    /// They are counted.
    #[default]
    Count = 0,
    /// The first call of two is sent back, to be made again (`EAGAIN`).
    Retry = 1,
    /// They are refused.
    Refuse = 2,
}

/// Where in a chunk something may be; bit n stands for the bytes that end with the chunk's byte n.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Hits {
    /// Twelve bytes that may begin a needle.
    pub needles: u64,
    /// The head of a shape.
    pub shapes: u64,
}

/// Bytes in a row without a branch, as many as the compiler writes out.
const ROW: usize = 8;

impl Default for Set {
    fn default() -> Self {
        Self::new(Key::new(&[0; 32]), Unread::Count)
    }
}

impl Set {
    /// Nothing is registered yet.
    #[must_use]
    pub const fn new(key: Key, unread: Unread) -> Self {
        #[expect(clippy::as_conversions, reason = "the number of an enum of repr(u32)")]
        let unread = unread as u32;
        Self { key, needles: 0, unread, places: [0; WORDS] }
    }

    /// What is done about bytes that cannot be read.
    #[must_use]
    #[inline(always)]
    pub const fn unread(&self) -> Unread {
        match self.unread {
            0 => Unread::Count,
            1 => Unread::Retry,
            _ => Unread::Refuse,
        }
    }

    /// Lets the filter pass what may begin a needle of this place.
    pub const fn add(&mut self, spot: u32) {
        self.needles = self.needles.saturating_add(1);
        #[expect(clippy::as_conversions, reason = "a number of 15 bits")]
        if let Some((_, [word, ..])) = self.places.split_at_mut_checked((spot & 511) as usize) {
            *word |= 1 << (spot >> 9 & 63);
        }
    }

    /// The filter's word for this gram, with the bit that it asks for at the right end.
    #[inline(always)]
    fn word(&self, gram: u64) -> u64 {
        let spot = self.key.spot(gram);
        let word = usize::try_from(spot & LAST).unwrap_or_default();
        self.places.get(word).map_or(0, |word| *word >> (spot >> 9))
    }

    /// Whether anything in a chunk may begin a needle, or ends the head of a shape.
    #[inline(always)]
    pub(super) fn any(&self, bytes: &[u8; BEFORE + CHUNK]) -> bool {
        let (mut gram, mut state) = before(bytes);
        let (mut words, mut states) = (0, 0);
        let (rows, _) = chunk(bytes).as_chunks::<ROW>();
        for row in rows {
            for byte in row {
                gram = roll(gram, *byte);
                state = shapes::next(state, *byte);
                words |= self.word(gram);
                states |= state;
            }
        }
        words & 1 | states & shapes::ENDS != 0
    }

    /// What, and where.
    #[inline(always)]
    pub(super) fn hits(&self, bytes: &[u8; BEFORE + CHUNK]) -> Hits {
        let (mut gram, mut state) = before(bytes);
        let mut hits = Hits::default();
        for byte in chunk(bytes) {
            gram = roll(gram, *byte);
            state = shapes::next(state, *byte);
            hits.needles = hits.needles >> 1 | self.word(gram) << 63;
            hits.shapes = hits.shapes >> 1 | u64::from(state & shapes::ENDS != 0) << 63;
        }
        hits
    }
}

/// What the bytes before a chunk leave behind.
#[inline(always)]
fn before(bytes: &[u8; BEFORE + CHUNK]) -> (u64, u64) {
    let (before, _) = bytes.split_at(BEFORE);
    before.iter().fold((0, 0), |(gram, state), byte| (roll(gram, *byte), shapes::next(state, *byte)))
}

fn chunk(bytes: &[u8; BEFORE + CHUNK]) -> &[u8] {
    bytes.split_at(BEFORE).1
}

/// The number of the last word.
const LAST: u64 = 511;
const _: () = assert!(WORDS == 512, "nine bits choose the word, six the bit");
