//! Attestation keys and signatures in TPM form, made of what a set has.
//!
//! Many sources keep an AK as a PEM key and a signature as bare RSA bytes. The key becomes the public area of
//! a restricted signing key that signs as the quote was signed, and the signature gets its header.

use anyhow::{Context as _, Result, bail};
use attest::Crypto;
use attest::crypto::Hash;
use attest::tpm::{Name, SigningScheme, usual_public_area};

use crate::files;

/// A public area, and whether the manifest vouches for it.
#[derive(Debug)]
pub(crate) struct Ak {
    /// `TPMT_PUBLIC`.
    pub(crate) area: Vec<u8>,
    known: bool,
}

/// What a manifest says about a signature without a header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stated<'m> {
    pub(crate) scheme: Option<&'m str>,
    pub(crate) hash: Option<&'m str>,
}

impl Ak {
    /// From a `TPMT_PUBLIC` or a `TPM2B_PUBLIC`.
    pub(crate) fn from_public(public: &[u8]) -> Self {
        let sized = public.split_first_chunk::<2>();
        let inner = sized.filter(|(size, rest)| usize::from(u16::from_be_bytes(**size)) == rest.len());
        Self { area: inner.map_or(public, |(_, rest)| rest).to_vec(), known: true }
    }

    /// From a PEM `SubjectPublicKeyInfo`, for a key that signs as this `TPMT_SIGNATURE` was made.
    pub(crate) fn from_pem(pem: &[u8], signature: &[u8]) -> Result<Self> {
        let spki = files::der(pem).into_iter().next().context("an empty PEM file")?;
        let (scheme, hash) = header(signature)?;
        Ok(Self { area: usual_public_area(&spki, scheme, hash)?, known: true })
    }

    /// From the modulus of an RSA key of 2048 bits with the usual exponent, for RSASSA with SHA-256.
    pub(crate) fn from_modulus(modulus: &[u8]) -> Self {
        let area = [&RSASSA_HEAD[..], &[0x08, 0x00, 0, 0, 0, 0], &sized(modulus)].concat();
        Self { area, known: true }
    }

    /// As the paravisor of Azure makes it: without protection against dictionary attacks (noDA).
    pub(crate) fn of_azure(mut self) -> Self {
        if let Some(byte) = self.area.get_mut(6) {
            *byte |= 0x04;
        }
        self
    }

    /// A key that nobody enrolled, where the set has none: what is missing is then named by the verifier.
    pub(crate) fn placeholder() -> Self {
        Self { known: false, ..Self::from_modulus(&[0xff; 256]) }
    }

    /// The name to enrol, if the manifest vouches for the key.
    pub(crate) fn enrolled(&self, crypto: &dyn Crypto) -> Result<Option<Name>> {
        let name = self.known.then(|| Name::of_public(crypto, &self.area));
        Ok(name.transpose()?)
    }
}

/// A `TPMT_SIGNATURE`: the bytes as they are, or with the header that bare ones lack.
pub(crate) fn signature(bytes: &[u8], stated: Stated<'_>) -> Vec<u8> {
    if header(bytes).is_ok() {
        return bytes.to_vec();
    }
    let hash: u16 = match stated.hash {
        Some("sha1") => 0x0004,
        Some("sha384") => 0x000c,
        Some("sha512") => 0x000d,
        _ => 0x000b,
    };
    let (scheme, numbers) = match (stated.scheme, bytes) {
        (_, [0x30, _, ..]) if bytes.len() < SHORTEST_RSA => (0x0018_u16, integers(bytes)),
        (_, bytes) if bytes.len() < SHORTEST_RSA => (0x0018, halves(bytes)),
        (Some("rsapss"), bytes) => (0x0016, vec![bytes]),
        (_, bytes) => (0x0014, vec![bytes]),
    };
    let head = [scheme.to_be_bytes(), hash.to_be_bytes()].concat();
    numbers.into_iter().fold(head, |signature, number| [signature, sized(number)].concat())
}

/// Scheme and hash of a `TPMT_SIGNATURE` (TPM 2.0 Part 2, clause 11.3.4).
fn header(signature: &[u8]) -> Result<(SigningScheme, Hash)> {
    let [0, scheme, 0, hash, ..] = signature else { bail!("a signature without a header") };
    let scheme = match scheme {
        0x14 => SigningScheme::RsaSsa,
        0x16 => SigningScheme::RsaPss,
        0x18 => SigningScheme::Ecdsa,
        other => bail!("signature scheme {other:#04x}"),
    };
    let hash = match hash {
        0x04 => Hash::Sha1,
        0x0b => Hash::Sha256,
        0x0c => Hash::Sha384,
        0x0d => Hash::Sha512,
        other => bail!("signature hash {other:#04x}"),
    };
    Ok((scheme, hash))
}

/// r and s, one after the other.
fn halves(bytes: &[u8]) -> Vec<&[u8]> {
    let (r, s) = bytes.split_at(bytes.len() / 2);
    vec![r, s]
}

/// r and s of `SEQUENCE { INTEGER, INTEGER }`, as short as DER writes them below 128 bytes.
fn integers(der: &[u8]) -> Vec<&[u8]> {
    let mut numbers = Vec::new();
    let mut rest = der.get(2..).unwrap_or_default();
    while let [0x02, length, tail @ ..] = rest {
        let Some((number, tail)) = tail.split_at_checked(usize::from(*length)) else { break };
        numbers.push(number.strip_prefix(&[0]).unwrap_or(number));
        rest = tail;
    }
    numbers
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes(), bytes].concat()
}

/// RSA, SHA-256, the usual attributes, no policy, no symmetric algorithm, RSASSA with SHA-256.
const RSASSA_HEAD: [u8; 16] =
    [0x00, 0x01, 0x00, 0x0b, 0x00, 0x05, 0x00, 0x72, 0, 0, 0x00, 0x10, 0x00, 0x14, 0x00, 0x0b];
/// Shorter signatures are those of curves.
const SHORTEST_RSA: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_signature_gets_a_header_and_another_keeps_its_own() {
        let stated = Stated { scheme: None, hash: None };
        assert_eq!(signature(&[9; 256], stated)[..6], [0, 0x14, 0, 0x0b, 1, 0]);
        let whole = [&[0, 0x14, 0, 0x04, 1, 0][..], &[9; 256]].concat();
        assert_eq!(signature(&whole, stated), whole);
    }

    #[test]
    fn both_bare_forms_of_a_curve_signature_are_read() {
        let stated = Stated { scheme: None, hash: None };
        let expected = [&[0, 0x18, 0, 0x0b, 0, 32][..], &[0x81; 32], &[0, 32], &[7; 32]].concat();
        assert_eq!(signature(&[[0x81; 32], [7; 32]].concat(), stated), expected);
        let der = [&[0x30, 0x45, 2, 33, 0][..], &[0x81; 32], &[2, 32], &[7; 32]].concat();
        assert_eq!(signature(&der, stated), expected);
    }

    #[test]
    fn a_sized_public_area_loses_its_size() {
        assert_eq!(Ak::from_public(&[0, 2, 7, 8]).area, [7, 8]);
        assert_eq!(Ak::from_public(&[0, 1, 0, 11]).area, [0, 1, 0, 11]);
    }

    #[test]
    fn the_placeholder_is_a_public_area_that_nobody_enrolled() {
        let placeholder = Ak::placeholder();
        assert!(placeholder.enrolled(&attest::crypto::AwsLcRs).unwrap().is_none());
        assert!(Name::of_public(&attest::crypto::AwsLcRs, &placeholder.area).is_ok());
    }
}
