//! `[tpm]`: the way to a TPM, its key, what is quoted, and what goes with it.
//!
//! Trusted: whoever may write the file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use attest::Platform;
use attest::crypto::Hash;
use serde::Deserialize;
use tss_esapi::handles::PersistentTpmHandle;
use tss_esapi::tcti_ldr::TctiNameConf;

use super::Hardware;
use crate::logs::{self, Source};
use crate::vtpm;

/// The section as it was written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTpm {
    enabled: Option<bool>,
    tcti: Option<String>,
    ak_handle: Option<u32>,
    create_ak: Option<bool>,
    ak_certificate: Option<u32>,
    ak_template: Option<u32>,
    pcrs: Option<BTreeMap<String, Vec<u32>>>,
    event_log: Option<PathBuf>,
    ima_log: Option<PathBuf>,
}

/// What every section about a TPM says.
#[derive(Debug)]
pub(super) struct RawQuote {
    pub(super) tcti: Option<String>,
    pub(super) pcrs: Option<BTreeMap<String, Vec<u32>>>,
    pub(super) event_log: Option<PathBuf>,
    pub(super) ima_log: Option<PathBuf>,
}

pub(super) fn tpm(raw: RawTpm, problems: &mut Vec<String>) -> Option<(Platform, Hardware)> {
    if raw.enabled == Some(false) {
        return None;
    }
    let create_ak = raw.create_ak.unwrap_or(false);
    let ak = match raw.ak_handle {
        None if create_ak => Ok(AK),
        None => Err("missing; `ak create` makes the key, or create_ak = true".to_owned()),
        Some(number) => Ok(number),
    };
    let ak = ak.and_then(parse_handle).map_err(|problem| problems.push(format!("tpm.ak_handle: {problem}")));
    let certified = vtpm::Certified { certificate: raw.ak_certificate, template: raw.ak_template };
    for (name, index) in [("ak_certificate", certified.certificate), ("ak_template", certified.template)] {
        if let Some(index) = index.filter(|index| !(0x0100_0000..=0x01ff_ffff).contains(index)) {
            problems.push(format!("tpm.{name}: expected 0x01000000 to 0x01ffffff, found {index:#x}"));
        }
    }
    if certified.template.is_some() && !create_ak {
        problems
            .push("tpm.ak_template: only a key that may be made has one; say create_ak = true".to_owned());
    }
    let quote = RawQuote { tcti: raw.tcti, pcrs: raw.pcrs, event_log: raw.event_log, ima_log: raw.ima_log };
    let (tcti, pcrs, logs) = quoting("tpm", quote, problems)?;
    let settings = vtpm::Settings { tcti, ak: ak.ok()?, create_ak, pcrs, certified, logs };
    Some((Platform::Tpm2, Hardware::Tpm(settings)))
}

/// The way to the TPM, what it quotes, and what goes with the quote.
pub(super) fn quoting(
    section: &str,
    raw: RawQuote,
    problems: &mut Vec<String>,
) -> Option<(TctiNameConf, vtpm::Selection, logs::Settings)> {
    let tcti = parse_tcti(raw.tcti.as_deref().unwrap_or(vtpm::DEVICE));
    let tcti = tcti.map_err(|problem| problems.push(format!("{section}.tcti: {problem}"))).ok();
    let pcrs = pcrs(section, raw.pcrs, problems);
    let number = tcti.as_ref().and_then(kernels_number);
    let log =
        number.as_ref().map(|number| format!("/sys/kernel/security/tpm{number}/binary_bios_measurements"));
    let with_pcr_10 = pcrs.values().any(|indices| indices.contains(&10));
    // The kernel measures files into its first TPM.
    let list = number.filter(|number| with_pcr_10 && number == "0").map(|_| IMA_LOG.to_owned());
    let mut source = |name, written, usual| source(&format!("{section}.{name}"), written, usual, problems);
    let logs = logs::Settings {
        event_log: source("event_log", raw.event_log, log),
        ima_log: source("ima_log", raw.ima_log, list),
        measured: None,
    };
    if matches!(logs.ima_log, Source::Named(_)) && !with_pcr_10 {
        problems
            .push(format!("{section}.ima_log: PCR 10, by which a list is judged, is not in {section}.pcrs"));
    }
    Some((tcti?, pcrs, logs))
}

/// `0` of `/dev/tpmrm0`; none if the TPM is not the kernel's.
fn kernels_number(tcti: &TctiNameConf) -> Option<String> {
    let path = vtpm::device(tcti)?;
    let name = path.to_str()?;
    let number = name.strip_prefix("/dev/tpmrm").or_else(|| name.strip_prefix("/dev/tpm"))?;
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then(|| number.to_owned())
}

fn source(name: &str, written: Option<PathBuf>, usual: Option<String>, problems: &mut Vec<String>) -> Source {
    let Some(path) = written else {
        return usual.map_or(Source::Off, |usual| Source::Usual(usual.into()));
    };
    if path == Path::new("none") {
        return Source::Off;
    }
    if !path.is_absolute() {
        problems.push(format!("{name}: expected an absolute path or none, found {}", path.display()));
    }
    Source::Named(path)
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

fn pcrs(
    section: &str,
    written: Option<BTreeMap<String, Vec<u32>>>,
    problems: &mut Vec<String>,
) -> vtpm::Selection {
    let Some(banks) = written else {
        return vtpm::Selection::from([(Hash::Sha256, PCRS.into_iter().collect())]);
    };
    let mut selection = vtpm::Selection::new();
    for (name, indices) in banks {
        match BANKS.into_iter().find(|bank| bank.to_string() == name) {
            Some(bank) => drop(selection.insert(bank, indices.iter().copied().collect::<BTreeSet<_>>())),
            None => {
                problems
                    .push(format!("{section}.pcrs: expected sha1, sha256, sha384 or sha512, found {name:?}"));
            }
        }
        if let Some(index) = indices.iter().find(|index| **index > 23) {
            problems.push(format!("{section}.pcrs.{name}: expected 0 to 23, found {index}"));
        }
        if indices.is_empty() {
            problems.push(format!("{section}.pcrs.{name}: empty"));
        }
    }
    if selection.is_empty() {
        problems.push(format!("{section}.pcrs: no bank is selected"));
    }
    selection
}

/// Firmware, boot loader, kernel and its command line, what this agent adds to 14, and the cluster in 15; not IMA's
/// PCR 10, which moves while we look.
const PCRS: [u32; 14] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 14, 15];
/// Where a key is made unless the file says otherwise.
const AK: u32 = 0x8101_0002;
const IMA_LOG: &str = "/sys/kernel/security/ima/binary_runtime_measurements";
const BANKS: [Hash; 4] = [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512];
