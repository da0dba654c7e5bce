//! Verified claims: what the hardware said, and nobody else.
//!
//! [`Verified`] has one constructor, private to this crate and used only where a signature has just been
//! checked. It cannot be built, deserialised or changed from outside:
//!
//! ```compile_fail,E0451
//! # fn forge(claims: attest::Claims) {
//! let verified = attest::Verified { inner: claims, checks: vec![], roots: attest::Roots::Vendor };
//! # }
//! ```
//! ```compile_fail,E0624
//! # fn forge(claims: attest::Claims) {
//! let verified = attest::Verified::assertion(claims, vec![], attest::Roots::Vendor);
//! # }
//! ```

use crate::check::{Check, Checks};
use std::borrow::Cow;

use crate::{CannotJudge, Crypto, Platform, Roots, Transcript, Window, azure, nitro, oaep, snp, tdx, tpm};

/// Claims whose signature and endorsements were checked.
#[derive(Debug)]
pub struct Verified<C> {
    inner: C,
    checks: Vec<Check>,
    roots: Roots,
}

impl<C> Verified<C> {
    /// Says that these claims are genuine. Whoever writes this has just proved it.
    pub(crate) fn assertion(claims: C, checks: Vec<Check>, roots: Roots) -> Self {
        Self { inner: claims, checks, roots }
    }

    /// The claims.
    pub fn claims(&self) -> &C {
        &self.inner
    }

    /// The checks that made them trustworthy, in order.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Whose roots stand behind them.
    pub fn roots(&self) -> Roots {
        self.roots
    }
}

impl<C> std::ops::Deref for Verified<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.inner
    }
}

/// What the hardware says about itself and its guest.
#[derive(Clone, Debug, serde::Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Claims {
    /// Of an SNP report.
    Snp(Box<snp::Claims>),
    /// Of a TPM quote.
    Tpm(Box<tpm::Claims>),
    /// Of a TD quote.
    Tdx(Box<tdx::Claims>),
    /// Of a document of the Nitro security module.
    Nitro(Box<nitro::Claims>),
    /// Of an Azure confidential virtual machine.
    Azure(Box<azure::Claims>),
}

impl Claims {
    /// Which hardware spoke.
    #[must_use]
    pub fn platform(&self) -> Platform {
        match self {
            Self::Snp(_) => Platform::SevSnp,
            Self::Tpm(_) => Platform::Tpm2,
            Self::Tdx(_) => Platform::Tdx,
            Self::Nitro(claims) => claims.platform(),
            Self::Azure(claims) => claims.platform(),
        }
    }

    /// The caller's bytes that the hardware signed: the report data of SNP and TDX, the TPM's extraData,
    /// the `user_data` of a Nitro document.
    #[must_use]
    pub fn caller_data(&self) -> &[u8] {
        match self {
            Self::Snp(claims) => &claims.report_data.0,
            Self::Tpm(claims) => &claims.extra_data,
            Self::Tdx(claims) => claims.caller_data(),
            Self::Nitro(claims) => claims.caller_data(),
            Self::Azure(claims) => claims.caller_data(),
        }
    }

    /// Whether the hardware signed this transcript.
    pub(crate) fn answer(&self, crypto: &dyn Crypto, transcript: &Transcript<'_>) -> bool {
        let fits = match self {
            Self::Nitro(claims) => claims.fits(transcript),
            Self::Snp(_) | Self::Tpm(_) | Self::Tdx(_) | Self::Azure(_) => true,
        };
        // Both sides are public, so an ordinary comparison gives nothing away.
        fits && oaep::carried(self, transcript.key)
            && self.caller_data() == transcript.caller_data(crypto, self.platform())
    }

    /// A name for the machine that stays the same over reboots and guests: the chip id, or the name of
    /// the attestation key. `None` where the hardware hides it (a masked chip id, a VLEK).
    #[must_use]
    pub fn hardware_id(&self) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Snp(claims) => (!claims.chip_id.is_zero()).then_some(claims.chip_id.0.as_slice().into()),
            Self::Tpm(claims) => Some(claims.hardware_id().into()),
            Self::Tdx(claims) => claims.hardware_id(),
            Self::Nitro(claims) => claims.hardware_id(),
            Self::Azure(claims) => claims.hardware_id(),
        }
    }

    /// What was measured, in one line of hex: SNP's launch measurement, the TPM's PCR digest.
    #[must_use]
    pub fn measurement(&self) -> String {
        match self {
            Self::Snp(claims) => claims.measurement.to_string(),
            Self::Tpm(claims) => hex::encode(&claims.pcr_digest),
            Self::Tdx(claims) => claims.measurement(),
            Self::Nitro(claims) => claims.measurement(),
            Self::Azure(claims) => claims.measurement(),
        }
    }

    /// The product line: AMD's, the family of an Intel platform, or the kind of module.
    #[must_use]
    pub fn product(&self) -> String {
        match self {
            Self::Snp(claims) => claims.vek.product.to_string(),
            Self::Tdx(claims) => format!("fmspc {}", claims.platform.pck.fmspc),
            Self::Tpm(_) | Self::Nitro(_) => self.platform().to_string(),
            Self::Azure(claims) => claims.hardware.product(),
        }
    }

    /// What tells this guest, enclave or node from others on the same hardware: SNP's report id, which every launch draws anew;
    /// the attestation key of a TPM; the id of a Nitro module. TDX has none.
    #[must_use]
    pub fn instance_id(&self) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Snp(claims) => (!claims.report_id.is_zero()).then(|| claims.report_id.0.as_slice().into()),
            Self::Tdx(_) => None,
            Self::Tpm(claims) => Some(claims.hardware_id().into()),
            Self::Nitro(claims) => Some(claims.document.module_id.as_bytes().into()),
            Self::Azure(claims) => Some(claims.tpm.hardware_id().into()),
        }
    }

    /// The machine, as an operator knows it.
    #[must_use]
    pub fn machine(&self) -> crate::Machine {
        crate::Machine {
            platform: self.platform(),
            product: self.product(),
            hardware_id: self.hardware_id().map(Cow::into_owned),
            instance_id: self.instance_id().map(Cow::into_owned),
            measurement: self.measurement(),
        }
    }

    /// When the endorsements behind the claims hold.
    #[must_use]
    pub fn window(&self) -> Window {
        match self {
            Self::Snp(claims) => claims.vek.window,
            Self::Tpm(claims) => claims.window(),
            Self::Tdx(claims) => claims.window(),
            Self::Nitro(claims) => claims.window(),
            Self::Azure(claims) => claims.window(),
        }
    }
}

/// Why evidence did not become [`Verified`].
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unverified {
    /// Judged, and not genuine.
    #[error("{0}")]
    Rejected(Rejected),
    /// Not judged.
    #[error(transparent)]
    CannotJudge(#[from] CannotJudge),
}

/// Evidence that was judged and is not genuine: at least one of the checks failed.
#[derive(Clone, Debug)]
pub struct Rejected {
    platform: Platform,
    checks: Vec<Check>,
    roots: Roots,
}

impl Rejected {
    pub(crate) fn new(platform: Platform, checks: Checks, roots: Roots) -> Self {
        Self { platform, checks: checks.into_vec(), roots }
    }

    /// A part's rejection, as that of the whole.
    pub(crate) fn again(platform: Platform, part: &Self) -> Self {
        Self { platform, checks: part.checks.clone(), roots: part.roots }
    }

    /// Which hardware was said to speak.
    #[must_use]
    pub fn platform(&self) -> Platform {
        self.platform
    }

    /// All checks up to the end of the stage that failed, in order.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Whose roots were used.
    #[must_use]
    pub fn roots(&self) -> Roots {
        self.roots
    }
}

impl std::fmt::Display for Rejected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let failing = self.checks.iter().filter(|check| check.verdict == crate::Answer::Fail);
        let ids: Vec<&str> = failing.map(|check| check.id.as_str()).collect();
        write!(f, "{} evidence is not genuine: {}", self.platform, ids.join(", "))
    }
}
