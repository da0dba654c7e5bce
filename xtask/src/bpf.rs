//! `cargo xtask bpf`: the enforcer's programs, as one object for every kernel.
//!
//! Debian's own compiler builds them (`rustc-web`, with a ready-made `core` for the target), bpf-linker links them; both
//! have the same LLVM. Neither touches the toolchain that builds the rest. Elsewhere `CLOUDTASER_BPF_OBJECT` names an
//! object that was built before, and `CLOUDTASER_BPF_LINKER` a linker.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::child;
use crate::house::House;
use crate::tools;

const DEBIAN: [&str; 5] =
    ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf", "llvm-22-dev", "libpolly-22-dev"];
const LINKER: &str = "0.13.0";
const TARGET: &str = "bpfel-unknown-none";

/// Builds the object, and says where it is.
pub(crate) fn run(house: &House) -> Result<()> {
    println!("{}", ensure(house)?.display());
    Ok(())
}

/// The object, up to date.
pub(crate) fn ensure(house: &House) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("CLOUDTASER_BPF_OBJECT") {
        return Ok(named.into());
    }
    build(house, "bpf", &[])
}

/// An object that has the programs of a benchmark, too; in a place of its own, so that nobody takes one for the other.
pub(crate) fn with_costs(house: &House) -> Result<PathBuf> {
    build(house, "bpf-cost", &["--features", "cost"])
}

fn build(house: &House, place: &str, more: &[&str]) -> Result<PathBuf> {
    tools::debian(&DEBIAN).context(
        "the compiler of the enforcer's programs; CLOUDTASER_BPF_OBJECT may name an object instead",
    )?;
    let linker = linker(house)?;
    let folder = linker.parent().context("the linker's folder")?;
    let target = house.target.join(place);
    let mut cargo = Command::new("/usr/bin/cargo");
    cargo.current_dir(house.root.join("enforcer/bpf"));
    for variable in ["RUSTFLAGS", "RUSTUP_TOOLCHAIN", "CARGO", "CARGO_BUILD_TARGET", "RUSTC_WRAPPER"] {
        cargo.env_remove(variable);
    }
    cargo.env("PATH", format!("/usr/bin:/bin:{}", folder.display()));
    cargo.env("RUSTC", "/usr/bin/rustc");
    // aya-ebpf and the programs alone may use what is not stable yet: they write a few instructions by hand.
    cargo.env("RUSTC_BOOTSTRAP", "aya_ebpf,enforcer");
    let arch = std::env::consts::ARCH;
    let flags = [&format!("--cfg=bpf_target_arch=\"{arch}\""), "-Cdebuginfo=2", "-Clink-arg=--btf"];
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    cargo
        .args(["build", "--quiet", "--release", "--locked", "--target", TARGET, "--target-dir"])
        .arg(&target)
        .args(more);
    child::twice(|| child::run(&mut cargo))?;
    let object = target.join(TARGET).join("release/enforcer");
    ensure!(object.is_file(), "expected {}, found nothing there", object.display());
    Ok(object)
}

fn linker(house: &House) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("CLOUDTASER_BPF_LINKER") {
        return Ok(named.into());
    }
    let root = house.target.join("tools/bpf-linker");
    let program = root.join("bin/bpf-linker");
    if !program.is_file() {
        eprintln!("xtask: building bpf-linker {LINKER}");
        child::twice(|| install(house, &root))?;
    }
    Ok(program)
}

fn install(house: &House, root: &Path) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let mut cargo = child::cargo(&house.root);
    cargo.args(["install", "--quiet", "--locked", "bpf-linker", "--version", LINKER]);
    cargo.args(["--no-default-features", "--features", "llvm-22", "--root"]).arg(root);
    cargo.env("LLVM_PREFIX", "/usr/lib/llvm-22");
    child::run(cargo.env("CARGO_TARGET_DIR", scratch.path()))
}
