//! What the configuration file says.
//!
//! [`RawConfig`] is the TOML as it was written; [`Config`] is its meaning, made by one conversion that
//! collects every problem before it gives up. An unknown field is a problem: it may have been meant to
//! restrict something.
//!
//! Trusted: whoever may write the file.

mod azure;
mod facts;
mod general;
mod hardware;
mod join;
mod kubernetes;
mod nitro;
mod pods;
mod tpm;
mod tsm;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use attest::Platform;
use serde::Deserialize;

use crate::caller;
use crate::rates::Pace;

pub use hardware::Hardware;
pub use tpm::{parse_handle, parse_tcti};

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
    requests_per_second: Option<u32>,
    requests_burst: Option<u32>,
    pods: Option<pods::RawPods>,
    snp: Option<tsm::RawSnp>,
    tdx: Option<tsm::RawTdx>,
    tpm: Option<tpm::RawTpm>,
    facts: Option<facts::RawFacts>,
    kubernetes: Option<kubernetes::RawKubernetes>,
    nitro: Option<nitro::RawNitro>,
    azure: Option<azure::RawAzure>,
    openbao: Option<join::RawOpenBao>,
    join: Option<join::RawJoin>,
    #[serde(rename = "nitro-tpm")]
    nitro_tpm: Option<nitro::RawNitroTpm>,
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
    /// How pods are known, if callers may be in some.
    pub pods: Option<caller::Settings>,
    /// How often each caller may ask.
    pub pace: Pace,
    /// Files, and directories of files, with certificates and revocation lists.
    pub endorsements: Vec<PathBuf>,
    /// Which hardware speaks when the caller does not say.
    pub prefer: Platform,
    /// The hardware that is enabled.
    pub hardware: BTreeMap<Platform, Hardware>,
    /// What the system says of itself, if it is measured.
    pub facts: Option<crate::facts::Settings>,
    /// This machine's Node, if it is to say how the machine stands.
    pub kubernetes: Option<crate::kubernetes::Settings>,
    /// What the machine joins, if it joins something.
    pub join: Option<crate::join::Settings>,
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
        // A new platform is a line here.
        let mut hardware: BTreeMap<Platform, Hardware> = [
            raw.snp.and_then(|section| tsm::snp(section, &mut problems)),
            raw.tdx.and_then(|section| tsm::tdx(section, &mut problems)),
            raw.tpm.and_then(|section| tpm::tpm(section, &mut problems)),
            raw.nitro.and_then(|section| nitro::nitro(section, &mut problems)),
            raw.azure.and_then(|section| azure::azure(section, &mut problems)),
            raw.nitro_tpm.and_then(|section| nitro::nitro_tpm(section, &mut problems)),
        ]
        .into_iter()
        .flatten()
        .collect();
        let join = join::join(raw.openbao, raw.join, &mut hardware, &mut problems);
        let pods = raw.pods.as_ref().and_then(|section| pods::pods(section, &mut problems));
        let kubernetes = raw.kubernetes.and_then(|section| kubernetes::kubernetes(section, &mut problems));
        if kubernetes.is_some() && join.is_none() {
            problems.push(
                "kubernetes: expected a section [join] too: its outcome is what the Node says".to_owned(),
            );
        }
        let facts = raw.facts.and_then(|section| facts::facts(section, &mut hardware, &mut problems));
        let config = Self {
            socket: general::socket(raw.socket, &mut problems),
            socket_mode: general::socket_mode(raw.socket_mode, &mut problems),
            max_connections: general::max_connections(raw.max_connections, &mut problems),
            allowed_uids: general::allowed_uids(raw.allowed_uids, pods.is_some(), &mut problems),
            pods,
            pace: pods::pace(raw.requests_per_second, raw.requests_burst, &mut problems),
            prefer: hardware::prefer(raw.prefer.as_deref(), &hardware, &mut problems),
            endorsements: raw.endorsements,
            hardware,
            facts,
            kubernetes,
            join,
        };
        if problems.is_empty() { Ok(config) } else { Err(Problems(problems)) }
    }
}

#[cfg(test)]
mod tests {
    use attest::crypto::Hash;

    use super::*;

    #[test]
    fn the_example_in_this_folder_is_understood() {
        let config = Config::parse(include_str!("../../agent.example.toml")).unwrap();
        assert_eq!(config.socket, Path::new("/run/cloudtaser/agent.sock"));
        assert_eq!(config.prefer, Platform::SevSnp);
        let Hardware::Snp(snp) = &config.hardware[&Platform::SevSnp] else { panic!("{config:?}") };
        assert_eq!(snp.path, Path::new("/sys/kernel/config/tsm/report"));
        let Hardware::Tpm(tpm) = &config.hardware[&Platform::Tpm2] else { panic!("{config:?}") };
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
            "tpm.ak_handle: expected 0x81000000 to 0x81ffffff, found 0x80000000",
            "tpm.tcti: expected host=ADDRESS,port=NUMBER, found \"swtpm:path=/run/tpm\"; path= is not supported",
            "tpm.pcrs: expected sha1, sha256, sha384 or sha512, found \"md5\"",
            "tpm.pcrs.sha256: expected 0 to 23, found 24",
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
            "no platform is enabled: expected a section [snp], [tdx], [tpm], [nitro], [nitro-tpm] or [azure]",
        ];
        assert_eq!(problems, expected);
    }

    #[test]
    fn all_problems_of_a_member_are_told_at_once() {
        let text = r#"
            allowed_uids = [0]
            [snp]
            [openbao]
            address = "http://bao.example:8200"
            ca_file = "ca.pem"
            mount = "auth//attest"
            [join]
            role = "a/b"
            node = ".."
            cluster_id = ""
            enrol = true
            interval = 0
            watch = ["enforcer.sock"]
        "#;
        let names = "expected 1 to 253 letters, digits, '.', '_' and '-'";
        let Problems(problems) = Config::parse(text).unwrap_err();
        let expected = [
            "openbao.mount: expected letters, digits, '.', '_', '-' and '/', found \"auth//attest\"",
            "openbao.address: expected https://HOST[:PORT], or http:// to this machine",
            "openbao.ca_file: expected an absolute path, found ca.pem",
            &format!("join.node: {names}, found \"..\""),
            &format!("join.role: {names}, found \"a/b\""),
            "join.cluster_id: expected a section [tdx], [tpm], [nitro], [nitro-tpm] or [azure]: no hardware that is enabled has a register for it",
            &format!("join.cluster_id: {names}, found \"\""),
            "join.enrol: expected a section [tpm]: a TPM is what is enrolled",
            "join.interval: expected 1 to 86400 seconds, found 0",
            "join.watch: expected absolute paths, found enforcer.sock",
        ];
        assert_eq!(problems, expected);
        let Problems(problems) =
            Config::parse("allowed_uids = [0]\n[snp]\n[join]\nrole = \"node\"\n").unwrap_err();
        assert_eq!(problems, ["join: expected a section [openbao] too, which says who judges"]);
    }

    #[test]
    fn the_register_that_names_the_cluster_is_quoted() {
        let text = |join: &str| {
            let openbao = "[openbao]\naddress = \"https://bao:8200\"\n[join]\nrole = \"node\"\n";
            format!(
                "allowed_uids = [0]\n[tpm]\nak_handle = 0x81010002\npcrs = {{ sha256 = [7] }}\n{openbao}{join}"
            )
        };
        for (join, pcrs) in [("", vec![7]), ("cluster_id = \"blue\"\n", vec![7, 15])] {
            let config = Config::parse(&text(join)).unwrap();
            let Hardware::Tpm(tpm) = &config.hardware[&Platform::Tpm2] else { panic!("{config:?}") };
            assert_eq!(tpm.pcrs[&Hash::Sha256], pcrs.into_iter().collect());
        }
    }

    #[test]
    fn a_node_that_nobody_would_mark_is_refused() {
        let text = "allowed_uids = [0]\n[snp]\n[kubernetes]\nnode = \"n\"\nserver = \"https://10.0.0.1\"\n";
        let Problems(problems) = Config::parse(text).unwrap_err();
        assert_eq!(
            problems,
            ["kubernetes: expected a section [join] too: its outcome is what the Node says"]
        );
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
