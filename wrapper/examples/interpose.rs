//! Hands the values of a file (`NAME=value` lines) to a program, by the first of these ways that works.
//!
//! `cargo run --example interpose -- FILE WAY[,WAY ...] PROGRAM [ARGUMENT ...]`

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow};
use secretmem::Builder;
use wrapper::config::{Audience, Mode, Supervision, Way};
use wrapper::graft::Secrets;
use wrapper::harden;
use wrapper::interpose::Ways;
use wrapper::keeper::{Keeper, Memory};
use wrapper::signals::Signals;
use wrapper::stem::{self, Made, Order, Planted, Stem};

fn main() -> Result<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let file = arguments.next().ok_or_else(|| anyhow!("no file given"))?;
    let ways = arguments.next().ok_or_else(|| anyhow!("no way given"))?;
    let ways = ways.to_str().unwrap_or_default().split(',').map(way).collect::<Result<Vec<_>>>()?;
    let words: Vec<OsString> = arguments.collect();
    harden::harden()?;
    let signals = Signals::block()?;
    match stem::plant()? {
        Planted::Keeper(stem) => {
            let secrets = secrets(&fs::read_to_string(file)?)?;
            keep(&stem, secrets, &signals, Ways::new(&ways, &words))
        }
        Planted::Made(Made { order: Order::Program(start), line }) => {
            Ok(ExitCode::from(Made::exec(start, &words, &line)))
        }
        Planted::Made(_) | Planted::Over => Ok(ExitCode::SUCCESS),
    }
}

fn keep(stem: &Stem, secrets: Secrets, signals: &Signals, ways: Ways<'_>) -> Result<ExitCode> {
    let conduct = Supervision { mode: Mode::Supervise, signals: Audience::Program, kill_after: None };
    match Keeper::new(stem, signals, &conduct, &[], Memory::Given).by(ways).run_with(secrets) {
        Ok(code) => Ok(ExitCode::from(code)),
        Err(error) => {
            let code = error.exit_code();
            writeln!(std::io::stderr(), "{error}").context("standard error")?;
            Ok(ExitCode::from(code))
        }
    }
}

fn way(word: &str) -> Result<Way> {
    match word {
        "graft" => Ok(Way::Graft),
        "constructor" => Ok(Way::Constructor),
        "getenv" => Ok(Way::Getenv),
        "environ" => Ok(Way::Environ),
        _unknown => Err(anyhow!("no such way")),
    }
}

fn secrets(text: &str) -> Result<Secrets> {
    let mut builder = Builder::with_capacity(text.len())?;
    let mut entries = Vec::new();
    for line in text.lines() {
        let (name, value) = line.split_once('=').ok_or_else(|| anyhow!("a line without `=`"))?;
        entries.push((name.to_owned(), builder.push(value.as_bytes())?));
    }
    Ok(Secrets::new(builder.freeze()?, entries)?)
}
