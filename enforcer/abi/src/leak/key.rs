//! The two keyed hashes of a group: a quick one that the filter is asked with at every byte, and a strong one that confirms.
//!
//! The quick hash gives away no more than the 15 bits that the filter needs. The strong one is SipHash-2-4 over a needle's
//! bytes, padded with zeros, and their number. Who has the key and a needle can try guesses, and no more.
//!
//! Trusted: the key, 32 random bytes. Untrusted: what is hashed.

/// How many places the filter has: the quick hash is below this.
pub const SPOTS: u32 = 1 << 15;
/// The longest needle: 32 bytes in hexadecimal.
pub(super) const LONGEST: usize = 64;
/// How many bytes the quick hash covers.
pub(super) const GRAM: usize = 12;
/// What is left in a word of twelve bytes' lowest five bits of the byte before them.
const OLDER: u64 = 0xf;

/// A group's key.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Key {
    sip: [u64; 2],
    multiplier: u64,
    reserved: u64,
}

const _: () = assert!(size_of::<Key>() == 32, "as many bytes as are drawn");

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    /// Of 32 random bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        let (words, _) = bytes.as_chunks::<8>();
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        let mut next = || words.next().unwrap_or_default();
        // An even multiplier would lose the lowest bits.
        Self { sip: [next(), next()], multiplier: next() | 1, reserved: 0 }
    }

    /// Bytes that make the same key; of the ones that were drawn, those that count.
    #[must_use]
    pub fn bytes(&self) -> [u8; 32] {
        let [k0, k1] = self.sip;
        let mut bytes = [0; 32];
        let (words, _) = bytes.as_chunks_mut::<8>();
        for (to, word) in words.iter_mut().zip([k0, k1, self.multiplier]) {
            *to = word.to_le_bytes();
        }
        bytes
    }

    /// The quick hash of the twelve bytes that a [`roll`] ends with: a place in the filter. Multiply and shift.
    #[must_use]
    #[inline(always)]
    pub(super) const fn spot(&self, gram: u64) -> u64 {
        (gram & !OLDER).wrapping_mul(self.multiplier) >> 49
    }

    /// The strong hash of the first `length` of these bytes.
    #[inline(always)]
    pub(super) fn strong(&self, bytes: &[u8; LONGEST], length: u32) -> u64 {
        let (words, _) = bytes.as_chunks::<8>();
        let mut hash = Hash::new(self);
        let mut left = u64::from(length);
        for word in words {
            hash.word(u64::from_le_bytes(*word) & first_bytes(left));
            left = left.saturating_sub(8);
        }
        hash.finish(length)
    }
}

/// Takes one more byte into a gram. Of each, the lowest five bits: letters count without their case, so that the two ways of
/// writing hexadecimal need one place.
#[expect(clippy::as_conversions, reason = "a byte is a number")]
#[inline(always)]
pub(super) const fn roll(gram: u64, byte: u8) -> u64 {
    gram >> 5 | (byte as u64) << 59
}

/// A mask of the first `count` bytes of a word.
#[inline(always)]
const fn first_bytes(count: u64) -> u64 {
    if count >= 8 { u64::MAX } else { (1_u64 << (count.wrapping_mul(8) & 63)).wrapping_sub(1) }
}

/// SipHash-2-4 (Aumasson and Bernstein, 2012, section 2), over whole words.
#[derive(Clone, Copy)]
pub(super) struct Hash {
    v: [u64; 4],
    words: u64,
}

impl Hash {
    #[inline(always)]
    pub(super) const fn new(key: &Key) -> Self {
        let [k0, k1] = key.sip;
        let v = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        Self { v, words: 0 }
    }

    #[inline(always)]
    pub(super) const fn word(&mut self, word: u64) {
        self.words = self.words.wrapping_add(1);
        self.block(word);
    }

    #[inline(always)]
    const fn block(&mut self, word: u64) {
        let [v0, v1, v2, v3] = self.v;
        let [v0, v1, v2, v3] = round(round([v0, v1, v2, v3 ^ word]));
        self.v = [v0 ^ word, v1, v2, v3];
    }

    /// Ends with the number of bytes that count, which zeros at the end do not tell.
    #[inline(always)]
    pub(super) fn finish(mut self, length: u32) -> u64 {
        self.word(u64::from(length));
        self.block(self.words.wrapping_mul(8) << 56);
        let [v0, v1, v2, v3] = self.v;
        let [v0, v1, v2, v3] = round(round(round(round([v0, v1, v2 ^ 0xff, v3]))));
        v0 ^ v1 ^ v2 ^ v3
    }
}

#[inline(always)]
const fn round([v0, v1, v2, v3]: [u64; 4]) -> [u64; 4] {
    let v0 = v0.wrapping_add(v1);
    let v1 = v1.rotate_left(13) ^ v0;
    let v0 = v0.rotate_left(32);
    let v2 = v2.wrapping_add(v3);
    let v3 = v3.rotate_left(16) ^ v2;
    let v0 = v0.wrapping_add(v3);
    let v3 = v3.rotate_left(21) ^ v0;
    let v2 = v2.wrapping_add(v1);
    let v1 = v1.rotate_left(17) ^ v2;
    [v0, v1, v2.rotate_left(32), v3]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strong_hash_is_the_one_that_was_published() {
        // The paper's key, and its vector for eight bytes 00 to 07: here the words are given one by one.
        let key = Key { sip: [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908], multiplier: 1, reserved: 0 };
        let mut hash = Hash::new(&key);
        hash.word(0x0706_0504_0302_0100);
        hash.block(8 << 56);
        let [v0, v1, v2, v3] = hash.v;
        let v = round(round(round(round([v0, v1, v2 ^ 0xff, v3]))));
        assert_eq!(v[0] ^ v[1] ^ v[2] ^ v[3], 0x93f5_f579_9a93_2462);
    }

    #[test]
    fn the_bytes_of_a_key_make_the_same_key() {
        let key = Key::new(&core::array::from_fn(|at| u8::try_from(at * 7 + 2).unwrap()));
        let again = Key::new(&key.bytes());
        assert_eq!((again.sip, again.multiplier), (key.sip, key.multiplier));
    }

    #[test]
    fn bytes_after_the_end_do_not_count_and_the_end_does() {
        let key = Key::new(&[7; 32]);
        let mut bytes = [b'a'; LONGEST];
        let whole = key.strong(&bytes, 20);
        bytes[20] = 0;
        assert_eq!(key.strong(&bytes, 20), whole);
        assert_ne!(key.strong(&bytes, 21), key.strong(&bytes, 20), "a zero counts");
        bytes[19] = 0;
        assert_ne!(key.strong(&bytes, 20), whole);
    }

    #[test]
    fn another_key_is_another_hash_and_a_key_is_not_shown() {
        let (one, other) = (Key::new(&[1; 32]), Key::new(&[2; 32]));
        assert_ne!(one.strong(&[0; LONGEST], 64), other.strong(&[0; LONGEST], 64));
        assert!((0..64).any(|gram| one.spot(gram) != other.spot(gram)));
        assert_eq!(std::format!("{one:?}"), "Key(..)");
    }

    #[test]
    fn a_place_in_the_filter_does_not_depend_on_case() {
        let key = Key::new(&[3; 32]);
        let gram = |bytes: &[u8]| bytes.iter().fold(0, |gram, byte| roll(gram, *byte));
        assert_eq!(key.spot(gram(b"deadbeef2026")), key.spot(gram(b"DEADBEEF2026")));
        assert_eq!(
            key.spot(gram(b"deadbeef2026")),
            key.spot(gram(b"before: deadbeef2026")),
            "no byte before counts"
        );
        assert!(key.spot(u64::MAX) < u64::from(SPOTS));
    }
}
