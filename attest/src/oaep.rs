//! RSA keys of enclaves that were written for AWS KMS: which of them a secret may be sealed to.
//!
//! Such an enclave draws an RSA key, has its security module sign it as the document's own `public_key`, and opens what is
//! wrapped for it by RSAES-OAEP with SHA-256. Our transcript covers this key as it does any other, with its kind; beyond
//! that it has to stand in the document, so that the kind is no way round HPKE for machines that have no such field.
//! Its form is one spelling of `SubjectPublicKeyInfo` (RFC 5280, 4.1.2.7; RFC 3279, 2.3.1), and its numbers are sane.
//!
//! Trusted: the claims. Untrusted: the key, of which an enclave that measures well may still have made a poor one.

use crate::bytes::{Malformed, Reader};
use crate::check::Checks;
use crate::nitro::Attached;
use crate::x509::der::{BIT_STRING, INTEGER, SEQUENCE, content, expect};
use crate::{Claims, Kem, OfferedKey};

/// The numbers of an RSA public key, big-endian, without leading zeros.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RsaKey<'a> {
    /// The modulus.
    pub modulus: &'a [u8],
    /// The public exponent.
    pub exponent: &'a [u8],
}

impl<'a> RsaKey<'a> {
    /// Reads exactly one `SubjectPublicKeyInfo` of `rsaEncryption`, DER.
    pub fn parse(spki: &'a [u8]) -> Result<Self, Malformed> {
        let mut info = Reader::new(content(SEQUENCE, spki)?);
        let algorithm = expect(SEQUENCE, &mut info)?;
        if algorithm != RSA_ENCRYPTION {
            let found = hex::encode(algorithm.get(..32).unwrap_or(algorithm));
            return Err(odd("algorithm of a public key", "rsaEncryption with NULL", found));
        }
        let bits = expect(BIT_STRING, &mut info)?;
        info.finish()?;
        let Some((0, key)) = bits.split_first() else {
            return Err(odd(
                "public key",
                "a whole number of bytes",
                hex::encode(bits.get(..1).unwrap_or(&[])),
            ));
        };
        let mut numbers = Reader::new(content(SEQUENCE, key)?);
        let modulus = positive(expect(INTEGER, &mut numbers)?)?;
        let exponent = positive(expect(INTEGER, &mut numbers)?)?;
        numbers.finish()?;
        Ok(Self { modulus, exponent })
    }

    /// The length of the modulus in bits.
    #[must_use]
    pub fn bits(&self) -> usize {
        let unused = self.modulus.first().map_or(0, |first| first.leading_zeros());
        let unused = usize::try_from(unused).unwrap_or(0);
        self.modulus.len().saturating_mul(8).saturating_sub(unused)
    }

    fn ask(&self, checks: &mut Checks) {
        let (bits, odd) = (self.bits(), is_odd(self.modulus));
        let expected = format!("an odd number of {LEAST_BITS} to {MOST_BITS} bits");
        let found = format!("{} number of {bits} bits", if odd { "an odd" } else { "an even" });
        checks.ask("key.rsa.modulus", odd && (LEAST_BITS..=MOST_BITS).contains(&bits), expected, found);
        let exponent = small(self.exponent);
        let good =
            exponent.is_some_and(|e| is_odd(self.exponent) && (LEAST_EXPONENT..=MOST_EXPONENT).contains(&e));
        let expected = format!("an odd number from {LEAST_EXPONENT} to {MOST_EXPONENT}");
        let found =
            exponent.map_or_else(|| format!("a number of {} bytes", self.exponent.len()), |e| e.to_string());
        checks.ask("key.rsa.exponent", good, expected, found);
    }
}

/// Whether a key of this kind may be bound by these claims: an RSA key, only by the document that it stands in.
pub(crate) fn carried(claims: &Claims, offered: &OfferedKey) -> bool {
    offered.kem != Kem::RsaOaepSha256 || in_document(claims) == Some(offered.public.as_slice())
}

/// Asks where an RSA key comes from. Of other kinds nothing is asked.
pub(crate) fn ask_origin(claims: &Claims, offered: &OfferedKey, checks: &mut Checks) {
    if offered.kem != Kem::RsaOaepSha256 {
        return;
    }
    let Claims::Nitro(nitro) = claims else {
        let found = claims.platform().name();
        checks.ask("key.rsa.platform", false, "a platform whose documents have a field for it", found);
        return;
    };
    let platform = claims.platform().name();
    checks.ask("key.rsa.platform", true, "a platform whose documents have a field for it", platform);
    let found = match &nitro.document.public_key {
        Attached::Bytes(bytes) if *bytes == offered.public => "this key",
        Attached::Bytes(_) => "another key",
        Attached::Absent | Attached::Null => "no key",
    };
    let expected = "the offered key in the document's own public_key";
    checks.ask("key.rsa.document", carried(claims, offered), expected, found);
}

/// Asks whether an RSA key can be sealed to. Of other kinds nothing is asked.
pub(crate) fn ask_form(key: &OfferedKey, checks: &mut Checks) {
    if key.kem != Kem::RsaOaepSha256 {
        return;
    }
    let parsed = RsaKey::parse(&key.public);
    let found = parsed.as_ref().err().map_or_else(|| "one".to_owned(), Malformed::to_string);
    let expected = "one SubjectPublicKeyInfo of rsaEncryption in DER, and nothing behind it";
    checks.ask("key.rsa.encoding", parsed.is_ok(), expected, found);
    if let Ok(numbers) = parsed {
        numbers.ask(checks);
    }
}

fn in_document(claims: &Claims) -> Option<&[u8]> {
    match claims {
        Claims::Nitro(claims) => match &claims.document.public_key {
            Attached::Bytes(bytes) => Some(bytes),
            Attached::Absent | Attached::Null => None,
        },
        Claims::Snp(_) | Claims::Tpm(_) | Claims::Tdx(_) | Claims::Azure(_) => None,
    }
}

/// The digits of a positive INTEGER in its shortest form (X.690, 8.3.2).
fn positive(content: &[u8]) -> Result<&[u8], Malformed> {
    match content {
        [0, digits @ ..] if digits.first().is_some_and(|first| *first >= 0x80) => Ok(digits),
        [0x01..=0x7f, ..] => Ok(content),
        other => {
            let found = hex::encode(other.get(..8).unwrap_or(other));
            Err(odd("number of a public key", "a positive integer in its shortest form", found))
        }
    }
}

fn small(digits: &[u8]) -> Option<u64> {
    let mut bytes = [0; 8];
    bytes.get_mut(8_usize.checked_sub(digits.len())?..)?.copy_from_slice(digits);
    Some(u64::from_be_bytes(bytes))
}

fn is_odd(digits: &[u8]) -> bool {
    digits.last().is_some_and(|last| last & 1 == 1)
}

fn odd(what: &'static str, expected: &'static str, found: String) -> Malformed {
    Malformed::Value { what, expected, found }
}

/// `rsaEncryption` with the NULL that RFC 3279, 2.3.1 asks for.
const RSA_ENCRYPTION: &[u8] = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
/// AWS asks for 2048; its SDK also draws 3072 and 4096.
const LEAST_BITS: usize = 2048;
const MOST_BITS: usize = 4096;
/// FIPS 186-5, 5.4: more than 2^16.
const LEAST_EXPONENT: u64 = 65_537;
/// What cryptographic libraries take: 33 bits. A longer one only costs work.
const MOST_EXPONENT: u64 = 0x1_ffff_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    fn spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
        let numbers = tlv(SEQUENCE, &[tlv(INTEGER, modulus), tlv(INTEGER, exponent)].concat());
        let bits = tlv(BIT_STRING, &[&[0], numbers.as_slice()].concat());
        tlv(SEQUENCE, &[tlv(SEQUENCE, RSA_ENCRYPTION), bits].concat())
    }

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap();
        let [high, low] = length.to_be_bytes();
        let length = match length {
            0..=0x7f => vec![low],
            0x80..=0xff => vec![0x81, low],
            _ => vec![0x82, high, low],
        };
        [&[tag], length.as_slice(), content].concat()
    }

    #[test]
    fn a_key_has_one_spelling() {
        let modulus = [&[0, 0xc0], [1; 255].as_slice()].concat();
        let good = spki(&modulus, &[1, 0, 1]);
        let key = RsaKey::parse(&good).unwrap();
        assert_eq!((key.bits(), key.modulus, key.exponent), (2048, &modulus[1..], [1, 0, 1].as_slice()));
        for cut in 0..good.len() {
            assert!(RsaKey::parse(&good[..cut]).is_err(), "{cut}");
        }
        let trailing = [good.as_slice(), &[0]].concat();
        assert_eq!(RsaKey::parse(&trailing), Err(Malformed::Trailing { extra: 1 }));
        for (modulus, exponent) in [
            (&modulus[..], &[0, 1, 0, 1][..]),
            (&modulus[1..], &[1, 0, 1]),
            (&[&[0], modulus.as_slice()].concat(), &[1, 0, 1]),
            (&modulus, &[]),
            (&[0], &[1, 0, 1]),
        ] {
            let error = RsaKey::parse(&spki(modulus, exponent)).unwrap_err();
            assert!(matches!(error, Malformed::Value { what: "number of a public key", .. }), "{error}");
        }
    }

    #[test]
    fn a_key_of_another_algorithm_is_none() {
        let mut other = spki(&[1; 256], &[3]);
        let place = other.windows(RSA_ENCRYPTION.len()).position(|part| part == RSA_ENCRYPTION).unwrap();
        // id-RSAES-OAEP.
        other[place + 10] = 7;
        let error = RsaKey::parse(&other).unwrap_err();
        assert!(matches!(error, Malformed::Value { what: "algorithm of a public key", .. }), "{error}");
    }

    #[test]
    fn the_length_is_counted_in_bits() {
        for (first, bits) in [(0x01, 2041), (0x02, 2042), (0x7f, 2047)] {
            let modulus = [&[first], [1; 255].as_slice()].concat();
            assert_eq!(RsaKey { modulus: &modulus, exponent: &[3] }.bits(), bits);
        }
    }
}
