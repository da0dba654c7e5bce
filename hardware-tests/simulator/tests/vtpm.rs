//! A real software TPM, asked by tpm2-tools.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot set up or read its TPM has failed; a skip says so"
)]

use std::fs;
use std::process::{Command, Output};

use simulator::vtpm::{Vtpm, manufacture};
use tempfile::TempDir;

#[test]
fn a_started_tpm_answers_at_once() {
    if missing(&["swtpm", "tpm2_getcap"]) {
        return;
    }
    let vtpm = Vtpm::start().unwrap();
    let banks = ask(&vtpm, "tpm2_getcap", &["pcrs"]);
    assert!(banks.contains("sha256"), "{banks}");
}

#[test]
fn several_tpms_run_side_by_side() {
    if missing(&["swtpm", "tpm2_getrandom"]) {
        return;
    }
    let tpms: Vec<Vtpm> = (0..4).map(|_| Vtpm::start().unwrap()).collect();
    for vtpm in &tpms {
        assert_eq!(ask(vtpm, "tpm2_getrandom", &["--hex", "8"]).len(), 16);
    }
}

#[test]
fn a_power_cut_keeps_the_keys_and_counts_as_a_reset() {
    if missing(&["swtpm", "tpm2_readclock", "tpm2_createprimary"]) {
        return;
    }
    let state = TempDir::new().unwrap();
    let first = Vtpm::start_in(state.path()).unwrap();
    let (name, resets) = (primary(&first), reset_count(&first));
    drop(first);
    let again = Vtpm::start_in(state.path()).unwrap();
    assert_eq!(primary(&again), name);
    assert_eq!(reset_count(&again), resets.checked_add(1).unwrap());
}

#[test]
fn a_manufactured_tpm_carries_its_endorsement_certificate() {
    if missing(&["swtpm", "swtpm_setup", "swtpm_localca", "tpm2_nvread"]) {
        return;
    }
    let state = TempDir::new().unwrap();
    let endorsement = manufacture(state.path()).unwrap();
    for file in [&endorsement.issuer, &endorsement.root, &endorsement.ek_secp384r1] {
        assert!(fs::metadata(file).unwrap().len() > 100, "{}", file.display());
    }
    let vtpm = Vtpm::start_in(state.path()).unwrap();
    let in_nv = run(&vtpm, "tpm2_nvread", &["0x01c00002"]).stdout;
    assert_eq!(in_nv, fs::read(&endorsement.ek_rsa2048).unwrap());
}

fn primary(vtpm: &Vtpm) -> String {
    let scratch = TempDir::new().unwrap();
    let context = scratch.path().join("primary");
    let text = ask(vtpm, "tpm2_createprimary", &["-C", "o", "-G", "ecc", "-c", context.to_str().unwrap()]);
    text.lines().filter(|line| line.trim_start().starts_with("x:")).collect()
}

fn reset_count(vtpm: &Vtpm) -> u32 {
    let text = ask(vtpm, "tpm2_readclock", &[]);
    let line = text.lines().find_map(|line| line.trim().strip_prefix("reset_count:")).unwrap();
    line.trim().parse().unwrap()
}

fn ask(vtpm: &Vtpm, program: &str, arguments: &[&str]) -> String {
    String::from_utf8(run(vtpm, program, arguments).stdout).unwrap()
}

fn run(vtpm: &Vtpm, program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).env("TPM2TOOLS_TCTI", vtpm.tcti()).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Whether a program is not installed; says so, and is not tolerated under `REQUIRE=swtpm`.
fn missing(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let Some(absent) = programs.iter().find(|program| !installed(program)) else {
        return false;
    };
    let required = std::env::var("REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|feature| feature == "swtpm"), "{absent} is not installed");
    eprintln!("SKIP vtpm: {absent} is not installed");
    true
}
