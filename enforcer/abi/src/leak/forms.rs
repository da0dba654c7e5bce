//! The forms in which a secret may go out, and the needle of each.
//!
//! A secret is known by at most 32 bytes out of its middle: of several lines, the middle one of the longest (the head of a
//! key file is the same in all of them). They are taken raw, in hexadecimal of either case, and in base64 of either
//! alphabet at the three places within a group of three bytes; what depends on neighbours is left out.
//! Nothing is written anywhere: each character goes from the secret through the hash.

use super::key::{GRAM, Hash, Key, LONGEST, roll};

/// A secret, or the longest line of one, that is shorter than this is not registered.
pub const LEAST: usize = 16;
/// As many bytes of a secret make a needle.
const MOST: usize = 32;
/// A secret of fewer different bytes than this is found everywhere.
const DIFFERENT: u32 = 6;

const _: () = assert!(MOST * 2 == LONGEST, "the longest form is hexadecimal");

/// How a secret is written.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// As it is.
    Raw = 0,
    /// Hexadecimal, `a` to `f`.
    Hex = 1,
    /// Hexadecimal, `A` to `F`.
    UpperHex = 2,
    /// Base64 (RFC 4648 section 4), from the head of a group of three bytes.
    Base64 = 3,
    /// With one byte before.
    Base64After1 = 4,
    /// With two bytes before.
    Base64After2 = 5,
    /// Base64 for URLs (RFC 4648 section 5).
    Url = 6,
    /// With one byte before.
    UrlAfter1 = 7,
    /// With two bytes before.
    UrlAfter2 = 8,
}

/// One form of a secret, to be recognised without being known.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Needle {
    /// The strong hash of its bytes.
    pub hash: u64,
    /// The quick hash of its first twelve bytes: below [`super::SPOTS`].
    pub spot: u32,
    /// How many bytes it has: 16 to 64.
    pub length: u16,
    /// [`Form`].
    pub form: u16,
}

const _: () = assert!(size_of::<Needle>() == 16, "no padding");

/// Where a group's needles are kept: several may have one place in the filter.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Place {
    /// Whose.
    pub group: u64,
    /// [`Needle::spot`].
    pub spot: u32,
    /// Which of those there: below [`super::CROWD`].
    pub nth: u32,
}

const _: () = assert!(size_of::<Place>() == 16, "no padding");

/// Why a secret is not looked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unfit {
    /// It, or its longest line, has as few bytes.
    Short(usize),
    /// It has as few different bytes.
    Plain(u32),
}

impl core::fmt::Display for Unfit {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Short(found) => write!(f, "expected at least {LEAST} bytes in a line, found {found}"),
            Self::Plain(found) => write!(f, "expected at least {DIFFERENT} different bytes, found {found}"),
        }
    }
}

impl core::error::Error for Unfit {}

/// The needles of a secret: one for each form that differs from the others.
pub fn needles(key: &Key, secret: &[u8]) -> Result<impl Iterator<Item = Needle>, Unfit> {
    let part = part(secret);
    if part.len() < LEAST {
        return Err(Unfit::Short(part.len()));
    }
    let different = different(part);
    if different < DIFFERENT {
        return Err(Unfit::Plain(different));
    }
    Ok(Form::ALL.iter().filter(|form| form.differs(part)).map(|form| form.needle(key, part)))
}

/// The bytes that the secret is known by.
fn part(secret: &[u8]) -> &[u8] {
    let lines = || secret.split(|byte| matches!(byte, b'\n' | b'\r'));
    let longest = lines().map(<[u8]>::len).max().unwrap_or_default();
    let alike = lines().filter(|line| line.len() == longest).count();
    let line = lines().filter(|line| line.len() == longest).nth(alike >> 1).unwrap_or_default();
    let first = line.len().saturating_sub(MOST) >> 1;
    let part = line.get(first..).unwrap_or_default();
    part.get(..MOST).unwrap_or(part)
}

/// How many different bytes there are.
fn different(part: &[u8]) -> u32 {
    let mut seen = [0_u64; 4];
    for byte in part {
        if let Some(word) = seen.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }
    seen.iter().fold(0, |sum, word| word.count_ones().saturating_add(sum))
}

impl Form {
    /// All of them, in the order of their numbers.
    pub const ALL: &'static [Self] = &[
        Self::Raw,
        Self::Hex,
        Self::UpperHex,
        Self::Base64,
        Self::Base64After1,
        Self::Base64After2,
        Self::Url,
        Self::UrlAfter1,
        Self::UrlAfter2,
    ];

    /// Its number.
    #[expect(clippy::as_conversions, reason = "the number of an enum of repr(u8)")]
    #[must_use]
    #[inline]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The form of this number.
    #[must_use]
    pub fn of(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// How it is called in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Hex | Self::UpperHex => "hex",
            Self::Base64 | Self::Base64After1 | Self::Base64After2 => "base64",
            Self::Url | Self::UrlAfter1 | Self::UrlAfter2 => "base64url",
        }
    }

    fn needle(self, key: &Key, part: &[u8]) -> Needle {
        let length = self.length(part);
        let word = |first: usize| {
            (0..8).fold(0, |word, n| {
                u64::from(self.character(part, first.saturating_add(n))) << (n << 3) | word
            })
        };
        let mut hash = Hash::new(key);
        for first in (0..LONGEST).step_by(8) {
            hash.word(word(first));
        }
        let hash = hash.finish(u32::from(length));
        // The quick hash has 15 bits.
        let gram = (0..GRAM).fold(0, |gram, at| roll(gram, self.character(part, at)));
        let spot = u32::try_from(key.spot(gram)).unwrap_or_default();
        Needle { hash, spot, length, form: u16::from(self.number()) }
    }

    /// How many characters of it depend on nothing but the bytes.
    fn length(self, part: &[u8]) -> u16 {
        let length = match self.digit_bits() {
            8 => part.len(),
            4 => part.len().saturating_mul(2),
            _ => part.len().saturating_mul(8).saturating_sub(self.skipped_bits()) / 6,
        };
        u16::try_from(length).unwrap_or(u16::MAX)
    }

    const fn digit_bits(self) -> usize {
        match self {
            Self::Raw => 8,
            Self::Hex | Self::UpperHex => 4,
            Self::Base64
            | Self::Base64After1
            | Self::Base64After2
            | Self::Url
            | Self::UrlAfter1
            | Self::UrlAfter2 => 6,
        }
    }

    /// Bits at the head that share a character with the byte before.
    const fn skipped_bits(self) -> usize {
        match self {
            Self::Raw | Self::Hex | Self::UpperHex | Self::Base64 | Self::Url => 0,
            Self::Base64After1 | Self::UrlAfter1 => 4,
            Self::Base64After2 | Self::UrlAfter2 => 2,
        }
    }

    /// The character at a place, or 0 after the end.
    fn character(self, part: &[u8], at: usize) -> u8 {
        if at >= usize::from(self.length(part)) {
            return 0;
        }
        let digit = self.digit(part, at);
        match self {
            Self::Raw => digit,
            Self::Hex => character(digit, 10, *b"0a"),
            Self::UpperHex => character(digit, 10, *b"0A"),
            Self::Base64 | Self::Base64After1 | Self::Base64After2 => base64(digit, *b"+/"),
            Self::Url | Self::UrlAfter1 | Self::UrlAfter2 => base64(digit, *b"-_"),
        }
    }

    /// The bits of the character at a place, as a number.
    fn digit(self, part: &[u8], at: usize) -> u8 {
        let width = self.digit_bits();
        let first = at.saturating_mul(width).saturating_add(self.skipped_bits());
        let byte = |n: usize| part.get((first >> 3).saturating_add(n)).copied().unwrap_or_default();
        let two = u16::from_be_bytes([byte(0), byte(1)]) << (first & 7);
        let [high, _] = two.to_be_bytes();
        high >> 8_usize.saturating_sub(width)
    }

    /// Whether it is not the same as another form of these bytes.
    fn differs(self, part: &[u8]) -> bool {
        let any = |test: fn(u8) -> bool| {
            (0..usize::from(self.length(part))).any(|at| test(self.character(part, at)))
        };
        match self {
            Self::Raw | Self::Hex | Self::Base64 | Self::Base64After1 | Self::Base64After2 => true,
            Self::UpperHex => any(|character| character.is_ascii_uppercase()),
            Self::Url | Self::UrlAfter1 | Self::UrlAfter2 => {
                any(|character| matches!(character, b'-' | b'_'))
            }
        }
    }
}

/// The character of a digit, where those below `turn` begin with one and the others with another.
const fn character(digit: u8, turn: u8, [low, high]: [u8; 2]) -> u8 {
    match digit.checked_sub(turn) {
        Some(over) => high.wrapping_add(over),
        None => low.wrapping_add(digit),
    }
}

const fn base64(digit: u8, [plus, slash]: [u8; 2]) -> u8 {
    match digit {
        0..=51 => character(digit, 26, *b"Aa"),
        52..=61 => b'0'.wrapping_add(digit.wrapping_sub(52)),
        62 => plus,
        _ => slash,
    }
}

const _: () = assert!(GRAM < LEAST, "each form is longer than what the quick hash covers");

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec::Vec;

    use super::*;

    fn written(form: Form, part: &[u8]) -> String {
        (0..usize::from(form.length(part))).map(|at| char::from(form.character(part, at))).collect()
    }

    #[test]
    fn the_forms_are_those_of_the_rfc() {
        // Bytes chosen so that both alphabets show what they differ in; what base64 says of them, by another's hand.
        let part = b"\xfb\xff\xbe\xfa\xceStandard\x00\x7f";
        assert_eq!(written(Form::Hex, part), "fbffbeface5374616e64617264007f");
        assert_eq!(written(Form::UpperHex, part), "FBFFBEFACE5374616E64617264007F");
        assert_eq!(written(Form::Base64, part), "+/+++s5TdGFuZGFyZAB/");
        assert_eq!(written(Form::Base64After1, part), "v/vvrOU3RhbmRhcmQAf");
        assert_eq!(written(Form::Base64After2, part), "7/776zlN0YW5kYXJkAH");
        assert_eq!(written(Form::Url, part), written(Form::Base64, part).replace('+', "-").replace('/', "_"));
    }

    fn unfit(secret: &[u8]) -> Unfit {
        needles(&Key::new(&[1; 32]), secret).map(Iterator::count).unwrap_err()
    }

    #[test]
    fn what_is_short_or_plain_is_not_looked_for_and_it_is_told() {
        assert_eq!(unfit(b""), Unfit::Short(0));
        assert_eq!(unfit(b"fifteen letters"), Unfit::Short(15));
        assert_eq!(unfit(b"short line\nanother line\n"), Unfit::Short(12));
        assert_eq!(unfit(b"0000000000000000000"), Unfit::Plain(1));
        assert_eq!(std::format!("{}", Unfit::Short(3)), "expected at least 16 bytes in a line, found 3");
        assert_eq!(std::format!("{}", Unfit::Plain(3)), "expected at least 6 different bytes, found 3");
    }

    #[test]
    fn forms_that_are_the_same_are_looked_for_once() {
        let key = Key::new(&[1; 32]);
        let forms = |secret: &[u8]| -> Vec<u16> {
            needles(&key, secret).unwrap().map(|needle| needle.form).collect()
        };
        // No letter in hexadecimal, and no character in which the alphabets of base64 differ.
        assert_eq!(forms(b"0123456789012345"), [0, 1, 3, 4, 5]);
        assert_eq!(forms(b"\xfb\xff\xbf\xfb\xff\xbfabcdefghijklmn").len(), 9);
    }

    #[test]
    fn a_key_file_is_known_by_its_middle() {
        let secret = b"-----BEGIN PRIVATE KEY-----\n\
            AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n\
            BBBBBBBBBBBBBBBBthe middle one, and 32 bytes longBBBBBBBBBBBBBBB\n\
            CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC\n\
            D=\n-----END PRIVATE KEY-----\n";
        assert_eq!(part(secret), b"the middle one, and 32 bytes lon");
    }
}
