//! What the configuration file says.
//!
//! [`RawConfig`] is the TOML as it was written; [`Config`] is its meaning, made by one conversion that
//! collects every problem before it gives up. An unknown field is a problem: it may have been meant to
//! restrict something.
//!
//! Trusted: whoever may write the file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use attest::Platform;
use attest::crypto::Hash;
use serde::Deserialize;
use tss_esapi::handles::PersistentTpmHandle;
use tss_esapi::tcti_ldr::TctiNameConf;

use crate::{tsm, vtpm};

/// The file as it was written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    socket: Option<PathBuf>,
    socket_mode: Option<u32>,
    max_connections: Option<usize>,
    allowed_uids: Option<Vec<u32>>,
    #[serde(default)]
    endorsements: Vec<PathBuf>,
    prefer: Option<String>,
    snp: Option<RawSnp>,
    tpm: Option<RawTpm>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSnp {
    enabled: Option<bool>,
    path: Option<PathBuf>,
    privlevel: Option<u8>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTpm {
    enabled: Option<bool>,
    tcti: Option<String>,
    ak_handle: Option<u32>,
    pcrs: Option<BTreeMap<String, Vec<u32>>>,
}

/// What it means.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the agent listens.
    pub socket: PathBuf,
    /// The permission bits of the socket.
    pub socket_mode: u32,
    /// How many callers are served at a time.
    pub max_connections: usize,
    /// Who may call.
    pub allowed_uids: BTreeSet<u32>,
    /// Files, and directories of files, with certificates and revocation lists.
    pub endorsements: Vec<PathBuf>,
    /// Which hardware speaks when the caller does not say.
    pub prefer: Platform,
    /// SEV-SNP, if it is enabled.
    pub snp: Option<tsm::Settings>,
    /// The TPM, if it is enabled.
    pub tpm: Option<vtpm::Settings>,
}

/// Everything that is wrong with the configuration, together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} problem(s) in the configuration", self.0.len())?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl Config {
    /// Where the file is unless the command line says otherwise.
    pub const DEFAULT_PATH: &'static str = "/etc/cloudtaser/agent.toml";

    /// Reads and understands a file.
    pub fn read(path: &Path) -> Result<Self, Problems> {
        let unreadable = |error| Problems(vec![format!("{}: {error}", path.display())]);
        Self::parse(&std::fs::read_to_string(path).map_err(unreadable)?)
    }

    /// Understands the text of a file.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let raw: RawConfig = toml::from_str(text).map_err(|error| Problems(vec![error.to_string()]))?;
        raw.try_into()
    }
}

impl TryFrom<RawConfig> for Config {
    type Error = Problems;

    fn try_from(raw: RawConfig) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let snp = raw.snp.and_then(|section| snp(section, &mut problems));
        let tpm = raw.tpm.and_then(|section| tpm(section, &mut problems));
        let enabled: Vec<Platform> =
            [snp.as_ref().map(|_| Platform::SevSnp), tpm.as_ref().map(|_| Platform::Tpm2)]
                .into_iter()
                .flatten()
                .collect();
        let config = Self {
            socket: socket(raw.socket, &mut problems),
            socket_mode: socket_mode(raw.socket_mode, &mut problems),
            max_connections: max_connections(raw.max_connections, &mut problems),
            allowed_uids: allowed_uids(raw.allowed_uids, &mut problems),
            prefer: prefer(raw.prefer.as_deref(), &enabled, &mut problems),
            endorsements: raw.endorsements,
            snp,
            tpm,
        };
        if problems.is_empty() { Ok(config) } else { Err(Problems(problems)) }
    }
}

fn socket(written: Option<PathBuf>, problems: &mut Vec<String>) -> PathBuf {
    let path = written.unwrap_or_else(|| SOCKET.into());
    if !path.is_absolute() {
        problems.push(format!("socket: expected an absolute path, found {}", path.display()));
    }
    path
}

fn socket_mode(written: Option<u32>, problems: &mut Vec<String>) -> u32 {
    let mode = written.unwrap_or(SOCKET_MODE);
    // A mode written in decimal by mistake, such as 660, is larger than any mode.
    if mode > 0o777 {
        problems.push(format!("socket_mode: expected an octal number such as 0o660, found {mode}"));
    }
    mode
}

fn max_connections(written: Option<usize>, problems: &mut Vec<String>) -> usize {
    let most = written.unwrap_or(MAX_CONNECTIONS);
    if !(1..=1024).contains(&most) {
        problems.push(format!("max_connections: expected 1 to 1024, found {most}"));
    }
    most
}

fn allowed_uids(written: Option<Vec<u32>>, problems: &mut Vec<String>) -> BTreeSet<u32> {
    let Some(uids) = written else {
        problems.push("allowed_uids: missing; list the user ids that may ask for evidence".to_owned());
        return BTreeSet::new();
    };
    if uids.is_empty() {
        problems.push("allowed_uids: empty, so nobody could ask for evidence".to_owned());
    }
    if uids.contains(&OVERFLOW_UID) {
        let why = "the kernel gives it to every user of an unknown user namespace";
        problems.push(format!("allowed_uids: {OVERFLOW_UID} stands for nobody in particular: {why}"));
    }
    uids.into_iter().collect()
}

fn prefer(written: Option<&str>, enabled: &[Platform], problems: &mut Vec<String>) -> Platform {
    let Some(first) = enabled.first().copied() else {
        problems.push("no platform is enabled: expected a section [snp] or [tpm]".to_owned());
        return Platform::SevSnp;
    };
    let Some(name) = written else { return first };
    let has = [Platform::SevSnp, Platform::Tpm2];
    match Platform::named(name).filter(|platform| has.contains(platform)) {
        Some(platform) if enabled.contains(&platform) => platform,
        Some(platform) => {
            problems.push(format!("prefer: {platform} is not enabled"));
            first
        }
        None => {
            problems.push(format!("prefer: expected sev-snp or tpm2, found {name:?}"));
            first
        }
    }
}

fn snp(raw: RawSnp, problems: &mut Vec<String>) -> Option<tsm::Settings> {
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
    Some(tsm::Settings { path, privlevel: raw.privlevel })
}

fn tpm(raw: RawTpm, problems: &mut Vec<String>) -> Option<vtpm::Settings> {
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
    Some(vtpm::Settings { tcti: tcti.ok()?, ak: ak.ok()?, pcrs })
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

const SOCKET: &str = "/run/cloudtaser/agent.sock";
/// Anyone may knock: the list of user ids decides.
const SOCKET_MODE: u32 = 0o666;
const MAX_CONNECTIONS: usize = 64;
/// Linux' default `kernel.overflowuid`.
const OVERFLOW_UID: u32 = 65534;
/// Firmware, boot loader, kernel and its command line; not IMA's PCR 10, which moves while we look.
const PCRS: [u32; 13] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 14];
const BANKS: [Hash; 4] = [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_in_this_folder_is_understood() {
        let config = Config::parse(include_str!("../agent.example.toml")).unwrap();
        assert_eq!(config.socket, Path::new("/run/cloudtaser/agent.sock"));
        assert_eq!(config.prefer, Platform::SevSnp);
        assert_eq!(config.snp.unwrap().path, Path::new("/sys/kernel/config/tsm/report"));
        let tpm = config.tpm.unwrap();
        assert_eq!(u32::from(tpm.ak), 0x8101_0002);
        assert!(tpm.pcrs[&Hash::Sha256].contains(&7));
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let text = r#"
            socket = "agent.sock"
            socket_mode = 660
            max_connections = 0
            allowed_uids = [65534]
            prefer = "tpm2"
            [snp]
            privlevel = 4
            [tpm]
            tcti = "swtpm:path=/run/tpm"
            ak_handle = 0x80000000
            pcrs = { sha256 = [24], md5 = [1] }
        "#;
        let Problems(problems) = Config::parse(text).unwrap_err();
        let expected = [
            "snp.privlevel: expected 0 to 3, found 4",
            "tpm.pcrs: expected sha1, sha256, sha384 or sha512, found \"md5\"",
            "tpm.pcrs.sha256: expected 0 to 23, found 24",
            "tpm.tcti: expected host=ADDRESS,port=NUMBER, found \"swtpm:path=/run/tpm\"; path= is not supported",
            "tpm.ak_handle: expected 0x81000000 to 0x81ffffff, found 0x80000000",
            "socket: expected an absolute path, found agent.sock",
            "socket_mode: expected an octal number such as 0o660, found 660",
            "max_connections: expected 1 to 1024, found 0",
            "allowed_uids: 65534 stands for nobody in particular: the kernel gives it to every user of an \
             unknown user namespace",
            "prefer: tpm2 is not enabled",
        ];
        assert_eq!(problems, expected);
    }

    #[test]
    fn a_configuration_that_lets_nobody_in_or_asks_no_hardware_is_refused() {
        let Problems(problems) = Config::parse("[snp]\nenabled = false\n").unwrap_err();
        let expected = [
            "allowed_uids: missing; list the user ids that may ask for evidence",
            "no platform is enabled: expected a section [snp] or [tpm]",
        ];
        assert_eq!(problems, expected);
    }

    /// Lesson L5: a field that this version does not know may have been a restriction.
    #[test]
    fn l05_an_unknown_field_is_refused() {
        let Problems(problems) = Config::parse("allowed_uids = [0]\ndenied_uids = [1]\n[snp]\n").unwrap_err();
        assert!(problems[0].contains("unknown field `denied_uids`"), "{problems:?}");
        let Problems(problems) = Config::parse("allowed_uids = [0]\n[snp]\nvmpl = 1\n").unwrap_err();
        assert!(problems[0].contains("unknown field `vmpl`"), "{problems:?}");
    }
}
