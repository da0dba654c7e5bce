//! `TPMT_PUBLIC`: the public area of a key.
//!
//! TPM 2.0 Part 2, clause 12.2.4. The name of the key is a hash of these bytes as they were received; nothing
//! is encoded anew. Any RSA or ECC key is read, so that a refusal can say why it is no attestation key.
//!
//! Untrusted: everything, until the name turns out to be an enrolled one.

use super::algorithm::{self, SigningScheme};
use super::signature::{padded, significant};
use crate::bytes::{Malformed, Reader};
use crate::crypto::{Hash, PublicKey};

/// A parsed public area.
#[derive(Clone, Debug)]
pub(super) struct Public {
    pub(super) name_algorithm: Hash,
    pub(super) attributes: Attributes,
    /// How the key signs; `None` if it is not bound to a signing scheme.
    pub(super) scheme: Option<(SigningScheme, Hash)>,
    /// How the key wraps others; `None` if it does not, or in a way that is not known.
    pub(super) symmetric: Option<Symmetric>,
    pub(super) key: PublicKey,
}

/// The symmetric algorithm of a key that wraps others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Symmetric {
    Aes128Cfb,
    Aes256Cfb,
}

impl Symmetric {
    #[cfg(feature = "rustcrypto")]
    pub(super) fn bits(self) -> u32 {
        match self {
            Self::Aes128Cfb => 128,
            Self::Aes256Cfb => 256,
        }
    }
}

/// `TPMA_OBJECT` (Part 2, clause 8.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Attributes(pub(super) u32);

impl Attributes {
    /// What makes a key an attestation key: it never leaves its TPM, the TPM drew it, and it signs only what
    /// the TPM made. Bits 1, 4, 5, 16 and 18.
    const REQUIRED: [(u32, &'static str); 5] = [
        (1 << 1, "fixedTPM"),
        (1 << 4, "fixedParent"),
        (1 << 5, "sensitiveDataOrigin"),
        (1 << 16, "restricted"),
        (Self::SIGN, "sign"),
    ];
    const SIGN: u32 = 1 << 18;
    const DECRYPT: u32 = 1 << 17;
    /// As `tpm2_createak` makes it: the required ones and userWithAuth (bit 6).
    pub(super) const USUAL: u32 = 0x0005_0072;

    /// What is wrong with the attributes of an endorsement key: it never leaves its TPM and only decrypts.
    pub(super) fn storage_faults(self) -> Vec<String> {
        let required = Self::REQUIRED.iter().filter(|(bit, _)| *bit != Self::SIGN).copied();
        let required = required.chain([(Self::DECRYPT, "decrypt")]);
        let mut faults: Vec<String> =
            required.filter(|(bit, _)| self.0 & bit == 0).map(|(_, name)| format!("no {name}")).collect();
        if self.0 & Self::SIGN != 0 {
            faults.push("sign".to_owned());
        }
        faults
    }

    /// What is wrong with the attributes of an attestation key.
    pub(super) fn faults(self) -> Vec<String> {
        let missing = Self::REQUIRED.iter().filter(|(bit, _)| self.0 & bit == 0);
        let mut faults: Vec<String> = missing.map(|(_, name)| format!("no {name}")).collect();
        if self.0 & Self::DECRYPT != 0 {
            faults.push("decrypt".to_owned());
        }
        faults
    }
}

impl Public {
    pub(super) fn parse(area: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(area);
        let kind = reader.u16_be()?;
        let name_algorithm = algorithm::known_hash("name algorithm", reader.u16_be()?)?;
        let attributes = Attributes(reader.u32_be()?);
        // The authPolicy is part of the name; nothing here depends on it.
        reader.tpm2b()?;
        let (symmetric, scheme, key) = match kind {
            algorithm::RSA => rsa(&mut reader)?,
            algorithm::ECC => ecc(&mut reader)?,
            other => return Err(algorithm::unknown("public key type", "RSA or ECC", other)),
        };
        reader.finish()?;
        Ok(Self { name_algorithm, attributes, scheme, symmetric, key })
    }
}

/// `TPMS_RSA_PARMS` and the modulus (Part 2, clauses 12.2.3.5 and 11.2.4.5).
fn rsa(reader: &mut Reader<'_>) -> Result<Read, Malformed> {
    let (symmetric, scheme) = (symmetric(reader)?, scheme(reader)?);
    let (bits, exponent) = (reader.u16_be()?, reader.u32_be()?);
    let modulus = reader.tpm2b()?;
    if modulus.len() != usize::from(bits / 8) {
        let (what, expected) = ("RSA modulus", usize::from(bits / 8));
        return Err(Malformed::Length { what, expected, found: modulus.len() });
    }
    // Zero stands for the default, 2^16 + 1.
    let exponent = if exponent == 0 { 65_537 } else { exponent };
    let (n, e) = (significant(modulus).to_vec(), significant(&exponent.to_be_bytes()).to_vec());
    Ok((symmetric, scheme, PublicKey::Rsa { n, e }))
}

/// `TPMS_ECC_PARMS` and the point (Part 2, clauses 12.2.3.6 and 11.2.5.2).
fn ecc(reader: &mut Reader<'_>) -> Result<Read, Malformed> {
    let (symmetric, scheme) = (symmetric(reader)?, scheme(reader)?);
    let curve = reader.u16_be()?;
    if reader.u16_be()? != algorithm::NULL {
        algorithm::known_hash("hash of the key derivation", reader.u16_be()?)?;
    }
    let (x, y) = (reader.tpm2b()?, reader.tpm2b()?);
    let key = match curve {
        0x0003 => point(x, y).map(PublicKey::P256),
        0x0004 => point(x, y).map(PublicKey::P384),
        other => return Err(algorithm::unknown("curve", "P-256 or P-384", other)),
    };
    let (what, expected) = ("coordinates", "at most as long as the curve's field");
    let long = || Malformed::Value { what, expected, found: format!("{} and {} bytes", x.len(), y.len()) };
    Ok((symmetric, scheme, key.ok_or_else(long)?))
}

type Read = (Option<Symmetric>, Option<(SigningScheme, Hash)>, PublicKey);

/// `TPMT_SYM_DEF_OBJECT` (Part 2, clause 11.1.7): algorithm, and unless that is NULL key bits and mode.
fn symmetric(reader: &mut Reader<'_>) -> Result<Option<Symmetric>, Malformed> {
    let id = reader.u16_be()?;
    if id == algorithm::NULL {
        return Ok(None);
    }
    Ok(match (id, reader.u16_be()?, reader.u16_be()?) {
        (algorithm::AES, 128, algorithm::CFB) => Some(Symmetric::Aes128Cfb),
        (algorithm::AES, 256, algorithm::CFB) => Some(Symmetric::Aes256Cfb),
        _ => None,
    })
}

/// `TPMT_RSA_SCHEME` or `TPMT_ECC_SCHEME` (Part 2, clauses 11.2.4.2 and 11.2.5.6).
fn scheme(reader: &mut Reader<'_>) -> Result<Option<(SigningScheme, Hash)>, Malformed> {
    let id = reader.u16_be()?;
    if id == algorithm::NULL || id == algorithm::RSAES {
        return Ok(None);
    }
    let hash = algorithm::known_hash("hash of the key's scheme", reader.u16_be()?)?;
    if id == algorithm::ECDAA {
        reader.take(2)?;
    }
    Ok(SigningScheme::of(id).map(|scheme| (scheme, hash)))
}

/// An uncompressed point.
fn point<const N: usize>(x: &[u8], y: &[u8]) -> Option<[u8; N]> {
    let size = N.checked_sub(1)?.checked_div(2)?;
    [vec![0x04], padded(x, size)?, padded(y, size)?].concat().try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attribute_of_an_attestation_key_is_asked_for() {
        let good = Attributes::USUAL;
        assert!(Attributes(good).faults().is_empty());
        for (bit, name) in Attributes::REQUIRED {
            assert_eq!(Attributes(good & !bit).faults(), [format!("no {name}")]);
        }
        assert_eq!(Attributes(good | Attributes::DECRYPT).faults(), ["decrypt"]);
    }

    #[test]
    fn a_keyed_hash_object_is_no_public_key() {
        let error = Public::parse(&[0, 8, 0, 0x0b, 0, 0, 0, 0, 0, 0]).unwrap_err();
        assert!(matches!(error, Malformed::Value { what: "public key type", .. }), "{error}");
    }
}
