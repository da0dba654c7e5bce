//! Azure confidential virtual machines: a TPM quote, whose key a paravisor names, whom the hardware vouches for.
//!
//! The guest cannot ask the hardware. A paravisor (Microsoft's HCL, or `OpenHCL`) runs in front of it, keeps its
//! virtual TPM, and has the hardware sign a digest of *runtime data*: JSON with the TPM's attestation key and the
//! machine's configuration. So the path is: challenge → TPM quote → attestation key → runtime data → report data
//! of the SNP report or TD quote → the vendor's root. Each link is a check of its own, `azure.binding.*`; the
//! pieces by themselves are judged like any other, under their own names (`snp.*`, `tdx.*`, `tpm.*`).
//!
//! Trusted: the anchors. Untrusted: every part of the parcel, until the whole path holds.

mod hcl;
mod runtime;
mod verify;

use std::borrow::Cow;

use crate::bytes::Malformed;
use crate::verified::Rejected;
use crate::{Claims as AnyClaims, Crypto, Endorsements, Evidence, Parcel, Part, Platform, Prepared};
use crate::{Revocation, TrustAnchors, UnixTime, Unverified, Window, snp, tdx, tpm};

pub use hcl::{Hcl, ReportType};
pub use runtime::{Runtime, VmConfiguration};
pub(crate) use verify::verify;
pub use verify::verify_path;

/// The parts of one machine's evidence, parsed.
#[derive(Clone, Debug)]
pub struct Composite<'a> {
    bytes: &'a [u8],
    platform: Platform,
    hcl: Hcl<'a>,
    hardware: Box<Evidence<'a>>,
    quote: tpm::Quote<'a>,
}

impl<'a> Composite<'a> {
    /// Checks the shape of every part. SEV-SNP: the report is in the paravisor's. TDX: what is in there cannot
    /// be verified on another machine, so a TD quote must stand beside it. The TPM's logs may come along.
    pub fn parse(platform: Platform, bytes: &'a [u8]) -> Result<Self, Malformed> {
        let parcel = Parcel::parse(bytes)?;
        let part = |part: Part| parcel.part(part).ok_or_else(|| missing(part));
        let hcl = Hcl::parse(part(Part::HclReport)?)?;
        let common = [Part::TpmQuote, Part::HclReport, Part::EventLog, Part::ImaLog];
        let hardware = if platform == Platform::AzureTdx {
            parcel.only(&[&common[..], &[Part::TdQuote]].concat())?;
            Evidence::Tdx(tdx::Quote::alone(part(Part::TdQuote)?)?)
        } else {
            parcel.only(&common)?;
            Evidence::Snp(snp::Report::parse(hcl.snp_report())?)
        };
        let (events, files) = (parcel.part(Part::EventLog), parcel.part(Part::ImaLog));
        let quote = tpm::Quote::alone(part(Part::TpmQuote)?)?.with_logs(events, files)?;
        Ok(Self { bytes, platform, hcl, hardware: Box::new(hardware), quote })
    }

    /// The evidence as it was received.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The paravisor's report.
    #[must_use]
    pub fn hcl(&self) -> &Hcl<'a> {
        &self.hcl
    }

    /// What the runtime data says, before anybody knows whether the hardware signed it; `None` if it is not JSON.
    #[must_use]
    pub fn unverified_runtime(&self) -> Option<Runtime> {
        Runtime::parse(self.hcl.runtime_data()).ok()
    }

    /// The SNP report or the TD quote.
    #[must_use]
    pub fn hardware(&self) -> &Evidence<'a> {
        &self.hardware
    }

    /// The TPM quote.
    #[must_use]
    pub fn quote(&self) -> &tpm::Quote<'a> {
        &self.quote
    }

    pub(crate) fn platform(&self) -> Platform {
        self.platform
    }

    /// What the hardware asks for: neither the paravisor nor its TPM has an endorsement of its own.
    pub(crate) fn endorsement_id(&self) -> Vec<u8> {
        self.hardware.endorsement_id()
    }
}

/// The verified key behind the hardware's part.
#[derive(Clone, Debug)]
pub struct Links {
    hardware: Box<Prepared>,
    roots: crate::Roots,
}

impl Links {
    pub(crate) fn window(&self) -> Window {
        self.hardware.window()
    }
}

/// What genuine evidence says: all of its parts, and that they belong together.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Claims {
    #[serde(skip)]
    platform: Platform,
    /// Of the SNP report or the TD quote: the paravisor, its measurement and the hardware under it.
    pub hardware: AnyClaims,
    /// Of the paravisor, about the virtual machine.
    pub runtime: Runtime,
    /// Of the virtual TPM, about what the guest booted.
    pub tpm: tpm::Claims,
}

impl Claims {
    pub(crate) fn platform(&self) -> Platform {
        self.platform
    }

    pub(crate) fn caller_data(&self) -> &[u8] {
        &self.tpm.extra_data
    }

    pub(crate) fn hardware_id(&self) -> Option<Cow<'_, [u8]>> {
        self.hardware.hardware_id()
    }

    pub(crate) fn measurement(&self) -> String {
        self.hardware.measurement()
    }

    pub(crate) fn window(&self) -> Window {
        self.hardware.window()
    }
}

/// Verifies the key behind the hardware's part.
pub(crate) fn prepare(
    evidence: &Composite<'_>,
    endorsements: &Endorsements,
    crypto: &dyn Crypto,
    anchors: &TrustAnchors,
    revocation: Revocation,
    now: UnixTime,
) -> Result<Links, Unverified> {
    let prepared = endorsements.prepare(crypto, &evidence.hardware, anchors, revocation, now);
    match prepared {
        Ok(prepared) => Ok(Links { hardware: Box::new(prepared), roots: anchors.roots() }),
        Err(Unverified::Rejected(rejected)) => {
            Err(Unverified::Rejected(Rejected::again(evidence.platform, &rejected)))
        }
        Err(error @ Unverified::CannotJudge(_)) => Err(error),
    }
}

fn missing(part: Part) -> Malformed {
    let found = format!("no part {} ({part:?})", part.number());
    Malformed::Value { what: "parcel", expected: "all the parts of an Azure machine's evidence", found }
}
