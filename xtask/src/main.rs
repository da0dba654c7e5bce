//! `cargo xtask TASK`: everything that is done to this repository, each task one word.
//!
//! A task reads the repository, runs the ordinary tools (cargo, apt, pip, bao) and says what it found.
//! Trusted: the checkout. Untrusted: nothing; no task takes input from outside it.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a task talks to the person who runs it")]

use std::process::ExitCode;

use house::House;

mod attacks;
mod bench;
mod bpf;
mod child;
mod ci;
mod demo;
mod helm;
mod house;
mod kubebed;
mod layers;
mod measure;
mod package;
mod runtimes;
mod rust;
mod statics;
mod suite;
mod tally;
mod tools;
mod vectors;
mod vm;
mod wasm;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match House::find().and_then(|house| dispatch(&house, &words)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(house: &House, words: &[&str]) -> anyhow::Result<()> {
    match words {
        ["demo"] => demo::run(house, "snp"),
        ["demo", "--tee", name] => demo::run(house, name),
        ["test"] => suite::run(house),
        ["ci"] => ci::run(house),
        ["layers"] => layers::run(house),
        ["measure"] => measure::run(house),
        ["vectors", dir] => vectors::run(house, dir.as_ref()),
        ["bench"] => bench::run(house, bench::Length::Full),
        ["bench", "--smoke"] => bench::run(house, bench::Length::Smoke),
        ["package"] => package::run(house),
        ["static"] => statics::run(house),
        ["attacks", words @ ..] => attacks::run(house, words),
        ["bpf"] => bpf::run(house),
        ["wasm"] => wasm::run(house),
        ["tools"] => tools::ensure(house).and_then(|_| vm::ensure(house)).map(drop),
        _ => anyhow::bail!("expected one of {USAGE}; found {:?}", words.join(" ")),
    }
}

const USAGE: &str = "demo [--tee NAME], test, ci, layers, measure, package, static, bpf, attacks [--here] [--bench] [--forbid KINDS] \
[--kernel V] [--lsm L] [--only PROBE], wasm, vectors DIR, bench [--smoke], tools";
