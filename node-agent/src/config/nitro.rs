//! `[nitro]`: the security module of an enclave. `[nitro-tpm]`: the TPM of an EC2 instance.
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

/// The section `[nitro-tpm]` as it was written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNitroTpm {
    enabled: Option<bool>,
    tcti: Option<String>,
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

pub(super) fn nitro_tpm(
    RawNitroTpm { enabled, tcti }: RawNitroTpm,
    problems: &mut Vec<String>,
) -> Option<(Platform, Hardware)> {
    if enabled == Some(false) {
        return None;
    }
    match tcti.unwrap_or_else(|| nitro::tpm::DEVICE.to_owned()).parse() {
        Ok(way) => Some((Platform::NitroTpm, Hardware::NitroTpm(nitro::tpm::Settings { way }))),
        Err(problem) => {
            problems.push(format!("nitro-tpm.tcti: {problem}"));
            None
        }
    }
}
