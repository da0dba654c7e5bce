//! Azure's confidential machines, where a paravisor stands between guest and hardware.
//!
//! The guest cannot ask the hardware. What it has: a virtual TPM whose key the paravisor made, and in the TPM's
//! memory the paravisor's report, which names that key and which the hardware vouches for. The challenge is
//! answered by a quote of the TPM. What a stranger needs besides comes from the host's metadata service: the
//! certificates of the chip, or a TD quote in place of the `TDREPORT`, which only this machine could verify.
//!
//! What the service gave is kept for as long as the report is the same: it says the same of the same report.
//!
//! Untrusted: all of it, for the verifier. The shape of the report is looked at to find the `TDREPORT` in it.

mod imds;

use std::sync::{Mutex, PoisonError};

use attest::azure::{Hcl, ReportType};
use attest::crypto::AwsLcRs;
use attest::{Malformed, Part, Platform, Transcript};

use crate::device::{Collected, Device, Fault};
use crate::facts;
use crate::logs::Beside;
use crate::vtpm::{self, Tpm, Vtpm};
pub use imds::Error as ImdsError;
use imds::Imds;

/// What the configuration says about an Azure machine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The hardware under the paravisor.
    pub kind: Kind,
    /// The TPM, and what is quoted.
    pub tpm: vtpm::Settings,
    /// Where the metadata service is: `http://ADDRESS`.
    pub imds: String,
}

/// The hardware under the paravisor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// SEV-SNP.
    Snp,
    /// TDX.
    Tdx,
}

impl Kind {
    /// As the configuration file has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Snp => "snp",
            Self::Tdx => "tdx",
        }
    }

    fn of(report: ReportType) -> Self {
        match report {
            ReportType::Snp => Self::Snp,
            ReportType::Tdx => Self::Tdx,
        }
    }
}

/// A machine with a paravisor.
#[derive(Debug)]
pub struct Azure {
    settings: Settings,
    vtpm: Vtpm,
    imds: Imds,
    vouched: Mutex<Option<Vouched>>,
}

/// What the metadata service said of a report.
#[derive(Clone, Debug)]
struct Vouched {
    report: Vec<u8>,
    word: Word,
}

#[derive(Clone, Debug)]
enum Word {
    /// Certificates of an SNP report's signer.
    Certificates(Vec<Vec<u8>>),
    /// A TD quote instead of a `TDREPORT`.
    Quote(Vec<u8>),
}

impl Azure {
    /// Where the metadata service is, for every machine of Azure's.
    pub const IMDS: &'static str = "http://169.254.169.254";
    /// Where the paravisor keeps the attestation key.
    pub const AK: u32 = 0x8100_0003;

    /// Touches nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let (vtpm, imds) = (Vtpm::new(settings.tpm.clone()), Imds::new(&settings.imds));
        Self { settings, vtpm, imds, vouched: Mutex::new(None) }
    }

    /// The paravisor's report, and the hardware's in it.
    fn report(&self) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let bytes = Tpm::connect(&self.settings.tpm.tcti)?.read_nv(REPORT)?.ok_or(Error::NoReport)?;
        let hcl = Hcl::parse(&bytes)?;
        let (configured, found) = (self.settings.kind, Kind::of(hcl.report_type));
        if configured != found {
            return Err(Error::OtherKind { configured: configured.word(), found: found.word() });
        }
        let hardware = hcl.snp_report().to_vec();
        Ok((bytes, hardware))
    }

    /// What goes with this report: from the last time, or from the metadata service.
    fn vouched(&self, hardware: &[u8]) -> Result<Word, ImdsError> {
        let mut kept = self.vouched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.report == hardware) {
            return Ok(kept.word.clone());
        }
        let word = match self.settings.kind {
            Kind::Snp => Word::Certificates(self.imds.certificates()?),
            Kind::Tdx => Word::Quote(self.imds.td_quote(hardware.get(..TD_REPORT).unwrap_or_default())?),
        };
        *kept = Some(Vouched { report: hardware.to_vec(), word: word.clone() });
        Ok(word)
    }

    fn collect(&self, caller_data: &[u8]) -> Result<(Beside, Vec<Vec<u8>>), Error> {
        let (hcl, hardware) = self.report()?;
        let quote = self.vtpm.quote(caller_data)?;
        let tpm = &self.settings.tpm;
        let mut beside = tpm.logs.collect(&tpm.pcrs);
        beside.put(Part::TpmQuote, quote);
        beside.put(Part::HclReport, hcl);
        let mut certificates = Vec::new();
        match self.vouched(&hardware) {
            Ok(Word::Certificates(found)) => certificates = found,
            Ok(Word::Quote(quote)) => beside.put(Part::TdQuote, quote),
            // A verifier may have the certificates already; a TD quote nobody else has.
            Err(error) if self.settings.kind == Kind::Snp => beside.remark(error.to_string()),
            Err(error) => return Err(error.into()),
        }
        Ok((beside, certificates))
    }
}

impl Device for Azure {
    fn platform(&self) -> Platform {
        match self.settings.kind {
            Kind::Snp => Platform::AzureSnp,
            Kind::Tdx => Platform::AzureTdx,
        }
    }

    fn sign(&self, transcript: &Transcript<'_>) -> Result<Collected, Fault> {
        let _still = facts::still();
        let caller_data = transcript.caller_data(&AwsLcRs, self.platform());
        let (beside, certificates) = self.collect(&caller_data)?;
        let (evidence, remarks) = beside.into_parcel();
        let remark = (!remarks.is_empty()).then(|| remarks.join("; "));
        Ok(Collected { evidence, certificates, remark })
    }
}

/// Why there is no evidence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The TPM.
    #[error(transparent)]
    Tpm(#[from] vtpm::Error),
    /// The metadata service.
    #[error(transparent)]
    Imds(#[from] ImdsError),
    /// No paravisor.
    #[error(
        "Azure: the TPM has no paravisor's report at NV index 0x01400001: this is no confidential machine of \
         Azure's; take the section [azure] away, or move to one"
    )]
    NoReport,
    /// The report is none.
    #[error("Azure: the paravisor's report at NV index 0x01400001: {0}")]
    Report(#[from] Malformed),
    /// The configuration names the other hardware.
    #[error("Azure: the paravisor's report is of {found}, and azure.kind says {configured}")]
    OtherKind {
        /// The configuration's.
        configured: &'static str,
        /// The report's.
        found: &'static str,
    },
}

impl Error {
    /// Whether asking again later may help.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Tpm(error) => error.is_busy(),
            Self::Imds(error) => error.is_busy(),
            Self::NoReport | Self::Report(_) | Self::OtherKind { .. } => false,
        }
    }
}

/// Where the paravisor keeps its report.
const REPORT: u32 = 0x0140_0001;
/// `TDREPORT_STRUCT` (Intel 344426, section 2.3).
const TD_REPORT: usize = 1024;
