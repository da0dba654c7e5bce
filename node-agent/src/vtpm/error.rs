//! Why the TPM gave nothing, in words that say what an operator does about it.
//!
//! A TPM tells its trouble in response codes (TPM 2.0 Part 2, clause 6.6). Those that a person can do something
//! about come with what that is; those that pass by themselves are [busy](Error::is_busy).

use std::io;
use std::path::PathBuf;

use attest::crypto::Hash;
use tss_esapi::constants::Tss2ResponseCodeKind as Kind;

/// Why there is no quote, no key, no register.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A command that the TPM or its library refused.
    #[error("TPM: {call}: {}", words(*.source))]
    Call {
        /// What was tried.
        call: &'static str,
        /// The library's word.
        source: tss_esapi::Error,
    },
    /// The kernel's device.
    #[error("TPM: {}: {source}{}", path.display(), remedy(.source))]
    Device {
        /// Its path.
        path: PathBuf,
        /// The kernel's word.
        source: io::Error,
    },
    /// Nothing at the handle.
    #[error("TPM: no key at handle {handle:#010x}; `ak create` makes one ({source})")]
    NoKey {
        /// The handle.
        handle: u32,
        /// The library's word.
        source: tss_esapi::Error,
    },
    /// A new key would replace another.
    #[error("TPM: handle {handle:#010x} is taken, by an object named {name}")]
    Taken {
        /// The handle.
        handle: u32,
        /// The name of what is there, hex.
        name: String,
    },
    /// No manufacturer vouches for the TPM in its own memory.
    #[error(
        "TPM: no certificate of an endorsement key at NV index 0x01c00002, 0x01c0000a or 0x01c00016; enrol the \
         attestation key's name by hand (`ak name`)"
    )]
    NoCertificate,
    /// What lies in the TPM's memory is not what belongs there.
    #[error("TPM: NV index {index:#010x}: expected {expected}, found {found}")]
    Memory {
        /// The index.
        index: u32,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// What should be handed to the TPM is not in its encoding.
    #[error("TPM: {what}: expected a length of two bytes and as many bytes, found {found} bytes")]
    Encoding {
        /// What.
        what: &'static str,
        /// Its length.
        found: usize,
    },
    /// A credential that this TPM has no key for.
    #[error("TPM: the credential does not open: it was made for another key, or for another TPM ({0})")]
    Credential(tss_esapi::Error),
    /// The bank is not allocated in this TPM.
    #[error("TPM: PCR {index} of bank {bank} cannot be read; is the bank active?")]
    Inactive {
        /// The bank.
        bank: Hash,
        /// The first PCR that is missing.
        index: u32,
    },
    /// No bank that evidence has a word for is allocated.
    #[error("TPM: PCR {index}: no bank of SHA-1, SHA-256, SHA-384 or SHA-512 is active")]
    NoBank {
        /// The PCR.
        index: u32,
    },
    /// A PCR that no TPM has.
    #[error("TPM: expected PCR 0 to 23, found {0}")]
    NoSuchPcr(u32),
    /// The TPM quoted less than it was asked for.
    #[error("TPM: PCR {index} of bank {bank} is not in the quote")]
    Unquoted {
        /// The bank.
        bank: Hash,
        /// The first PCR that is missing.
        index: u32,
    },
    /// The TPM quoted more than it was asked for.
    #[error("TPM: PCR {index} of bank {bank} is in the quote unasked")]
    Unasked {
        /// The bank.
        bank: Hash,
        /// The PCR.
        index: u32,
    },
    /// A bank of an algorithm that evidence has no word for.
    #[error("TPM: unknown PCR bank {0}")]
    UnknownBank(String),
    /// The TPM signed something else.
    #[error("TPM: expected a quote, found another kind of attestation")]
    NotAQuote,
    /// PCRs changed between reading and quoting, each time.
    #[error("TPM: the PCRs changed during each of {attempts} quotes")]
    Moving {
        /// How often it was tried.
        attempts: u32,
    },
}

impl Error {
    /// Whether asking again later may help.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Call { source, .. } | Self::NoKey { source, .. } => {
                matches!(
                    kind(*source),
                    Some(
                        Kind::Retry
                            | Kind::Yielded
                            | Kind::Testing
                            | Kind::NvRate
                            | Kind::NvUnavailable
                            | Kind::Canceled
                    )
                )
            }
            Self::Moving { .. } => true,
            Self::Device { source, .. } => source.kind() == io::ErrorKind::ResourceBusy,
            Self::Taken { .. }
            | Self::NoCertificate
            | Self::Memory { .. }
            | Self::Encoding { .. }
            | Self::Credential(_)
            | Self::Inactive { .. }
            | Self::NoBank { .. }
            | Self::NoSuchPcr(_)
            | Self::Unquoted { .. }
            | Self::Unasked { .. }
            | Self::UnknownBank(_)
            | Self::NotAQuote => false,
        }
    }
}

/// What the TPM meant; `None` if the library never got that far.
pub(super) fn kind(source: tss_esapi::Error) -> Option<Kind> {
    match source {
        tss_esapi::Error::Tss2Error(code) => code.kind(),
        tss_esapi::Error::WrapperError(_) => None,
    }
}

/// A response code in words that say what to do; the library's where nothing is to be done.
fn words(source: tss_esapi::Error) -> String {
    let known = kind(source).and_then(|kind| ADVICE.iter().find(|(known, _, _)| *known == kind));
    match (known, source) {
        (Some((_, name, advice)), _) => format!("{name}: {advice}"),
        (None, tss_esapi::Error::Tss2Error(code)) if code.kind().is_none() => GONE.to_owned(),
        (None, _) => source.to_string(),
    }
}

/// What to do about the kernel's word, behind a semicolon.
fn remedy(source: &io::Error) -> &'static str {
    let known = REMEDIES.iter().find(|(known, _)| *known == source.kind());
    known.map_or("", |(_, remedy)| remedy)
}

const REMEDIES: [(io::ErrorKind, &str); 3] = [
    (io::ErrorKind::PermissionDenied, "; the agent's user must be in the group that owns it, often `tss`"),
    (io::ErrorKind::NotFound, "; this machine has no TPM, or its driver is not loaded"),
    (io::ErrorKind::ResourceBusy, "; another program has it open: use /dev/tpmrm0, which shares it"),
];
/// What libtss2 has no code of the TPM's for: its transport broke.
const GONE: &str =
    "the device is gone, or what it says makes no sense; look for its driver, or start its program";

/// TPM 2.0 Part 2, table 17, as far as a person can do something.
const ADVICE: [(Kind, &str, &str); 16] = [
    (
        Kind::Failure,
        "TPM_RC_FAILURE",
        "it is in failure mode until its power is cut: turn the machine off and on",
    ),
    (Kind::Reboot, "TPM_RC_REBOOT", "restart the machine"),
    (
        Kind::Initialize,
        "TPM_RC_INITIALIZE",
        "the firmware did not start it: enable it there, restart the machine",
    ),
    (Kind::Upgrade, "TPM_RC_UPGRADE", "finish its firmware upgrade, then restart the machine"),
    (Kind::Lockout, "TPM_RC_LOCKOUT", "wait, or end it with `tpm2_dictionarylockout --clear-lockout`"),
    (Kind::Retry, "TPM_RC_RETRY", "it is busy with other work: ask again later"),
    (Kind::Testing, "TPM_RC_TESTING", "it tests itself: ask again later"),
    (Kind::NvRate, "TPM_RC_NV_RATE", "it spares its memory: ask again later"),
    (Kind::NvLocked, "TPM_RC_NV_LOCKED", "the index is locked until the next boot"),
    (
        Kind::AuthFail,
        "TPM_RC_AUTH_FAIL",
        "somebody gave the key or the hierarchy a password, and the agent has none",
    ),
    (
        Kind::BadAuth,
        "TPM_RC_BAD_AUTH",
        "somebody gave the key or the hierarchy a password, and the agent has none",
    ),
    (Kind::Hierarchy, "TPM_RC_HIERARCHY", "the hierarchy is disabled in the firmware"),
    (Kind::NvSpace, "TPM_RC_NV_SPACE", "its memory is full: take a key away with `tpm2_evictcontrol`"),
    (
        Kind::ObjectMemory,
        "TPM_RC_OBJECT_MEMORY",
        "others hold all its slots: use /dev/tpmrm0, which shares them",
    ),
    (
        Kind::SessionMemory,
        "TPM_RC_SESSION_MEMORY",
        "others hold all its sessions: use /dev/tpmrm0, which shares them",
    ),
    (Kind::Locality, "TPM_RC_LOCALITY", "the PCR may be changed by the firmware only"),
];
