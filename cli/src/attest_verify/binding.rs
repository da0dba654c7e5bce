//! What the caller expects the hardware to have signed.
//!
//! A report that answers somebody else's question is genuine and worthless. Trusted: what the caller
//! expects. The claims were verified before they come here.

use attest::{Answer, Check, Claims, Platform};

use crate::answer::NotJudged;
use crate::args::CallerData;

/// Expectations of the caller's bytes: SNP's `REPORT_DATA`, a TPM's extraData, a Nitro document's nonce and
/// `user_data`.
#[derive(Debug)]
pub(super) struct Binding<'a> {
    nonce: Option<&'a [u8]>,
    report_data: Option<&'a [u8]>,
}

impl<'a> Binding<'a> {
    /// What the options say. Report data that this platform cannot hold is a misspelling, not a refusal.
    pub(super) fn asked(
        nonce: Option<&'a CallerData>,
        report_data: Option<&'a CallerData>,
        platform: Platform,
    ) -> Result<Self, NotJudged> {
        let bytes = |data: Option<&'a CallerData>| data.map(|data| data.0.as_slice());
        let binding = Self { nonce: bytes(nonce), report_data: bytes(report_data) };
        match binding.report_data.map(<[u8]>::len) {
            Some(length) if fixed(platform) && length != REPORT_DATA => {
                let message =
                    format!("--report-data: expected {REPORT_DATA} bytes for {platform}, found {length}");
                Err(NotJudged::new("option.report_data", message))
            }
            _ => Ok(binding),
        }
    }

    /// Whether anything is expected.
    pub(super) fn is_asked(&self) -> bool {
        self.nonce.is_some() || self.report_data.is_some()
    }

    /// One check for each expectation.
    pub(super) fn checks(&self, claims: &Claims) -> Vec<Check> {
        let found = claims.caller_data();
        // A Nitro document has a field for the nonce; elsewhere it is a part of the caller's bytes.
        let nonce_found =
            if let Claims::Nitro(claims) = claims { claims.document.nonce.bytes() } else { found };
        let padded = fixed(claims.platform());
        let nonce = self.nonce.map(|nonce| {
            let holds = if padded { is_padded(found, nonce) } else { nonce_found == nonce };
            let rest = if padded { ", then zeros" } else { "" };
            check("binding.nonce", holds, format!("{}{rest}", hex::encode(nonce)), nonce_found)
        });
        let report_data = self
            .report_data
            .map(|expected| check("binding.report_data", found == expected, hex::encode(expected), found));
        nonce.into_iter().chain(report_data).collect()
    }
}

/// Whether the hardware signs a field of fixed length.
fn fixed(platform: Platform) -> bool {
    matches!(platform, Platform::SevSnp | Platform::Tdx)
}

/// Whether `found` is `nonce` and nothing but zeros.
fn is_padded(found: &[u8], nonce: &[u8]) -> bool {
    found.strip_prefix(nonce).is_some_and(|rest| rest.iter().all(|byte| *byte == 0))
}

fn check(id: &str, holds: bool, expected: String, found: &[u8]) -> Check {
    let verdict = if holds { Answer::Pass } else { Answer::Fail };
    let found = if found.is_empty() { "nothing".to_owned() } else { hex::encode(found) };
    Check { id: id.to_owned(), verdict, expected, found }
}

/// The length of SNP's `REPORT_DATA` (AMD 56860 r1.58, table 23) and of TDX's `REPORTDATA`.
const REPORT_DATA: usize = 64;
