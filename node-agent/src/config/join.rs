//! `[openbao]` and `[join]`: who judges this machine, and as what it joins.
//!
//! Trusted: whoever may write the file.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use attest::Platform;
use release_client::{Authority, Server, address_problem};
use serde::Deserialize;

use super::Hardware;
use crate::join::Settings;

/// `[openbao]` as it was written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOpenBao {
    address: String,
    ca_file: Option<PathBuf>,
    namespace: Option<String>,
    mount: Option<String>,
}

/// `[join]` as it was written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawJoin {
    enabled: Option<bool>,
    role: String,
    node: Option<String>,
    cluster_id: Option<String>,
    enrol: Option<bool>,
    interval: Option<u64>,
    #[serde(default)]
    watch: Vec<PathBuf>,
}

/// What both mean together.
pub(super) fn join(
    openbao: Option<RawOpenBao>,
    join: Option<RawJoin>,
    hardware: &mut BTreeMap<Platform, Hardware>,
    problems: &mut Vec<String>,
) -> Option<Settings> {
    let (openbao, join) = match (openbao, join) {
        (None, None) => return None,
        (_, Some(join)) if join.enabled == Some(false) => return None,
        (Some(openbao), Some(join)) => (openbao, join),
        (Some(_), None) => {
            problems.push("openbao: expected a section [join] too, which says as what to join".to_owned());
            return None;
        }
        (None, Some(_)) => {
            problems.push("join: expected a section [openbao] too, which says who judges".to_owned());
            return None;
        }
    };
    let mount = openbao.mount.as_deref().unwrap_or(MOUNT).trim_matches('/').to_owned();
    if !mount.split('/').all(is_segment) {
        problems
            .push(format!("openbao.mount: expected letters, digits, '.', '_', '-' and '/', found {mount:?}"));
    }
    Some(Settings {
        server: server(openbao, problems),
        mount,
        node: node(join.node, problems),
        role: named("join.role", join.role, problems),
        cluster: join.cluster_id.map(|id| cluster(id, hardware, problems)),
        enrols: join.enrol.is_some_and(|enrol| enrol && has_tpm(hardware, problems)),
        interval: interval(join.interval, problems),
        watch: watch(join.watch, problems),
    })
}

fn server(openbao: RawOpenBao, problems: &mut Vec<String>) -> Server {
    if let Some(problem) = address_problem(&openbao.address) {
        problems.push(format!("openbao.address: {problem}"));
    }
    let file = openbao.ca_file.unwrap_or_else(|| AUTHORITIES.into());
    if !file.is_absolute() {
        problems.push(format!("openbao.ca_file: expected an absolute path, found {}", file.display()));
    }
    // Plain HTTP goes to this machine only, and has no certificate.
    let authority = if openbao.address.starts_with("http://") {
        Authority::InsecureNobody
    } else {
        Authority::File(file)
    };
    Server { namespace: openbao.namespace, ..Server::new(openbao.address, authority) }
}

/// The name in the file, else the one that Kubernetes gave the pod's node, else the machine's own.
fn node(written: Option<String>, problems: &mut Vec<String>) -> String {
    let given = written.or_else(|| std::env::var_os("NODE_NAME")?.into_string().ok());
    let own = || fs::read_to_string(HOST_NAME).map(|name| name.trim().to_owned()).unwrap_or_default();
    named("join.node", given.unwrap_or_else(own), problems)
}

fn cluster(id: String, hardware: &mut BTreeMap<Platform, Hardware>, problems: &mut Vec<String>) -> String {
    if hardware.values().all(|hardware| hardware.cluster_register().is_none()) {
        let why = "no hardware that is enabled has a register for it";
        problems.push(format!(
            "join.cluster_id: expected a section [tdx], [tpm], [nitro], [nitro-tpm] or [azure]: {why}"
        ));
    }
    hardware.values_mut().for_each(Hardware::quote_the_cluster);
    named("join.cluster_id", id, problems)
}

fn has_tpm(hardware: &BTreeMap<Platform, Hardware>, problems: &mut Vec<String>) -> bool {
    let found = hardware.contains_key(&Platform::Tpm2);
    if !found {
        problems.push("join.enrol: expected a section [tpm]: a TPM is what is enrolled".to_owned());
    }
    found
}

fn interval(written: Option<u64>, problems: &mut Vec<String>) -> Duration {
    let seconds = written.unwrap_or(INTERVAL);
    if !(1..=86_400).contains(&seconds) {
        problems.push(format!("join.interval: expected 1 to 86400 seconds, found {seconds}"));
    }
    Duration::from_secs(seconds)
}

fn watch(written: Vec<PathBuf>, problems: &mut Vec<String>) -> Vec<PathBuf> {
    if let Some(path) = written.iter().find(|path| !path.is_absolute()) {
        problems.push(format!("join.watch: expected absolute paths, found {}", path.display()));
    }
    if written.len() > MOST_WATCHED {
        problems.push(format!("join.watch: expected at most {MOST_WATCHED} paths, found {}", written.len()));
    }
    written
}

fn named(field: &str, name: String, problems: &mut Vec<String>) -> String {
    if name.len() > LONGEST_NAME || !is_segment(&name) {
        let expected = format!("expected 1 to {LONGEST_NAME} letters, digits, '.', '_' and '-'");
        problems.push(format!("{field}: {expected}, found {name:?}"));
    }
    name
}

fn is_segment(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !matches!(text, "" | "." | "..") && text.bytes().all(plain)
}

const MOUNT: &str = "auth/attest";
/// Debian's.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
const HOST_NAME: &str = "/proc/sys/kernel/hostname";
/// Five minutes: half of the verdict's usual life.
const INTERVAL: u64 = 300;
const MOST_WATCHED: usize = 64;
/// As Kubernetes' names of nodes.
const LONGEST_NAME: usize = 253;
