//! `[nitro]`: the security module of an enclave.
//!
//! Trusted: whoever may write the file.

use std::path::PathBuf;

use attest::Platform;
use serde::Deserialize;

use super::Hardware;
use crate::nitro;

/// The section as it was written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNitro {
    enabled: Option<bool>,
    path: Option<PathBuf>,
}

pub(super) fn nitro(raw: RawNitro, problems: &mut Vec<String>) -> Option<(Platform, Hardware)> {
    if raw.enabled == Some(false) {
        return None;
    }
    let path = raw.path.unwrap_or_else(|| nitro::DEVICE.into());
    if !path.is_absolute() {
        problems.push(format!("nitro.path: expected an absolute path, found {}", path.display()));
    }
    Some((Platform::Nitro, Hardware::Nitro(nitro::Settings { path })))
}
