//! Intel TDX quotes.
//!
//! Not judged yet: [`Quote::parse`] refuses everything.

use std::borrow::Cow;

use crate::bytes::Malformed;
use crate::{CannotJudge, Claims as AnyClaims, Crypto, Endorsements, Platform, Revocation, TrustAnchors};
use crate::{UnixTime, Unverified, Verified, Window};

/// Parsed evidence.
#[derive(Clone, Debug)]
pub struct Quote<'a> {
    bytes: &'a [u8],
    platform: Platform,
}

impl<'a> Quote<'a> {
    /// Checks the shape.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let found = Self { bytes, platform: Platform::Tdx }.platform.name().to_owned();
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

/// A verified quoting enclave with its platform and collateral.
#[derive(Clone, Debug)]
pub struct Qe {
    window: Window,
}

impl Qe {
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
    evidence: &Quote<'_>,
    _endorsements: &Endorsements,
    _crypto: &dyn Crypto,
    _anchors: &TrustAnchors,
    _revocation: Revocation,
    _now: UnixTime,
) -> Result<Qe, Unverified> {
    Err(CannotJudge::WrongEndorsements { platform: evidence.platform() }.into())
}

pub(crate) fn verify(
    evidence: &Quote<'_>,
    _crypto: &dyn Crypto,
    _prepared: &Qe,
    _now: UnixTime,
) -> Result<Verified<AnyClaims>, Unverified> {
    Err(CannotJudge::WrongEndorsements { platform: evidence.platform() }.into())
}

/// The pinned roots, DER.
pub(crate) fn vendor_roots() -> Vec<Cow<'static, [u8]>> {
    Vec::new()
}
