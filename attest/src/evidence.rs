//! Evidence: bytes that a machine sent, parsed but not believed.
//!
//! [`Evidence::parse`] checks the shape and nothing else; [`Evidence::verify`] turns it into
//! [`Verified`] claims with endorsements that were verified before ([`crate::Endorsements::prepare`]).
//! The bytes that were signed stay a slice of the input; nothing is re-encoded.
//!
//! Untrusted: everything here, until it comes out of `verify`.

use crate::bytes::Malformed;
use crate::{CannotJudge, Claims, Crypto, Parcel, Part, Prepared, UnixTime, Unverified, Verified};
use crate::{azure, nitro, snp, tdx, tpm};

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
    /// Intel TDX: a TD quote signed by a quoting enclave.
    #[n(3)]
    #[serde(rename = "tdx")]
    Tdx,
    /// AWS Nitro Enclaves: a document of the Nitro security module.
    #[n(4)]
    #[serde(rename = "nitro")]
    Nitro,
    /// `NitroTPM`: the same kind of document, about the PCRs of an EC2 instance.
    #[n(5)]
    #[serde(rename = "nitro-tpm")]
    NitroTpm,
    /// Azure on SEV-SNP: a TPM quote whose key the paravisor's SNP report vouches for.
    #[n(6)]
    #[serde(rename = "azure-snp")]
    AzureSnp,
    /// Azure on TDX: a TPM quote whose key the TD's quote vouches for.
    #[n(7)]
    #[serde(rename = "azure-tdx")]
    AzureTdx,
}

impl Platform {
    /// A small number, the same as in records.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::SevSnp => 1,
            Self::Tpm2 => 2,
            Self::Tdx => 3,
            Self::Nitro => 4,
            Self::NitroTpm => 5,
            Self::AzureSnp => 6,
            Self::AzureTdx => 7,
        }
    }

    /// The name in messages, policies and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SevSnp => "sev-snp",
            Self::Tpm2 => "tpm2",
            Self::Tdx => "tdx",
            Self::Nitro => "nitro",
            Self::NitroTpm => "nitro-tpm",
            Self::AzureSnp => "azure-snp",
            Self::AzureTdx => "azure-tdx",
        }
    }

    /// The platform with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|platform| platform.name() == name)
    }

    /// Every platform that this version knows.
    pub const ALL: [Self; 7] =
        [Self::SevSnp, Self::Tpm2, Self::Tdx, Self::Nitro, Self::NitroTpm, Self::AzureSnp, Self::AzureTdx];

    /// Which platform's evidence these bytes look like. A guess for people at a terminal: the release
    /// path is told the platform and never guesses.
    #[must_use]
    pub fn recognise(bytes: &[u8]) -> Option<Self> {
        if Parcel::looks_like(bytes) {
            Self::of_parcel(&Parcel::parse(bytes).ok()?)
        } else if tpm::looks_like_evidence(bytes) {
            Some(Self::Tpm2)
        } else if bytes.len() == snp::Report::LEN {
            Some(Self::SevSnp)
        } else if tdx::Quote::looks_like(bytes) {
            Some(Self::Tdx)
        } else {
            nitro::Document::platform_of(bytes)
        }
    }

    /// Which platform's evidence a parcel with these parts looks like.
    fn of_parcel(parcel: &Parcel<'_>) -> Option<Self> {
        let has = |part| parcel.part(part).is_some();
        if has(Part::HclReport) {
            Some(if has(Part::TdQuote) { Self::AzureTdx } else { Self::AzureSnp })
        } else if has(Part::TdQuote) {
            Some(Self::Tdx)
        } else if has(Part::TpmQuote) {
            Some(Self::Tpm2)
        } else {
            has(Part::SnpReport).then_some(Self::SevSnp)
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
    /// A TD quote.
    Tdx(tdx::Quote<'a>),
    /// A document of a Nitro security module.
    Nitro(nitro::Document<'a>),
    /// The evidence of an Azure confidential virtual machine.
    Azure(azure::Composite<'a>),
}

impl<'a> Evidence<'a> {
    /// Checks the shape of the bytes.
    pub fn parse(platform: Platform, bytes: &'a [u8]) -> Result<Self, Malformed> {
        match platform {
            Platform::SevSnp => snp::Report::parse(bytes).map(Self::Snp),
            Platform::Tpm2 => tpm::Quote::parse(bytes).map(Self::Tpm),
            Platform::Tdx => tdx::Quote::parse(bytes).map(Self::Tdx),
            Platform::Nitro | Platform::NitroTpm => nitro::Document::parse(platform, bytes).map(Self::Nitro),
            Platform::AzureSnp | Platform::AzureTdx => {
                azure::Composite::parse(platform, bytes).map(Self::Azure)
            }
        }
    }

    /// The hardware that claims to speak.
    #[must_use]
    pub fn platform(&self) -> Platform {
        match self {
            Self::Snp(_) => Platform::SevSnp,
            Self::Tpm(_) => Platform::Tpm2,
            Self::Tdx(_) => Platform::Tdx,
            Self::Nitro(document) => document.platform(),
            Self::Azure(composite) => composite.platform(),
        }
    }

    /// The TPM quote in it, whose key an operator may have enrolled.
    #[must_use]
    pub fn tpm_quote(&self) -> Option<&tpm::Quote<'a>> {
        match self {
            Self::Tpm(quote) => Some(quote),
            Self::Snp(_) | Self::Tdx(_) | Self::Nitro(_) | Self::Azure(_) => None,
        }
    }

    /// The bytes as they were received.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Snp(report) => report.bytes(),
            Self::Tpm(quote) => quote.bytes(),
            Self::Tdx(quote) => quote.bytes(),
            Self::Nitro(document) => document.bytes(),
            Self::Azure(composite) => composite.bytes(),
        }
    }

    /// Which endorsement this evidence asks for: the same for all evidence of one chip at one TCB, or of
    /// one attestation key. A cache of [`Prepared`] endorsements may use it as part of its key.
    #[must_use]
    pub fn endorsement_id(&self) -> Vec<u8> {
        match self {
            Self::Snp(report) => report.endorsement_id(),
            Self::Tpm(quote) => quote.ak_public().to_vec(),
            Self::Tdx(quote) => quote.endorsement_id(),
            Self::Nitro(document) => document.endorsement_id(),
            Self::Azure(composite) => composite.endorsement_id(),
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
            (Self::Tpm(quote), Prepared::Tpm(ak)) => tpm::verify(quote, crypto, ak, now),
            (Self::Tdx(quote), Prepared::Tdx(qe)) => tdx::verify(quote, crypto, qe, now),
            (Self::Nitro(document), Prepared::Nitro(chain)) => nitro::verify(document, crypto, chain, now),
            (Self::Azure(composite), Prepared::Azure(links)) => azure::verify(composite, crypto, links, now),
            (Self::Snp(_) | Self::Tpm(_) | Self::Tdx(_) | Self::Nitro(_) | Self::Azure(_), _) => {
                let platform = self.platform();
                Err(CannotJudge::WrongEndorsements { platform }.into())
            }
        }
    }
}
