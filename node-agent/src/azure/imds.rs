//! The host's metadata service: certificates for an SNP report, a TD quote for a `TDREPORT`.
//!
//! Plain HTTP to an address that no packet leaves the host for. It is asked with the header that keeps it from
//! answering somebody who was only redirected there; it is never followed elsewhere, and its answers are bounded.
//!
//! Untrusted: every answer. The verifier checks each signature.

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};
use x509_parser::pem::Pem;

/// A way to the metadata service.
#[derive(Debug)]
pub(super) struct Imds {
    agent: ureq::Agent,
    base: String,
}

/// `/metadata/THIM/amd/certification`, as far as it is used: the names that are added to it do not matter.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Certification {
    vcek_cert: String,
    certificate_chain: String,
}

#[derive(Debug, Serialize)]
struct QuoteRequest {
    report: String,
}

#[derive(Debug, Deserialize)]
struct QuoteAnswer {
    quote: String,
}

impl Imds {
    pub(super) fn new(base: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            .user_agent("cloudtaser-node-agent")
            .build();
        Self { agent: config.new_agent(), base: base.trim_end_matches('/').to_owned() }
    }

    /// The chip's certificate and its authorities, DER.
    pub(super) fn certificates(&self) -> Result<Vec<Vec<u8>>, Error> {
        let request = self.agent.get(format!("{}{CERTIFICATION}", self.base)).header("Metadata", "true");
        let answer: Certification = read(CERTIFICATION, request.call())?;
        let mut certificates = Vec::new();
        for pem in [&answer.vcek_cert, &answer.certificate_chain] {
            certificates
                .extend(unarmour(pem).map_err(|problem| Error::Answer { path: CERTIFICATION, problem })?);
        }
        Ok(certificates)
    }

    /// The host's quote of a `TDREPORT`.
    pub(super) fn td_quote(&self, report: &[u8]) -> Result<Vec<u8>, Error> {
        let wrong = |problem| Error::Answer { path: QUOTE, problem };
        let body = serde_json::to_vec(&QuoteRequest { report: BASE64.encode(report) });
        let body = body.map_err(|error| wrong(error.to_string()))?;
        let request = self.agent.post(format!("{}{QUOTE}", self.base)).header("Metadata", "true");
        let request = request.header("Content-Type", "application/json");
        let answer: QuoteAnswer = read(QUOTE, request.send(body.as_slice()))?;
        let quote = BASE64.decode(&answer.quote).map_err(|error| wrong(format!("quote: {error}")))?;
        if quote.is_empty() { Err(wrong("quote: empty".to_owned())) } else { Ok(quote) }
    }
}

fn read<A: for<'de> Deserialize<'de>>(
    path: &'static str,
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<A, Error> {
    let silent = |error: ureq::Error| Error::Silent { path, problem: error.to_string() };
    let mut answer = answer.map_err(silent)?;
    let status = answer.status().as_u16();
    if status != 200 {
        return Err(Error::Status { path, status });
    }
    let body = match answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec() {
        Ok(body) => body,
        Err(ureq::Error::BodyExceedsLimit(limit)) => {
            return Err(Error::Answer {
                path,
                problem: format!("expected at most {limit} bytes, found more"),
            });
        }
        Err(error) => return Err(silent(error)),
    };
    serde_json::from_slice(&body).map_err(|error| Error::Answer { path, problem: error.to_string() })
}

/// The certificates of a PEM text, DER.
fn unarmour(text: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut blocks = Vec::new();
    for block in Pem::iter_from_buffer(text.as_bytes()) {
        let block = block.map_err(|error| error.to_string())?;
        if block.label != "CERTIFICATE" || blocks.len() == MAX_CERTIFICATES {
            return Err(format!("expected up to {MAX_CERTIFICATES} certificates, found {}", block.label));
        }
        blocks.push(block.contents);
    }
    if blocks.is_empty() { Err("no certificate in PEM".to_owned()) } else { Ok(blocks) }
}

/// Why the service was no help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No answer, or not all of one.
    #[error("Azure's metadata service: {path}: {problem}")]
    Silent {
        /// What was asked.
        path: &'static str,
        /// What the connection came to.
        problem: String,
    },
    /// A refusal.
    #[error("Azure's metadata service: {path}: expected status 200, found {status}")]
    Status {
        /// What was asked.
        path: &'static str,
        /// The answer.
        status: u16,
    },
    /// An answer that is none.
    #[error("Azure's metadata service: {path}: answer: {problem}")]
    Answer {
        /// What was asked.
        path: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl Error {
    /// Whether asking again later may help: it throttles those who ask too often.
    pub(super) fn is_busy(&self) -> bool {
        match self {
            Self::Status { status, .. } => [429, 503].contains(status),
            Self::Silent { .. } | Self::Answer { .. } => false,
        }
    }
}

const CERTIFICATION: &str = "/metadata/THIM/amd/certification";
const QUOTE: &str = "/acc/tdquote";
/// Some quotes take a second or two.
const PATIENCE: Duration = Duration::from_secs(5);
/// A quote has 8 KiB, a chain 6.
const MAX_ANSWER: u64 = 64 * 1024;
const MAX_CERTIFICATES: usize = 4;
/// With and without `=` at the end: the service does without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_refused() {
        assert_eq!(unarmour("").unwrap_err(), "no certificate in PEM");
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(unarmour(key).unwrap_err(), "expected up to 4 certificates, found PRIVATE KEY");
        let five = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".repeat(5);
        assert_eq!(unarmour(&five).unwrap_err(), "expected up to 4 certificates, found CERTIFICATE");
    }

    #[test]
    fn a_quote_is_read_with_and_without_padding() {
        assert_eq!(BASE64.decode("-_8").unwrap(), BASE64.decode("-_8=").unwrap());
        assert_eq!(BASE64.encode([0xfb, 0xff]), "-_8");
    }
}
