//! Hands the values of a file (`NAME=value` lines) to a program, as the wrapper does with released secrets.
//!
//! `cargo run --example graft -- FILE PROGRAM [ARGUMENT ...]`

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use secretmem::Builder;
use wrapper::config::{Audience, Mode, Supervision};
use wrapper::graft::Secrets;
use wrapper::harden;
use wrapper::keeper::{Keeper, Memory};
use wrapper::signals::Signals;
use wrapper::stem::{self, Made, Order, Planted, Stem};

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let file = arguments.next().ok_or_else(|| anyhow!("no file given"))?;
    let words: Vec<OsString> = arguments.collect();
    if words.is_empty() {
        return Err(anyhow!("no program given"));
    }
    harden::harden()?;
    let signals = Signals::block()?;
    match stem::plant()? {
        Planted::Keeper(stem) => keep(&stem, secrets(&fs::read_to_string(file)?)?, &signals),
        Planted::Made(Made { order: Order::Program(start), line }) => {
            Ok(ExitCode::from(Made::exec(start, &words, &line)))
        }
        Planted::Made(_) | Planted::Over => Ok(ExitCode::SUCCESS),
    }
}

fn keep(stem: &Stem, secrets: Secrets, signals: &Signals) -> anyhow::Result<ExitCode> {
    harden::keeper(&[stem.as_fd(), signals.as_fd()])?;
    match Keeper::new(stem, signals, &conduct(), &[], Memory::Given).run_with(secrets) {
        Ok(code) => Ok(ExitCode::from(code)),
        Err(error) => {
            let code = error.exit_code();
            let shown = Err::<(), _>(error).context("no secret was handed over");
            shown.or_else(|error| writeln!(std::io::stderr(), "{error:#}"))?;
            Ok(ExitCode::from(code))
        }
    }
}

fn conduct() -> Supervision {
    let group = env::var_os("CLOUDTASER_SIGNAL_GROUP").is_some_and(|word| word == "true");
    let after = env::var_os("CLOUDTASER_KILL_AFTER").and_then(|word| word.to_str()?.parse().ok());
    Supervision {
        mode: Mode::Supervise,
        signals: if group { Audience::Group } else { Audience::Program },
        kill_after: after.map(Duration::from_secs),
    }
}

fn secrets(text: &str) -> anyhow::Result<Secrets> {
    let mut builder = Builder::with_capacity(text.len())?;
    let mut entries = Vec::new();
    for line in text.lines() {
        let (name, value) = line.split_once('=').ok_or_else(|| anyhow!("a line without `=`"))?;
        entries.push((name.to_owned(), builder.push(value.as_bytes())?));
    }
    Ok(Secrets::new(builder.freeze()?, entries)?)
}
