//! Attestation keys and signatures in TPM form, made of what a set has.
//!
//! Many sources keep an AK as a PEM key and a signature as bare RSA bytes. The key becomes the public area of
//! a restricted signing key that signs as the quote was signed, and the signature gets its header.

use anyhow::{Context as _, Result, bail};
use attest::Crypto;
use attest::tpm::Name;

use crate::files;

/// A public area, and whether the manifest vouches for it.
#[derive(Debug)]
pub(crate) struct Ak {
    /// `TPMT_PUBLIC`.
    pub(crate) area: Vec<u8>,
    known: bool,
}

/// What a manifest says about a signature without a header.
#[derive(Debug)]
pub(crate) struct RawScheme<'m> {
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

    /// From a PEM `SubjectPublicKeyInfo`.
    pub(crate) fn from_pem(pem: &[u8], signature: &[u8]) -> Result<Self> {
        let spki = files::der(pem).into_iter().next().context("an empty PEM file")?;
        let parts = children(one(0x30, &spki)?)?;
        let [_algorithm, (0x03, [0, key @ ..])] = parts.as_slice() else { bail!("no SubjectPublicKeyInfo") };
        let area = if key.first() == Some(&0x30) { rsa(key, signature)? } else { ecc(key, signature)? };
        Ok(Self { area, known: true })
    }

    /// A key that nobody enrolled, where the set has none.
    pub(crate) fn placeholder(signature: &[u8]) -> Self {
        Self { area: rsa_area(&[0xff; 256], signature), known: false }
    }

    /// The name to enrol, if the manifest vouches for the key.
    pub(crate) fn enrolled(&self, crypto: &dyn Crypto) -> Result<Option<Name>> {
        let algorithm = self.area.get(2..4).filter(|_| self.known);
        let Some(algorithm) = algorithm else { return Ok(None) };
        let digest = match algorithm {
            [0, 0x04] => crypto.sha1(&[&self.area]).0.to_vec(),
            [0, 0x0c] => crypto.sha384(&[&self.area]).0.to_vec(),
            [0, 0x0d] => crypto.sha512(&[&self.area]).0.to_vec(),
            _ => crypto.sha256(&[&self.area]).0.to_vec(),
        };
        Ok(Some(Name::from_bytes(&[algorithm, &digest].concat())?))
    }
}

/// A `TPMT_SIGNATURE`: the bytes as they are, or with the header that raw ones lack.
pub(crate) fn signature(bytes: &[u8], raw: &RawScheme<'_>) -> Vec<u8> {
    let has_header = matches!(bytes, [0, 0x14 | 0x16 | 0x18 | 0x1a, 0, 0x04 | 0x0b..=0x0d, ..]);
    if has_header {
        return bytes.to_vec();
    }
    let scheme: u16 = match raw.scheme {
        Some("rsapss") => RSAPSS,
        Some("ecdsa") => ECDSA,
        _ => RSASSA,
    };
    let hash: u16 = match raw.hash {
        Some("sha1") => 0x0004,
        Some("sha384") => 0x000c,
        Some("sha512") => 0x000d,
        _ => SHA256,
    };
    let head = [scheme.to_be_bytes(), hash.to_be_bytes()].concat();
    let halves = if scheme == ECDSA { bytes.split_at_checked(bytes.len() / 2) } else { None };
    match halves {
        Some((r, s)) => [head, sized(r), sized(s)].concat(),
        None => [head, sized(bytes)].concat(),
    }
}

fn rsa(key: &[u8], signature: &[u8]) -> Result<Vec<u8>> {
    let parts = children(one(0x30, key)?)?;
    let [(0x02, modulus), (0x02, [1, 0, 1])] = parts.as_slice() else {
        bail!("no RSA key with exponent 65537")
    };
    Ok(rsa_area(modulus.strip_prefix(&[0]).unwrap_or(modulus), signature))
}

fn rsa_area(modulus: &[u8], signature: &[u8]) -> Vec<u8> {
    let bits = u16::try_from(modulus.len().saturating_mul(8)).unwrap_or(u16::MAX);
    let head = [TYPE_RSA.to_be_bytes(), SHA256.to_be_bytes()].concat();
    [head, attributes(), scheme(signature), bits.to_be_bytes().to_vec(), vec![0; 4], sized(modulus)].concat()
}

fn ecc(point: &[u8], signature: &[u8]) -> Result<Vec<u8>> {
    let [0x04, coordinates @ ..] = point else { bail!("no uncompressed point") };
    let curve: u16 = match coordinates.len() {
        64 => 0x0003,
        96 => 0x0004,
        other => bail!("a point of {other} bytes"),
    };
    let (x, y) = coordinates.split_at_checked(coordinates.len() / 2).context("a cut point")?;
    let head = [TYPE_ECC.to_be_bytes(), SHA256.to_be_bytes()].concat();
    let curve = [curve.to_be_bytes(), NULL.to_be_bytes()].concat();
    Ok([head, attributes(), scheme(signature), curve, sized(x), sized(y)].concat())
}

/// fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, restricted, sign; and no policy.
fn attributes() -> Vec<u8> {
    [0x0005_0072_u32.to_be_bytes().to_vec(), vec![0, 0]].concat()
}

/// No symmetric algorithm, and the scheme and hash with which the quote was signed.
fn scheme(signature: &[u8]) -> Vec<u8> {
    let fallback = [RSASSA.to_be_bytes(), SHA256.to_be_bytes()].concat();
    [NULL.to_be_bytes().to_vec(), signature.get(..4).map_or(fallback, <[u8]>::to_vec)].concat()
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes(), bytes].concat()
}

/// The content of the one DER value that `bytes` are.
fn one(tag: u8, bytes: &[u8]) -> Result<&[u8]> {
    match children(bytes)?.as_slice() {
        [(found, content)] if *found == tag => Ok(content),
        _ => bail!("expected one DER value with tag {tag:#04x}"),
    }
}

/// The DER values in `bytes`: tag and content.
fn children(mut bytes: &[u8]) -> Result<Vec<(u8, &[u8])>> {
    let mut found = Vec::new();
    while let [tag, rest @ ..] = bytes {
        let (length, rest) = match rest {
            [short @ 0..=0x7f, rest @ ..] => (usize::from(*short), rest),
            [0x81, length, rest @ ..] => (usize::from(*length), rest),
            [0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            _ => bail!("a DER length that is not understood"),
        };
        let (content, rest) = rest.split_at_checked(length).context("cut DER")?;
        found.push((*tag, content));
        bytes = rest;
    }
    Ok(found)
}

// TPM 2.0 Part 2, clause 6.3.
const TYPE_RSA: u16 = 0x0001;
const TYPE_ECC: u16 = 0x0023;
const SHA256: u16 = 0x000b;
const NULL: u16 = 0x0010;
const RSASSA: u16 = 0x0014;
const RSAPSS: u16 = 0x0016;
const ECDSA: u16 = 0x0018;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_signature_gets_a_header_and_another_keeps_its_own() {
        let raw = RawScheme { scheme: None, hash: None };
        assert_eq!(signature(&[9; 256], &raw)[..6], [0, 0x14, 0, 0x0b, 1, 0]);
        let whole = [&[0, 0x14, 0, 0x04, 1, 0][..], &[9; 256]].concat();
        assert_eq!(signature(&whole, &raw), whole);
    }

    #[test]
    fn a_sized_public_area_loses_its_size() {
        assert_eq!(Ak::from_public(&[0, 2, 7, 8]).area, [7, 8]);
        assert_eq!(Ak::from_public(&[0, 1, 0, 11]).area, [0, 1, 0, 11]);
    }
}
