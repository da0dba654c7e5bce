//! `cargo xtask ci`: what a change has to pass, in stages, cheap ones first.
//!
//! All stages run, so that one run shows all that is wrong. The main one is `cargo xtask test` itself. The attacks come last, in one
//! virtual machine after the other for as long as there is time: a machine that had to build all its tools has less.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::bench::{self, Length};
use crate::child;
use crate::house::House;
use crate::{attacks, demo, layers, measure, package, statics, suite, tools, vm, wasm};

type Stage = (&'static str, fn(&House) -> Result<()>);

const STAGES: [Stage; 14] = [
    // The network is needed in these two, and in `static` and `wasm` where our compiler has no library for them.
    ("fetch", fetch),
    ("tools", |house| tools::ensure(house).and_then(|_| vm::ensure(house)).map(drop)),
    ("fmt", |house| child::run(child::cargo(&house.root).args(["fmt", "--all", "--check"]))),
    ("layers", layers::run),
    ("measure", measure::run),
    ("clippy", clippy),
    ("doc", doc),
    ("deny", deny),
    ("test", suite::run),
    ("package", package::run),
    ("static", statics::run),
    ("wasm", wasm::run),
    ("demo", demo::every),
    ("bench", |house| bench::run(house, Length::Smoke)),
];

/// Where the attacks are tried, and after how long no more: the first takes the compiler of the programs in the kernel, too, and
/// 90 minutes is the limit of all.
const ATTACKS: [(&str, [&str; 4], Duration); 4] = [
    ("6.12-fmod", ["--kernel", "6.12", "--lsm", "without-bpf"], Duration::from_hours(1)),
    ("6.1-lsm", ["--kernel", "6.1", "--lsm", "default"], Duration::from_mins(70)),
    ("6.1-fmod", ["--kernel", "6.1", "--lsm", "without-bpf"], Duration::from_mins(72)),
    ("6.12-lsm", ["--kernel", "6.12", "--lsm", "default"], Duration::from_mins(74)),
];

pub(crate) fn run(house: &House) -> Result<()> {
    let began = Instant::now();
    let mut report = Vec::new();
    for (name, stage) in STAGES {
        report.push(staged(name, || stage(house)));
    }
    let mut untried = Vec::new();
    for (name, words, latest) in ATTACKS {
        if std::env::consts::ARCH == "x86_64" && began.elapsed() < latest {
            report.push(staged(name, || attacks::run(house, &words)));
        } else {
            untried.push(name);
        }
    }
    println!("\n== summary");
    for (name, outcome, time) in &report {
        println!("{}", line(name, outcome.is_ok(), *time));
    }
    if !untried.is_empty() {
        println!("attacks that were not tried, for want of time: {}", untried.join(" "));
    }
    let failed: Vec<&str> =
        report.iter().filter(|(_, outcome, _)| outcome.is_err()).map(|(name, ..)| *name).collect();
    if !failed.is_empty() {
        bail!("stages that failed: {}", failed.join(" "));
    }
    Ok(())
}

fn staged(name: &str, stage: impl FnOnce() -> Result<()>) -> (&str, Result<()>, Duration) {
    println!("\n== {name}");
    let start = Instant::now();
    let outcome = stage();
    if let Err(error) = &outcome {
        println!("{name}: {error:#}");
    }
    (name, outcome, start.elapsed())
}

fn line(name: &str, passed: bool, time: Duration) -> String {
    let verdict = if passed { "passed" } else { "FAILED" };
    format!("{name:<10}{verdict}{:>9.1} s", time.as_secs_f64())
}

fn fetch(house: &House) -> Result<()> {
    child::twice(|| child::run(child::cargo(&house.root).args(["fetch", "--locked"])))?;
    tools::cargo_deny(house).map(drop)
}

// All packages in one go: one by one, each choice of features would build the dependencies anew.
fn clippy(house: &House) -> Result<()> {
    let mut cargo = child::cargo(&house.root);
    cargo.args(["clippy", "--quiet", "--workspace", "--all-targets", "--keep-going"]);
    child::run(cargo.args(["--", "--deny", "warnings"]))
}

fn doc(house: &House) -> Result<()> {
    let mut cargo = child::cargo(&house.root);
    cargo.args(["doc", "--quiet", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings");
    child::run(&mut cargo)
}

// Not advisories: their database cannot be had everywhere that this runs.
fn deny(house: &House) -> Result<()> {
    let mut deny = std::process::Command::new(tools::cargo_deny(house)?);
    deny.current_dir(&house.root).args([
        "--offline",
        "--log-level",
        "error",
        "check",
        "bans",
        "licenses",
        "sources",
    ]);
    child::run(&mut deny)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_stage_stands_out() {
        assert_eq!(line("fmt", true, Duration::from_millis(1260)), "fmt       passed      1.3 s");
        assert_eq!(line("test", false, Duration::from_secs(61)), "test      FAILED     61.0 s");
    }
}
