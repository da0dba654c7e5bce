//! `cargo xtask static`: the wrapper as one static file, which runs in an image of any distribution, or of none.
//!
//! It is built against musl, held to its size, and looked at: a program that asks for a loader is not static. Where
//! rustup has no standard library for musl, nothing is built and that is said.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::child::{self, which};
use crate::house::House;

const TARGET: &str = "x86_64-unknown-linux-musl";
const PROGRAM: &str = "cloudtaser-wrapper";
/// What an image grows by at most.
const MOST: u64 = 6_000_000;

pub(crate) fn run(house: &House) -> Result<()> {
    let Some(program) = build(house)? else { return Ok(()) };
    let file = std::fs::read(&program).with_context(|| program.display().to_string())?;
    let size = u64::try_from(file.len())?;
    ensure!(size <= MOST, "{PROGRAM}: expected at most {MOST} bytes, found {size}");
    ensure!(
        !asks_for_a_loader(&file),
        "{PROGRAM}: expected a static program, found one that asks for a loader"
    );
    child::read(Command::new(&program).arg("--help")).context("the static wrapper does not run")?;
    println!("{}: static, {size} bytes of at most {MOST}", program.display());
    Ok(())
}

fn build(house: &House) -> Result<Option<PathBuf>> {
    if which("rustup").is_none() && !has_library() {
        println!("SKIP static: no standard library for {TARGET}, and no rustup to bring one");
        return Ok(None);
    }
    if !has_library() {
        child::twice(|| child::run(Command::new("rustup").args(["target", "add", TARGET])))?;
    }
    let mut cargo = child::cargo(&house.root);
    cargo.args(["build", "--quiet", "--release", "--package", PROGRAM, "--target", TARGET]);
    child::run(&mut cargo)?;
    Ok(Some(house.target.join(TARGET).join("release").join(PROGRAM)))
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
