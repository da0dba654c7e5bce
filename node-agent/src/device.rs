//! The edge of the machine: hardware that signs.
//!
//! Each device signs a hash that this crate makes ([`Transcript::caller_data`]); there is no way in for bytes of
//! a caller's choice. It is given the whole transcript, because a Nitro document names nonce and key beside the hash.
//!
//! Untrusted: what a device answers. It is handed on, not judged.

use attest::{Platform, Transcript};

use crate::{azure, nitro, tsm, vtpm};

/// Hardware that signs. One call at a time.
pub trait Device: std::fmt::Debug + Send + Sync {
    /// Which hardware it is.
    fn platform(&self) -> Platform;

    /// Has the hardware sign the hash of nonce, purpose and key.
    fn sign(&self, transcript: &Transcript<'_>) -> Result<Collected, Fault>;
}

/// What a device gave.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Collected {
    /// The evidence.
    pub evidence: Vec<u8>,
    /// Certificates that came with it, DER.
    pub certificates: Vec<Vec<u8>>,
    /// Something that the operator should know, though there is evidence.
    pub remark: Option<String>,
}

/// Why a device gave nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The kernel's report interface.
    #[error(transparent)]
    Tsm(#[from] tsm::Error),
    /// The TPM.
    #[error(transparent)]
    Vtpm(#[from] vtpm::Error),
    /// The security module of an enclave.
    #[error(transparent)]
    Nitro(#[from] nitro::Error),
    /// A machine with a paravisor.
    #[error(transparent)]
    Azure(#[from] azure::Error),
    /// The TPM of an EC2 instance.
    #[error(transparent)]
    NitroTpm(#[from] nitro::tpm::Error),
}

impl Fault {
    /// Whether asking again later may help.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Tsm(error) => matches!(error, tsm::Error::Busy { .. }),
            Self::Vtpm(error) => error.is_busy(),
            Self::Nitro(_) => false,
            Self::Azure(error) => error.is_busy(),
            Self::NitroTpm(error) => error.is_busy(),
        }
    }
}
