//! `[snp]` and `[tdx]`: the kernel's report interface, and what goes with it.
//!
//! Trusted: whoever may write the file.

use std::path::{Path, PathBuf};

use attest::Platform;
use serde::Deserialize;

use super::Hardware;
use crate::tsm::{self, Address, Rtmr, SnpSettings, Tdx, TdxSettings};

/// `[snp]` as it was written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSnp {
    enabled: Option<bool>,
    path: Option<PathBuf>,
    device: Option<PathBuf>,
    privlevel: Option<u8>,
}

/// `[tdx]` as it was written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTdx {
    enabled: Option<bool>,
    path: Option<PathBuf>,
    device: Option<PathBuf>,
    quoting: Option<String>,
    event_log: Option<PathBuf>,
    register: Option<PathBuf>,
    facts_register: Option<PathBuf>,
}

pub(super) fn snp(raw: RawSnp, problems: &mut Vec<String>) -> Option<(Platform, Hardware)> {
    if raw.enabled == Some(false) {
        return None;
    }
    let mut path = |name, written, default| absolute(("snp", name), written, default, problems);
    let reports = path("path", raw.path, tsm::REPORTS);
    let device = path("device", raw.device, "/dev/sev-guest");
    if let Some(level) = raw.privlevel.filter(|level| *level > 3) {
        problems.push(format!("snp.privlevel: expected 0 to 3, found {level}"));
    }
    let settings = SnpSettings { path: reports, device, privlevel: raw.privlevel };
    Some((Platform::SevSnp, Hardware::Snp(settings)))
}

pub(super) fn tdx(raw: RawTdx, problems: &mut Vec<String>) -> Option<(Platform, Hardware)> {
    if raw.enabled == Some(false) {
        return None;
    }
    let mut path = |name, written, default| absolute(("tdx", name), written, default, problems);
    let reports = path("path", raw.path, tsm::REPORTS);
    let device = path("device", raw.device, "/dev/tdx_guest");
    let event_log = path("event_log", raw.event_log, Tdx::EVENT_LOG);
    let register = path("register", raw.register, Rtmr::RTMR_3);
    let facts_register = path("facts_register", raw.facts_register, Rtmr::RTMR_2);
    let quoting = raw.quoting.as_deref().map_or(Ok(Address::HOST), str::parse);
    if let Err(problem) = &quoting {
        problems.push(format!("tdx.quoting: {problem}"));
    }
    let settings = TdxSettings {
        path: reports,
        device,
        quoting: quoting.ok()?,
        event_log,
        register,
        facts_register,
        measured: None,
    };
    Some((Platform::Tdx, Hardware::Tdx(settings)))
}

/// A path of a section; only an absolute one means the same wherever the agent is started.
fn absolute(
    (section, name): (&str, &str),
    written: Option<PathBuf>,
    default: &str,
    problems: &mut Vec<String>,
) -> PathBuf {
    let path = written.unwrap_or_else(|| Path::new(default).to_owned());
    if !path.is_absolute() {
        problems.push(format!("{section}.{name}: expected an absolute path, found {}", path.display()));
    }
    path
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Hardware, Problems};
    use attest::Platform;

    use super::*;

    #[test]
    fn a_td_needs_no_word_but_its_section() {
        let config = Config::parse("allowed_uids = [0]\n[tdx]\n").unwrap();
        let Hardware::Tdx(td) = &config.hardware[&Platform::Tdx] else { panic!("{config:?}") };
        assert_eq!((&td.quoting, &td.path), (&Address::HOST, &PathBuf::from(tsm::REPORTS)));
        assert_eq!(config.prefer, Platform::Tdx);
    }

    #[test]
    fn every_problem_of_the_sections_is_told() {
        let text = "allowed_uids = [0]\n[snp]\ndevice = \"sev\"\n[tdx]\npath = \"report\"\nquoting = \"tcp:1\"\n\
                    event_log = \"CCEL\"\n";
        let Problems(problems) = Config::parse(text).unwrap_err();
        let expected = [
            "snp.device: expected an absolute path, found sev",
            "tdx.path: expected an absolute path, found report",
            "tdx.event_log: expected an absolute path, found CCEL",
            "tdx.quoting: expected vsock:CID:PORT or unix:/PATH, found \"tcp:1\"",
        ];
        assert_eq!(problems, expected);
    }
}
