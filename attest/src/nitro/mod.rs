//! Documents of the AWS Nitro security module: enclaves and NitroTPM.
//!
//! Not judged yet: [`Document::parse`] refuses everything.

use std::borrow::Cow;

use crate::bytes::Malformed;
use crate::{CannotJudge, Claims as AnyClaims, Crypto, Endorsements, Platform, Revocation, TrustAnchors};
use crate::{UnixTime, Unverified, Verified, Window};

/// Parsed evidence.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    bytes: &'a [u8],
    platform: Platform,
}

impl<'a> Document<'a> {
    /// Checks the shape.
    pub fn parse(platform: Platform, bytes: &'a [u8]) -> Result<Self, Malformed> {
        let found = Self { bytes, platform: platform }.platform.name().to_owned();
        Err(Malformed::Value { what: "platform", expected: "one that this version judges", found })
    }

    /// The evidence as it was received.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) fn platform(&self) -> Platform {
        self.platform
    }

    pub(crate) fn endorsement_id(&self) -> Vec<u8> {
        self.bytes.to_vec()
    }
}

/// A verified path to a leaf certificate.
#[derive(Clone, Debug)]
pub struct Chain {
    window: Window,
}

impl Chain {
    pub(crate) fn window(&self) -> Window {
        self.window
    }
}

/// What genuine evidence says.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Claims {
    platform: Platform,
    window: Window,
}

impl Claims {
    pub(crate) fn platform(&self) -> Platform {
        self.platform
    }

    pub(crate) fn caller_data(&self) -> &[u8] {
        &[]
    }

    /// Whether the document's own fields fit the transcript, beyond [`Claims::caller_data`].
    pub(crate) fn fits(&self, _transcript: &crate::Transcript<'_>) -> bool {
        false
    }

    pub(crate) fn hardware_id(&self) -> Option<Cow<'_, [u8]>> {
        None
    }

    pub(crate) fn measurement(&self) -> String {
        String::new()
    }

    pub(crate) fn window(&self) -> Window {
        self.window
    }
}

pub(crate) fn prepare(
    evidence: &Document<'_>,
    _endorsements: &Endorsements,
    _crypto: &dyn Crypto,
    _anchors: &TrustAnchors,
    _revocation: Revocation,
    _now: UnixTime,
) -> Result<Chain, Unverified> {
    Err(CannotJudge::WrongEndorsements { platform: evidence.platform() }.into())
}

pub(crate) fn verify(
    evidence: &Document<'_>,
    _crypto: &dyn Crypto,
    _prepared: &Chain,
    _now: UnixTime,
) -> Result<Verified<AnyClaims>, Unverified> {
    Err(CannotJudge::WrongEndorsements { platform: evidence.platform() }.into())
}

/// The pinned roots, DER.
pub(crate) fn vendor_roots() -> Vec<Cow<'static, [u8]>> {
    Vec::new()
}
