//! Evidence: bytes that a machine sent, parsed but not believed.
//!
//! [`Evidence::parse`] checks the shape and nothing else; [`Evidence::verify`] turns it into
//! [`Verified`] claims with endorsements that were verified before ([`crate::Endorsements::prepare`]).
//! The bytes that were signed stay a slice of the input; nothing is re-encoded.
//!
//! Untrusted: everything here, until it comes out of `verify`.

use crate::bytes::Malformed;
use crate::{CannotJudge, Claims, Crypto, Prepared, UnixTime, Unverified, Verified, snp, tpm};

/// The hardware that speaks.
#[derive(
    Clone,
    Copy,
    Debug,
    Eq,
    Hash,
    PartialEq,
    Ord,
    PartialOrd,
    minicbor::Encode,
    minicbor::Decode,
    serde::Serialize,
    serde::Deserialize,
)]
#[cbor(index_only)]
#[non_exhaustive]
pub enum Platform {
    /// AMD SEV-SNP: a report of 1184 bytes signed by a VCEK or VLEK.
    #[n(1)]
    #[serde(rename = "sev-snp")]
    SevSnp,
    /// A TPM 2.0 quote signed by an enrolled attestation key.
    #[n(2)]
    #[serde(rename = "tpm2")]
    Tpm2,
}

impl Platform {
    /// The name in messages, policies and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SevSnp => "sev-snp",
            Self::Tpm2 => "tpm2",
        }
    }

    /// The platform with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::SevSnp, Self::Tpm2].into_iter().find(|platform| platform.name() == name)
    }

    /// Which platform's evidence these bytes look like. A guess for people at a terminal: the release
    /// path is told the platform and never guesses.
    #[must_use]
    pub fn recognise(bytes: &[u8]) -> Option<Self> {
        if tpm::looks_like_evidence(bytes) {
            Some(Self::Tpm2)
        } else if bytes.len() == snp::Report::LEN {
            Some(Self::SevSnp)
        } else {
            None
        }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Parsed evidence. Reading a value from it is reading what somebody claims.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[expect(
    clippy::large_enum_variant,
    reason = "one value per request, on its stack; the warm path allocates less"
)]
pub enum Evidence<'a> {
    /// An SNP attestation report.
    Snp(snp::Report<'a>),
    /// A TPM quote with the AK's public area and the PCR values it covers.
    Tpm(tpm::Quote<'a>),
}

impl<'a> Evidence<'a> {
    /// Checks the shape of the bytes.
    pub fn parse(platform: Platform, bytes: &'a [u8]) -> Result<Self, Malformed> {
        match platform {
            Platform::SevSnp => snp::Report::parse(bytes).map(Self::Snp),
            Platform::Tpm2 => tpm::Quote::parse(bytes).map(Self::Tpm),
        }
    }

    /// The hardware that claims to speak.
    #[must_use]
    pub fn platform(&self) -> Platform {
        match self {
            Self::Snp(_) => Platform::SevSnp,
            Self::Tpm(_) => Platform::Tpm2,
        }
    }

    /// The bytes as they were received.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Snp(report) => report.bytes(),
            Self::Tpm(quote) => quote.bytes(),
        }
    }

    /// Which endorsement this evidence asks for: the same for all evidence of one chip at one TCB, or of
    /// one attestation key. A cache of [`Prepared`] endorsements may use it as part of its key.
    #[must_use]
    pub fn endorsement_id(&self) -> Vec<u8> {
        match self {
            Self::Snp(report) => report.endorsement_id(),
            Self::Tpm(quote) => quote.ak_public().to_vec(),
        }
    }

    /// Checks the hardware's signature and everything that holds whatever the policy.
    pub fn verify(
        &self,
        crypto: &dyn Crypto,
        prepared: &Prepared,
        now: UnixTime,
    ) -> Result<Verified<Claims>, Unverified> {
        match (self, prepared) {
            (Self::Snp(report), Prepared::Snp(vek)) => snp::verify(report, crypto, vek, now),
            (Self::Tpm(quote), Prepared::Tpm(ak)) => tpm::verify(quote, crypto, ak),
            (Self::Snp(_), Prepared::Tpm(_)) | (Self::Tpm(_), Prepared::Snp(_)) => {
                let platform = self.platform();
                Err(CannotJudge::WrongEndorsements { platform }.into())
            }
        }
    }
}
