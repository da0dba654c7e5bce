//! TPM 2.0 quotes.

use crate::bytes::Malformed;
use crate::{CannotJudge, Claims as AnyClaims, Crypto, TrustAnchors, Unverified, Verified};

/// A quote.
#[derive(Clone, Debug)]
pub struct Quote<'a> {
    bytes: &'a [u8],
}

/// The name of a TPM object: the algorithm and the digest of its public area.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Name(Vec<u8>);

impl Name {
    /// From the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CannotJudge> {
        Ok(Self(bytes.to_vec()))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// An enrolled key.
#[derive(Clone, Debug)]
pub struct Ak {}

/// What a genuine quote says.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Claims {
    /// The nonce.
    pub extra_data: Vec<u8>,
    /// The AK.
    #[serde(skip)]
    pub ak_name: Name,
    /// The digest.
    pub pcr_digest: Vec<u8>,
}

impl<'a> Quote<'a> {
    /// Checks the shape.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        Ok(Self { bytes })
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The AK.
    #[must_use]
    pub fn ak_public(&self) -> &'a [u8] {
        self.bytes
    }
}

pub(crate) fn looks_like_evidence(bytes: &[u8]) -> bool {
    bytes.get(2..6) == Some(&[0xff, 0x54, 0x43, 0x47])
}

pub(crate) fn prepare(_: &Quote<'_>, _: &dyn Crypto, _: &TrustAnchors) -> Result<Ak, Unverified> {
    Err(CannotJudge::TrustAnchor(String::new()).into())
}

pub(crate) fn verify(_: &Quote<'_>, _: &dyn Crypto, _: &Ak) -> Result<Verified<AnyClaims>, Unverified> {
    Err(CannotJudge::TrustAnchor(String::new()).into())
}
