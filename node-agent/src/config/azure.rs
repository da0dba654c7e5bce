//! `[azure]`: the TPM that the paravisor keeps, and the host's metadata service.
//!
//! Trusted: whoever may write the file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use attest::Platform;
use serde::Deserialize;

use super::Hardware;
use super::tpm::{RawQuote, parse_handle, quoting};
use crate::azure::{Azure, Kind, Settings};
use crate::vtpm;

/// The section as it was written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAzure {
    enabled: Option<bool>,
    kind: Option<String>,
    tcti: Option<String>,
    ak_handle: Option<u32>,
    pcrs: Option<BTreeMap<String, Vec<u32>>>,
    event_log: Option<PathBuf>,
    ima_log: Option<PathBuf>,
    imds: Option<String>,
}

pub(super) fn azure(raw: RawAzure, problems: &mut Vec<String>) -> Option<(Platform, Hardware)> {
    if raw.enabled == Some(false) {
        return None;
    }
    let kind = kind(raw.kind.as_deref()).map_err(|problem| problems.push(format!("azure.kind: {problem}")));
    let ak = parse_handle(raw.ak_handle.unwrap_or(Azure::AK));
    let ak = ak.map_err(|problem| problems.push(format!("azure.ak_handle: {problem}")));
    let imds = raw.imds.unwrap_or_else(|| Azure::IMDS.to_owned());
    // The service has no certificate; whoever writes https means another one.
    if !imds.starts_with("http://") {
        problems.push(format!("azure.imds: expected http://ADDRESS, found {imds:?}"));
    }
    let quote = RawQuote { tcti: raw.tcti, pcrs: raw.pcrs, event_log: raw.event_log, ima_log: raw.ima_log };
    let (tcti, pcrs, logs) = quoting("azure", quote, problems)?;
    let (kind, ak) = (kind.ok()?, ak.ok()?);
    let platform = match kind {
        Kind::Snp => Platform::AzureSnp,
        Kind::Tdx => Platform::AzureTdx,
    };
    let tpm =
        vtpm::Settings { tcti, ak, create_ak: false, pcrs, certified: vtpm::Certified::default(), logs };
    Some((platform, Hardware::Azure(Settings { kind, tpm, imds })))
}

fn kind(written: Option<&str>) -> Result<Kind, String> {
    let Some(word) = written else { return Err("missing; expected snp or tdx".to_owned()) };
    let known = [Kind::Snp, Kind::Tdx].into_iter().find(|kind| kind.word() == word);
    known.ok_or_else(|| format!("expected snp or tdx, found {word:?}"))
}
