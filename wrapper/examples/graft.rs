//! Hands the values of a file (`NAME=value` lines) to a program, as the wrapper does with released secrets.
//!
//! `cargo run --example graft -- FILE PROGRAM [ARGUMENT ...]`

use std::env;
use std::fs;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, anyhow};
use secretmem::Builder;
use wrapper::graft::{Secrets, Tracer};
use wrapper::signals::Signals;
use wrapper::{harden, supervise};

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let file = arguments.next().ok_or_else(|| anyhow!("no file given"))?;
    let program = arguments.next().ok_or_else(|| anyhow!("no program given"))?;
    harden::harden()?;
    let signals = Signals::block()?;
    let tracer = Tracer::new(secrets(&fs::read_to_string(file)?)?);
    let mut command = Command::new(program);
    command.args(arguments);
    match supervise::run(command, tracer, &signals) {
        Ok(code) => Ok(ExitCode::from(code)),
        Err(error) => {
            let code = error.exit_code();
            let shown = Err::<(), _>(error).context("no secret was handed over");
            shown.or_else(|error| {
                use std::io::Write as _;
                writeln!(std::io::stderr(), "{error:#}")
            })?;
            Ok(ExitCode::from(code))
        }
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
