//! `cargo xtask static`: what is one static file. The wrapper, which runs in an image of any distribution, or of none; and the
//! enforcer, which is known by its file: what is loaded into a program is not.
//!
//! They are built against musl, held to their size, and looked at: a program that asks for a loader is not static. Where
//! rustup has no standard library for musl, nothing is built and that is said.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::child::{self, which};
use crate::house::House;

const TARGET: &str = "x86_64-unknown-linux-musl";
/// Each with the most bytes that it may have: what an image grows by, or a node.
const PROGRAMS: [(&str, u64); 2] = [("cloudtaser-wrapper", 6_000_000), (ENFORCER, 6_000_000)];
const ENFORCER: &str = "cloudtaser-enforcer";

pub(crate) fn run(house: &House) -> Result<()> {
    if !can_build()? {
        return Ok(());
    }
    for (name, most) in PROGRAMS {
        let program = build(house, name, "release")?;
        let file = std::fs::read(&program).with_context(|| program.display().to_string())?;
        let size = u64::try_from(file.len())?;
        ensure!(size <= most, "{name}: expected at most {most} bytes, found {size}");
        ensure!(
            !asks_for_a_loader(&file),
            "{name}: expected a static program, found one that asks for a loader"
        );
        let help = child::read(Command::new(&program).arg("--help"));
        help.with_context(|| format!("the static {name} does not run"))?;
        println!("{}: static, {size} bytes of at most {most}", program.display());
    }
    Ok(())
}

/// Which build of the enforcer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Build {
    /// The one of tests.
    Tests,
    /// The one that is shipped.
    Shipped,
}

/// The enforcer, for the attacks on it.
pub(crate) fn enforcer(house: &House, of: Build) -> Result<PathBuf> {
    ensure!(can_build()?, "the enforcer has to be static: what is loaded into it would be the enforcer, too");
    build(house, ENFORCER, if of == Build::Shipped { "release" } else { "dev" })
}

fn can_build() -> Result<bool> {
    if which("rustup").is_none() && !has_library() {
        println!("SKIP static: no standard library for {TARGET}, and no rustup to bring one");
        return Ok(false);
    }
    if !has_library() {
        child::twice(|| child::run(Command::new("rustup").args(["target", "add", TARGET])))?;
    }
    Ok(true)
}

fn build(house: &House, name: &str, profile: &str) -> Result<PathBuf> {
    let mut cargo = child::cargo(&house.root);
    cargo.args(["build", "--quiet", "--package", name, "--bin", name]);
    child::run(cargo.args(["--profile", profile, "--target", TARGET]))?;
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(house.target.join(TARGET).join(folder).join(name))
}

fn has_library() -> bool {
    let mut rustc = Command::new("rustc");
    let folder = child::read(rustc.args(["--print", "target-libdir", "--target", TARGET]));
    folder.is_ok_and(|folder| std::path::Path::new(folder.trim()).is_dir())
}

/// Whether an ELF file names an interpreter: a program header of type `PT_INTERP` (System V gABI, "Program Header").
fn asks_for_a_loader(file: &[u8]) -> bool {
    const INTERPRETER: u32 = 3;
    const HEADER: usize = 56;
    let number = |at: usize, len: usize| -> Option<u64> {
        let bytes = file.get(at..at.checked_add(len)?)?;
        Some(bytes.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    };
    let headers = || -> Option<Vec<u64>> {
        let start = usize::try_from(number(32, 8)?).ok()?;
        let count = usize::try_from(number(56, 2)?).ok()?;
        (0..count).map(|index| number(start.checked_add(index.checked_mul(HEADER)?)?, 4)).collect()
    };
    // What cannot be read is no program of ours.
    headers().is_none_or(|types| types.contains(&u64::from(INTERPRETER)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_was_linked_dynamically_asks_for_a_loader() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(asks_for_a_loader(&own));
    }

    #[test]
    fn what_is_no_program_is_not_static() {
        assert!(asks_for_a_loader(b"#!/bin/sh\n"));
    }
}
