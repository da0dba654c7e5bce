//! The systemd unit: understood by systemd, tight by its own measure, and wide enough for the agent.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use attest::Platform;
use tempfile::TempDir;

use crate::harness::{Agent, Guest, PROGRAM, request, skip, vtpm};

#[test]
fn systemd_understands_the_unit_and_has_nothing_to_say_of_it() {
    let Some((_folder, unit)) = installed() else { return };
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    assert_eq!(String::from_utf8_lossy(&verified.stderr), "");
}

/// systemd's own measure of exposure, from 0 to 10; without a sandbox it is 9.6. What is left is named in the unit.
#[test]
fn the_unit_exposes_little() {
    let Some((_folder, unit)) = installed() else { return };
    let mut measure = Command::new("systemd-analyze");
    measure.args(["security", "--no-pager", "--offline=true", "--threshold=25"]).arg(&unit);
    let measured = measure.output().unwrap();
    assert!(measured.status.success(), "{}", String::from_utf8_lossy(&measured.stdout));
}

#[test]
fn the_agent_makes_no_system_call_that_the_unit_forbids() {
    let Some((folder, _unit)) = installed() else { return };
    if Command::new("strace").arg("--version").output().is_err() {
        return skip("strace", "strace is not installed");
    }
    let (Some(guest), Some(tpm)) = (Guest::start(|machine| machine), vtpm()) else { return };
    let trace = folder.path().join("trace");
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-o"]).arg(&trace).arg(PROGRAM);
    let quotes = format!("[tpm]\ntcti = {:?}\ncreate_ak = true\nevent_log = \"none\"\n", tpm.tcti());
    let agent = Agent::start_as(traced, &format!("{}{quotes}[pods]\n", guest.config()));
    for platform in [Platform::SevSnp, Platform::Tpm2] {
        agent.evidence(&request(1, Some(platform)));
    }
    let made = called(&fs::read_to_string(&trace).unwrap());
    assert!(made.contains("accept4") && made.contains("mkdir"), "{made:?}");
    let allowed = allowed();
    let forbidden: Vec<_> = made.difference(&allowed).collect();
    assert!(forbidden.is_empty(), "{forbidden:?}");
}

/// The unit with our program in it, as it would be installed; or nothing where there is no systemd.
fn installed() -> Option<(TempDir, PathBuf)> {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        skip("systemd", "systemd-analyze is not installed");
        return None;
    }
    let folder = TempDir::new().unwrap();
    let unit = folder.path().join("cloudtaser-node-agent.service");
    fs::write(&unit, text().replace("/usr/bin/cloudtaser-node-agent", PROGRAM)).unwrap();
    Some((folder, unit))
}

fn text() -> String {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/cloudtaser-node-agent.service");
    fs::read_to_string(unit).unwrap()
}

/// The names in a trace: `1234 openat(AT_FDCWD, …`.
fn called(trace: &str) -> BTreeSet<String> {
    let name = |line: &str| {
        let (name, _) = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ').split_once('(')?;
        let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        (is_name && !name.is_empty()).then(|| name.to_owned())
    };
    trace.lines().filter_map(name).collect()
}

/// What the `SystemCallFilter` lines let pass: the sets of the first, without those after the tilde.
fn allowed() -> BTreeSet<String> {
    let mut allowed = expanded("@default");
    let text = text();
    for line in text.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=")) {
        match line.strip_prefix('~') {
            Some(taken) => taken.split(' ').for_each(|set| {
                let taken = expanded(set);
                allowed.retain(|call| !taken.contains(call));
            }),
            None => line.split(' ').for_each(|set| allowed.extend(expanded(set))),
        }
    }
    allowed
}

/// The calls in a set; sets are nested.
fn expanded(name: &str) -> BTreeSet<String> {
    if !name.starts_with('@') {
        return BTreeSet::from([name.to_owned()]);
    }
    let listed =
        Command::new("systemd-analyze").args(["syscall-filter", "--no-pager", name]).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let members =
        listed.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let members: BTreeSet<String> = members.flat_map(expanded).collect();
    assert!(!members.is_empty(), "{name}");
    members
}
