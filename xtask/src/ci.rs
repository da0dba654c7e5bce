//! `cargo xtask ci`: what a change has to pass, in stages, cheap ones first.
//!
//! All stages run, so that one run shows all that is wrong. The main one is `cargo xtask test` itself.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::bench::{self, Length};
use crate::child;
use crate::house::House;
use crate::{demo, layers, measure, package, statics, suite, tools, vm, wasm};

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

pub(crate) fn run(house: &House) -> Result<()> {
    let mut report = Vec::new();
    for (name, stage) in STAGES {
        println!("\n== {name}");
        let start = Instant::now();
        let outcome = stage(house);
        if let Err(error) = &outcome {
            println!("{name}: {error:#}");
        }
        report.push((name, outcome.is_ok(), start.elapsed()));
    }
    println!("\n== summary");
    for (name, passed, time) in &report {
        println!("{}", line(name, *passed, *time));
    }
    let failed: Vec<&str> = report.iter().filter(|(_, passed, _)| !passed).map(|(name, ..)| *name).collect();
    if !failed.is_empty() {
        bail!("stages that failed: {}", failed.join(" "));
    }
    Ok(())
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
