//! Azure confidential virtual machines: TPM quote, runtime data, hardware report.
//!
//! Not judged yet: [`Composite::parse`] refuses everything.

use std::borrow::Cow;

use crate::bytes::Malformed;
use crate::{CannotJudge, Claims as AnyClaims, Crypto, Endorsements, Platform, Revocation, TrustAnchors};
use crate::{UnixTime, Unverified, Verified, Window};

/// Parsed evidence.
#[derive(Clone, Debug)]
pub struct Composite<'a> {
    bytes: &'a [u8],
    platform: Platform,
}

impl<'a> Composite<'a> {
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

/// The verified key behind the hardware report.
#[derive(Clone, Debug)]
pub struct Links {
    window: Window,
}

impl Links {
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
    evidence: &Composite<'_>,
    _endorsements: &Endorsements,
    _crypto: &dyn Crypto,
    _anchors: &TrustAnchors,
    _revocation: Revocation,
    _now: UnixTime,
) -> Result<Links, Unverified> {
    Err(CannotJudge::WrongEndorsements { platform: evidence.platform() }.into())
}

pub(crate) fn verify(
    evidence: &Composite<'_>,
    _crypto: &dyn Crypto,
    _prepared: &Links,
    _now: UnixTime,
) -> Result<Verified<AnyClaims>, Unverified> {
    Err(CannotJudge::WrongEndorsements { platform: evidence.platform() }.into())
}
