//! Attestation documents of an EC2 instance, by its `NitroTPM`.
//!
//! The same documents as an enclave's, over all PCRs of the SHA-384 bank, by a command of AWS' own
//! (`TPM2_CC_AWS_NSM_REQUEST`) with a letter box in the TPM's memory. Nothing is loaded into the TPM, so the device
//! without a resource manager is used, as by AWS' own tool: `/dev/tpmrm0` knows only commands that the TPM lists.
//!
//! Source: aws/NitroTPM-Tools. Untrusted: the TPM's answers, for the verifier; the agent only hands them on.

mod command;
mod letterbox;
mod wire;

use std::io;
use std::path::PathBuf;

use attest::crypto::AwsLcRs;
use attest::{Platform, Transcript};

use super::{Malformed, Refusal, Request, Response};
use crate::device::{Collected, Device, Fault};
use letterbox::LetterBox;
use wire::Line;
pub use wire::Way;

/// Where Linux has it, without a resource manager.
pub const DEVICE: &str = "device:/dev/tpm0";

/// What the configuration says about the `NitroTPM`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The way to it.
    pub way: Way,
}

/// The TPM of an EC2 instance.
#[derive(Clone, Debug)]
pub struct NitroTpm {
    settings: Settings,
}

/// What opens a letter box, so that no other program puts something else in: drawn for each.
#[derive(Debug)]
struct Password([u8; 32]);

impl NitroTpm {
    /// Touches nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Asks what an enclave's module is asked, and takes the response to it.
    fn ask(&self, request: &[u8]) -> Result<Response, Error> {
        let mut password = Password([0; 32]);
        getrandom::fill(&mut password.0).map_err(|error| Error::Random(error.to_string()))?;
        let mut line = Line::open(&self.settings.way)?;
        let mut letterbox = LetterBox::make(&mut line, &password)?;
        let content =
            letterbox.put(request).and_then(|()| letterbox.have_answered()).and_then(|()| letterbox.take());
        let removed = letterbox.remove();
        let content = content?;
        removed?;
        // The rest of the box is what was there before.
        Ok(Response::parse_first(&content)?.0)
    }
}

impl Device for NitroTpm {
    fn platform(&self) -> Platform {
        Platform::NitroTpm
    }

    fn sign(&self, transcript: &Transcript<'_>) -> Result<Collected, Fault> {
        let user_data = transcript.caller_data(&AwsLcRs, Platform::NitroTpm);
        let request = Request::Attestation(super::attested(transcript, &user_data)?);
        let bytes = request.encode().map_err(|error| Error::Encoding(error.to_string()))?;
        let response = self.ask(&bytes)?;
        let found = response.name();
        match response {
            Response::Attestation(evidence) => {
                Ok(Collected { evidence, certificates: Vec::new(), remark: None })
            }
            Response::Refused(refusal) => Err(Error::Module(refusal).into()),
            Response::DescribePcr { .. }
            | Response::ExtendPcr(_)
            | Response::LockPcr
            | Response::LockPcrs
            | Response::DescribeNsm(_)
            | Response::GetRandom(_) => Err(Error::Other { found }.into()),
        }
    }
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such device.
    #[error("NitroTPM: no TPM at {path} ({source})")]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// This user may not.
    #[error("NitroTPM: {path}: the agent's user may not read and write it ({source})")]
    Denied {
        /// The device.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Another program has the device.
    #[error("NitroTPM: {path}: another program has it open")]
    Busy {
        /// The device.
        path: PathBuf,
    },
    /// A TPM of somebody else.
    #[error("NitroTPM: this TPM does not know AWS_NSM_REQUEST: is this an EC2 instance with NitroTPM?")]
    NotNitro,
    /// A command was refused.
    #[error("NitroTPM: {command}: response code {code:#05x}")]
    Refused {
        /// The command.
        command: &'static str,
        /// `TPM_RC`.
        code: u32,
    },
    /// The letter box's number is somebody else's.
    #[error("NitroTPM: NV index {index:#010x} is taken, by something that is not this agent's")]
    Taken {
        /// The index.
        index: u32,
    },
    /// A response that is none.
    #[error("NitroTPM: {command}: malformed response of {found} bytes")]
    Response {
        /// The command.
        command: &'static str,
        /// Its length.
        found: usize,
    },
    /// The module refused.
    #[error("NitroTPM: {0}")]
    Module(#[from] Refusal),
    /// What was left in the box is no response.
    #[error("NitroTPM: malformed response: {0}")]
    Malformed(#[from] Malformed),
    /// The answer to another question.
    #[error("NitroTPM: expected a response to Attestation, found one to {found}")]
    Other {
        /// What was answered.
        found: &'static str,
    },
    /// A request that cannot be written.
    #[error("NitroTPM: encoding the request: {0}")]
    Encoding(String),
    /// No random source.
    #[error("NitroTPM: drawing a password: {0}")]
    Random(String),
    /// Any other failed call.
    #[error("NitroTPM: {place}: {source}")]
    Call {
        /// The device, or the address.
        place: String,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Error {
    fn refused(command: &'static str, code: u32) -> Self {
        // Above the lowest twelve bits stands which layer refused: the TPM, or a resource manager.
        if code & 0xfff == COMMAND_CODE { Self::NotNitro } else { Self::Refused { command, code } }
    }

    /// Whether asking again later may help.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let passing = |code: &u32| [RETRY, TESTING, YIELDED].contains(code);
        matches!(self, Self::Busy { .. }) || matches!(self, Self::Refused { code, .. } if passing(code))
    }
}

/// The box's size, as AWS' tool makes it: a document has 5 KiB, and 3 KiB more with all fields full.
const SIZE: u16 = 8192;
/// `TPM_RC_COMMAND_CODE`.
const COMMAND_CODE: u32 = 0x143;
/// `TPM_RC_RETRY`, `TPM_RC_TESTING`, `TPM_RC_YIELDED`.
const RETRY: u32 = 0x922;
const TESTING: u32 = 0x90a;
const YIELDED: u32 = 0x908;
