//! `cargo xtask attacks`: root's ways to a secret, each tried with and without the enforcer, in machines of our own.
//!
//! Debian's kernels 6.1 and 6.12, for who asks also 6.18 and Ubuntu's 5.15, each with and without `bpf` among its security modules; it fails when
//! an attack works that `docs/known-limits.md` does not argue for. `--here` tries them on this machine instead, in a control
//! group of their own, and fails when an attack works of which the enforcer's matrix says that it is refused.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::house::House;
use crate::statics::{self, Build};
use crate::{bpf, child, vm};

pub(crate) fn run(house: &House, words: &[&str]) -> Result<()> {
    let object = bpf::ensure(house)?;
    programs(house)?;
    // What is measured is what is shipped.
    let build = if words.contains(&"--bench") { Build::Shipped } else { Build::Tests };
    let enforcer = statics::enforcer(house, build)?;
    let mut cargo = child::cargo(&house.root);
    cargo.args(["run", "--quiet", "--package", "cloudtaser-vm", "--example", "attacks", "--"]);
    for (option, program) in [("--attacks", "cloudtaser-attacks"), ("--costs", "cloudtaser-costs")] {
        cargo.arg(option).arg(built(house, program));
    }
    cargo
        .arg("--enforcer")
        .arg(&enforcer)
        .arg("--object")
        .arg(&object)
        .arg("--limits")
        .arg(house.root.join(LIMITS))
        .args(words);
    if !words.contains(&"--here") {
        let kit = vm::ensure(house)?.context("the machine's kernels are those for x86_64")?;
        for kernel in words {
            vm::more(&kit, kernel)?;
        }
        cargo.env("CLOUDTASER_VM", kit);
    }
    child::run(&mut cargo)
}

fn programs(house: &House) -> Result<()> {
    let mut cargo = child::cargo(&house.root);
    cargo.args(["build", "--quiet", "--bins"]);
    for package in ["cloudtaser-attacks", "cloudtaser-vm"] {
        cargo.args(["--package", package]);
    }
    child::run(&mut cargo)
}

fn built(house: &House, program: &str) -> PathBuf {
    house.target.join("debug").join(program)
}

const LIMITS: &str = "docs/known-limits.md";
