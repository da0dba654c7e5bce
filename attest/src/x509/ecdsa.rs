//! ECDSA signatures as certificates carry them.
//!
//! X.509 writes SEQUENCE { INTEGER r, INTEGER s } (RFC 3279, 2.2.3); [`crate::Crypto`] takes r ‖ s of fixed
//! width. The encoding must be the shortest, so that a signature has one spelling.
//!
//! Untrusted: every byte.

use super::der;
use crate::bytes::Reader;

/// r ‖ s, `width` bytes each, big-endian; `None` where the encoding is not DER or a number does not fit.
pub(crate) fn fixed(signature: &[u8], width: usize) -> Option<Vec<u8>> {
    let mut reader = Reader::new(der::content(der::SEQUENCE, signature).ok()?);
    let mut out = Vec::with_capacity(width.checked_mul(2)?);
    for _ in 0..2 {
        let number = positive(der::expect(der::INTEGER, &mut reader).ok()?)?;
        out.extend(std::iter::repeat_n(0, width.checked_sub(number.len())?));
        out.extend_from_slice(number);
    }
    reader.finish().ok()?;
    Some(out)
}

/// The bytes of a positive INTEGER without the zero that only says that it is positive.
fn positive(content: &[u8]) -> Option<&[u8]> {
    match content {
        [0, rest @ ..] if rest.first().is_some_and(|byte| *byte >= 0x80) => Some(rest),
        [0x01..=0x7f, ..] => Some(content),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_numbers_are_padded_to_their_width() {
        assert_eq!(fixed(&[0x30, 7, 2, 2, 0, 0x80, 2, 1, 7], 2), Some(vec![0, 0x80, 0, 7]));
    }

    #[test]
    fn a_number_that_is_negative_zero_padded_or_too_long_is_none() {
        for number in [&[0x80][..], &[0], &[0, 1], &[1, 0, 0], &[]] {
            let length = u8::try_from(number.len()).unwrap();
            let der = [&[0x30, length + 5, 2, length][..], number, &[2, 1, 7]].concat();
            assert_eq!(fixed(&der, 2), None, "{number:?}");
        }
        assert_eq!(fixed(&[0x30, 6, 2, 1, 7, 2, 1, 7, 0], 2), None, "a byte follows");
        assert_eq!(fixed(&[0x30, 9, 2, 1, 7, 2, 1, 7, 2, 1, 7], 2), None, "a third number");
    }
}
