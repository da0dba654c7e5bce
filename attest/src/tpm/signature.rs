//! `TPMT_SIGNATURE`: algorithm, hash, and the numbers.
//!
//! TPM 2.0 Part 2, clause 11.3.4. Untrusted: everything here.

use super::algorithm::{self, SigningScheme};
use crate::bytes::{Malformed, Reader};
use crate::crypto::{Crypto, Hash, PublicKey, Scheme};

/// A signature that a TPM made.
#[derive(Clone, Debug)]
pub(super) struct Signature<'a> {
    pub(super) scheme: SigningScheme,
    pub(super) hash: Hash,
    numbers: Numbers<'a>,
}

#[derive(Clone, Debug)]
enum Numbers<'a> {
    Rsa(&'a [u8]),
    Ec { r: &'a [u8], s: &'a [u8] },
}

impl<'a> Signature<'a> {
    pub(super) fn parse(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let id = reader.u16_be()?;
        let unknown = || algorithm::unknown("signature algorithm", "rsassa, rsapss or ecdsa", id);
        let scheme = SigningScheme::of(id).ok_or_else(unknown)?;
        let hash = algorithm::known_hash("signature hash", reader.u16_be()?)?;
        let numbers = match scheme {
            SigningScheme::RsaSsa | SigningScheme::RsaPss => Numbers::Rsa(reader.tpm2b()?),
            SigningScheme::Ecdsa => Numbers::Ec { r: reader.tpm2b()?, s: reader.tpm2b()? },
        };
        Ok(Self { scheme, hash, numbers })
    }

    /// Whether `key` made this signature over `message`.
    pub(super) fn verifies(&self, crypto: &dyn Crypto, key: &PublicKey, message: &[u8]) -> bool {
        let schemes = schemes(self.scheme, self.hash, key);
        let Some(bytes) = self.bytes(key) else { return false };
        schemes.into_iter().any(|scheme| crypto.verify(scheme, key, message, &bytes).is_ok())
    }

    /// The signature as the crypto providers take it: RSA as it is, ECDSA as r ‖ s in the curve's size.
    fn bytes(&self, key: &PublicKey) -> Option<Vec<u8>> {
        match &self.numbers {
            Numbers::Rsa(number) => Some(number.to_vec()),
            Numbers::Ec { r, s } => {
                let size = coordinate_len(key)?;
                Some([padded(r, size)?, padded(s, size)?].concat())
            }
        }
    }
}

/// The algorithms under which such a signature may verify with such a key: none if they do not fit. PSS has
/// two, because a TPM's salt is as long as the hash (FIPS 186) or as long as fits (Part 1, annex B.7).
pub(super) fn schemes(scheme: SigningScheme, hash: Hash, key: &PublicKey) -> Vec<Scheme> {
    match (scheme, hash, key) {
        (SigningScheme::RsaSsa, hash, PublicKey::Rsa { .. }) => vec![Scheme::RsaPkcs1(hash)],
        (SigningScheme::RsaPss, hash, PublicKey::Rsa { .. }) => {
            vec![Scheme::RsaPss(hash), Scheme::RsaPssLongestSalt(hash)]
        }
        (SigningScheme::Ecdsa, Hash::Sha256, PublicKey::P256(_)) => vec![Scheme::EcdsaP256Sha256],
        (SigningScheme::Ecdsa, Hash::Sha384, PublicKey::P384(_)) => vec![Scheme::EcdsaP384Sha384],
        (SigningScheme::RsaSsa | SigningScheme::RsaPss | SigningScheme::Ecdsa, _, _) => Vec::new(),
    }
}

/// How long a coordinate of the key's curve is.
fn coordinate_len(key: &PublicKey) -> Option<usize> {
    match key {
        PublicKey::P256(_) => Some(32),
        PublicKey::P384(_) => Some(48),
        PublicKey::Rsa { .. } | PublicKey::Ed25519(_) => None,
    }
}

/// A number in exactly `size` bytes. TPMs may leave out leading zeros.
pub(super) fn padded(number: &[u8], size: usize) -> Option<Vec<u8>> {
    let number = significant(number);
    let mut bytes = vec![0; size.checked_sub(number.len())?];
    bytes.extend_from_slice(number);
    Some(bytes)
}

/// A number without its leading zeros.
pub(super) fn significant(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_number_is_padded_and_a_long_one_is_none() {
        assert_eq!(padded(&[1, 2], 4), Some(vec![0, 0, 1, 2]));
        assert_eq!(padded(&[0, 0, 1, 2], 2), Some(vec![1, 2]));
        assert_eq!(padded(&[1, 2, 3], 2), None);
    }

    #[test]
    fn an_anonymous_signature_is_refused_by_name() {
        let error = Signature::parse(&mut Reader::new(&[0, 0x1a, 0, 0x0b])).unwrap_err();
        assert!(matches!(&error, Malformed::Value { found, .. } if found == "0x001a"), "{error}");
    }
}
