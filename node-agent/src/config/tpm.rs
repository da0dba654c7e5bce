//! `[tpm]`: the way to a TPM, its key, and what is quoted.
//!
//! Trusted: whoever may write the file.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use attest::Platform;
use attest::crypto::Hash;
use serde::Deserialize;
use tss_esapi::handles::PersistentTpmHandle;
use tss_esapi::tcti_ldr::TctiNameConf;

use super::Hardware;
use crate::vtpm;

/// The section as it was written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTpm {
    enabled: Option<bool>,
    tcti: Option<String>,
    ak_handle: Option<u32>,
    pcrs: Option<BTreeMap<String, Vec<u32>>>,
}

pub(super) fn tpm(raw: RawTpm, problems: &mut Vec<String>) -> Option<(Platform, Hardware)> {
    if raw.enabled == Some(false) {
        return None;
    }
    let tcti = parse_tcti(raw.tcti.as_deref().unwrap_or(vtpm::DEVICE));
    let ak = raw.ak_handle.ok_or("missing; `ak create` makes the key".to_owned()).and_then(parse_handle);
    let pcrs = pcrs(raw.pcrs, problems);
    if let Err(problem) = &tcti {
        problems.push(format!("tpm.tcti: {problem}"));
    }
    if let Err(problem) = &ak {
        problems.push(format!("tpm.ak_handle: {problem}"));
    }
    Some((Platform::Tpm2, Hardware::Tpm(vtpm::Settings { tcti: tcti.ok()?, ak: ak.ok()?, pcrs })))
}

/// Understands the name of a way to a TPM, such as `device:/dev/tpmrm0` or `swtpm:host=127.0.0.1,port=2321`.
pub fn parse_tcti(text: &str) -> Result<TctiNameConf, String> {
    // tss-esapi drops what it does not know and falls back to port 2321: somebody else's TPM.
    if text.contains("path=") {
        return Err(format!("expected host=ADDRESS,port=NUMBER, found {text:?}; path= is not supported"));
    }
    let unknown =
        |_| format!("expected device:PATH, swtpm:host=ADDRESS,port=NUMBER or tabrmd, found {text:?}");
    TctiNameConf::from_str(text).map_err(unknown)
}

/// Understands the number of a persistent handle.
pub fn parse_handle(number: u32) -> Result<PersistentTpmHandle, String> {
    let other = |_| format!("expected 0x81000000 to 0x81ffffff, found {number:#x}");
    PersistentTpmHandle::new(number).map_err(other)
}

fn pcrs(written: Option<BTreeMap<String, Vec<u32>>>, problems: &mut Vec<String>) -> vtpm::Selection {
    let Some(banks) = written else {
        return vtpm::Selection::from([(Hash::Sha256, PCRS.into_iter().collect())]);
    };
    let mut selection = vtpm::Selection::new();
    for (name, indices) in banks {
        match BANKS.into_iter().find(|bank| bank.to_string() == name) {
            Some(bank) => drop(selection.insert(bank, indices.iter().copied().collect::<BTreeSet<_>>())),
            None => {
                problems.push(format!("tpm.pcrs: expected sha1, sha256, sha384 or sha512, found {name:?}"));
            }
        }
        if let Some(index) = indices.iter().find(|index| **index > 23) {
            problems.push(format!("tpm.pcrs.{name}: expected 0 to 23, found {index}"));
        }
        if indices.is_empty() {
            problems.push(format!("tpm.pcrs.{name}: empty"));
        }
    }
    if selection.is_empty() {
        problems.push("tpm.pcrs: no bank is selected".to_owned());
    }
    selection
}

/// Firmware, boot loader, kernel and its command line; not IMA's PCR 10, which moves while we look.
const PCRS: [u32; 13] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 14];
const BANKS: [Hash; 4] = [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512];
