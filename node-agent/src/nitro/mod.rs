//! Attestation documents of AWS Nitro: from the security module of an enclave (`/dev/nsm`), and in [`tpm`] of an EC2
//! instance.
//!
//! A document names the verifier's nonce, the hash of nonce, purpose and key, and the key itself where it is the RSA key
//! of AWS KMS's form; an X-Wing key has 1216 bytes, the field has 1024, and the hash covers it. The module signs
//! registers that are locked and no others.
//!
//! Source: `aws-nitro-enclaves-nsm-api` `docs/attestation_process.md`. Untrusted: the module's answers, for the
//! verifier; the agent only hands them on.

mod channel;
mod kernel;
mod register;
mod request;
mod response;
pub mod tpm;

use std::io;
use std::path::PathBuf;

use attest::crypto::AwsLcRs;
use attest::{Kem, Platform, Transcript};

use crate::device::{Collected, Device, Fault};
pub use register::Pcr;
pub use request::{Attested, Request};
pub use response::{Description, Malformed, Refusal, Response};

/// Where Linux has it.
pub const DEVICE: &str = "/dev/nsm";

/// What the configuration says about the enclave's security module.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The kernel's device, or a stand-in's socket.
    pub path: PathBuf,
}

/// The security module of an enclave.
#[derive(Clone, Debug)]
pub struct Nsm {
    settings: Settings,
}

impl Nsm {
    /// Touches nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Asks, and takes the response to this very request.
    pub fn ask(&self, request: &Request<'_>) -> Result<Response, Error> {
        let bytes = request.encode().map_err(|error| Error::Encoding(error.to_string()))?;
        let response = Response::parse(&channel::exchange(&self.settings.path, &bytes)?)?;
        if let Response::Refused(refusal) = response {
            return Err(refusal.into());
        }
        if response.name() != request.name() {
            return Err(Error::Other { expected: request.name(), found: response.name() });
        }
        Ok(response)
    }

    /// What the module says of itself.
    pub fn describe(&self) -> Result<Description, Error> {
        let response = self.ask(&Request::DescribeNsm)?;
        let (expected, found) = (Request::DescribeNsm.name(), response.name());
        let Response::DescribeNsm(description) = response else {
            return Err(Error::Other { expected, found });
        };
        Ok(description)
    }
}

impl Device for Nsm {
    fn platform(&self) -> Platform {
        Platform::Nitro
    }

    fn sign(&self, transcript: &Transcript<'_>) -> Result<Collected, Fault> {
        let user_data = transcript.caller_data(&AwsLcRs, Platform::Nitro);
        let request = Request::Attestation(attested(transcript, &user_data)?);
        let response = self.ask(&request)?;
        let (expected, found) = (request.name(), response.name());
        let Response::Attestation(evidence) = response else {
            return Err(Error::Other { expected, found }.into());
        };
        Ok(Collected { evidence, certificates: Vec::new(), remark: None })
    }
}

/// What a document is to say for this transcript.
fn attested<'a>(transcript: &Transcript<'a>, user_data: &'a [u8]) -> Result<Attested<'a>, Error> {
    let key = transcript.key.public.as_slice();
    let public_key = (transcript.key.kem == Kem::RsaOaepSha256).then_some(key);
    let found = public_key.map_or(0, <[u8]>::len);
    if found > MAX_PUBLIC_KEY {
        return Err(Error::Key { limit: MAX_PUBLIC_KEY, found });
    }
    Ok(Attested { user_data, nonce: transcript.nonce, public_key })
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing answers at the path.
    #[error(
        "NSM: no security module at {path}: is this an enclave, with the kernel's nsm driver? ({source})"
    )]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// This user may not.
    #[error("NSM: {path}: the agent's user may not read and write it ({source})")]
    Denied {
        /// The device.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Another kind of file.
    #[error("NSM: {path}: expected a character device or a socket, found another kind of file")]
    Kind {
        /// The file.
        path: PathBuf,
    },
    /// The module did not answer.
    #[error("NSM: {path}: no answer in time ({source})")]
    TimedOut {
        /// The device.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The module refused.
    #[error("NSM: {0}")]
    Refused(#[from] Refusal),
    /// The answer is none.
    #[error("NSM: malformed response: {0}")]
    Malformed(#[from] Malformed),
    /// The answer to another question.
    #[error("NSM: expected a response to {expected}, found one to {found}")]
    Other {
        /// What was asked.
        expected: &'static str,
        /// What was answered.
        found: &'static str,
    },
    /// The connection ended before the response did.
    #[error("NSM: the response ended early: expected {expected} bytes, found {found}")]
    Cut {
        /// As many as were promised.
        expected: usize,
        /// As many as came.
        found: usize,
    },
    /// A response longer than any.
    #[error("NSM: expected a response of at most {limit} bytes, found {found}")]
    Response {
        /// The limit.
        limit: usize,
        /// The length that was promised.
        found: usize,
    },
    /// A request longer than any.
    #[error("NSM: expected a request of at most {limit} bytes, found {found}")]
    Request {
        /// The limit.
        limit: usize,
        /// The length.
        found: usize,
    },
    /// A key that no document has room for.
    #[error("NSM: expected a public key of at most {limit} bytes, found {found}")]
    Key {
        /// The limit.
        limit: usize,
        /// The length.
        found: usize,
    },
    /// A request that cannot be written.
    #[error("NSM: encoding the request: {0}")]
    Encoding(String),
    /// A register that others have locked already, with another value.
    #[error("NSM: PCR {index} was locked before, by somebody else")]
    Taken {
        /// Which.
        index: u16,
    },
    /// Any other failed call.
    #[error("NSM: {call} {path}: {source}")]
    Call {
        /// The call.
        call: &'static str,
        /// The device.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// AWS, `attestation_process.md`, section 3.2.2: `public_key` has 1 to 1024 bytes.
const MAX_PUBLIC_KEY: usize = 1024;
