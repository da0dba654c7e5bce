//! What stands around the signed part of a certificate or list.
//!
//! SIGNED { tbs, algorithm, signature } (RFC 5280, 4.1.1 and 5.1.1): the algorithm stands inside and outside of
//! what is signed, and must be the same. The parser compares what it understood of the two; here the bytes are
//! compared, so that a certificate has one spelling and nothing outside of the signed part can be changed. The
//! signature is whole bytes.
//!
//! Untrusted: every byte.

use super::der;
use crate::bytes::{Malformed, Reader};

/// Checks that both algorithms are the same bytes, and that the three parts are all there is.
pub(super) fn check(signed: &[u8]) -> Result<(), Malformed> {
    let mut outer = Reader::new(der::content(der::SEQUENCE, signed)?);
    let mut tbs = Reader::new(der::expect(der::SEQUENCE, &mut outer)?);
    let outside = der::expect(der::SEQUENCE, &mut outer)?;
    let signature = der::expect(BIT_STRING, &mut outer)?;
    outer.finish()?;
    // How many bits of the last byte do not count: a signature has none.
    if signature.first() != Some(&0) {
        return Err(odd("a signature that is no row of whole bytes"));
    }
    // The version and, in a certificate, the serial number stand before it.
    for _ in 0..3 {
        let (tag, inside) = der::next(&mut tbs)?;
        if tag == der::SEQUENCE {
            return if inside == outside { Ok(()) } else { Err(odd("another algorithm outside")) };
        }
    }
    Err(odd("no algorithm inside"))
}

fn odd(found: &str) -> Malformed {
    let expected = "the same algorithm inside and outside of the signed part, and whole bytes";
    Malformed::Value { what: "signature", expected, found: found.to_owned() }
}

const BIT_STRING: u8 = 0x03;

#[cfg(test)]
mod tests {
    use super::*;

    /// SEQUENCE { SEQUENCE { 1, 2, SEQUENCE { inside } }, SEQUENCE { outside }, BIT STRING }.
    fn signed(inside: [u8; 2], outside: [u8; 2]) -> Vec<u8> {
        let head = [0x30, 20, 0x30, 10, 2, 1, 1, 2, 1, 2, 0x30, 2];
        [&head[..], &inside, &[0x30, 2], &outside, &[3, 2, 0, 0]].concat()
    }

    #[test]
    fn the_algorithm_outside_is_the_one_inside() {
        assert_eq!(check(&signed([6, 0], [6, 0])), Ok(()));
        assert!(check(&signed([6, 0], [0x46, 0])).is_err());
        for unused in [1, 7] {
            let mut bits = signed([6, 0], [6, 0]);
            bits[20] = unused;
            assert!(check(&bits).is_err(), "{unused} bits that do not count");
        }
        let mut more = signed([6, 0], [6, 0]);
        more[1] += 2;
        more.extend([5, 0]);
        assert!(check(&more).is_err(), "a fourth part");
    }
}
