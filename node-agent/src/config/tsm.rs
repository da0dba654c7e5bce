//! `[snp]`: the kernel's report interface.
//!
//! Trusted: whoever may write the file.

use std::path::PathBuf;

use attest::Platform;
use serde::Deserialize;

use super::Hardware;
use crate::tsm;

/// The section as it was written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSnp {
    enabled: Option<bool>,
    path: Option<PathBuf>,
    privlevel: Option<u8>,
}

pub(super) fn snp(raw: RawSnp, problems: &mut Vec<String>) -> Option<(Platform, Hardware)> {
    if raw.enabled == Some(false) {
        return None;
    }
    let path = raw.path.unwrap_or_else(|| tsm::REPORTS.into());
    if !path.is_absolute() {
        problems.push(format!("snp.path: expected an absolute path, found {}", path.display()));
    }
    if let Some(level) = raw.privlevel.filter(|level| *level > 3) {
        problems.push(format!("snp.privlevel: expected 0 to 3, found {level}"));
    }
    Some((Platform::SevSnp, Hardware::Snp(tsm::Settings { path, privlevel: raw.privlevel })))
}
