//! Hands the values of a file (`NAME=value` lines) to a program by one of the library's ways.
//!
//! `cargo run --example interpose -- FILE constructor|getenv PROGRAM [ARGUMENT ...]`

use std::env;
use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode};

use anyhow::{Result, anyhow};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{FdFlags, fcntl_setfd};
use secretmem::Builder;
use wrapper::graft::Secrets;
use wrapper::harden;
use wrapper::interpose::{Equipment, Form, Interposer, PRELOAD};

fn main() -> Result<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let mut next = |what: &str| arguments.next().ok_or_else(|| anyhow!("no {what} given"));
    let (file, form, program) = (next("file")?, next("way")?, next("program")?);
    let form = if form == "getenv" { Form::Getenv } else { Form::Constructor };
    harden::harden()?;
    let secrets = secrets(&fs::read_to_string(file)?)?;
    let mut interposer = Interposer::open(form)?;
    let before = env::var_os(PRELOAD).map(|before| before.to_string_lossy().into_owned());
    let Equipment { library, number, preload } = interposer.equip(&secrets, before.as_deref())?;
    let inherited = rustix::io::fcntl_dupfd_cloexec(&library, i32::try_from(number)?)?;
    drop(library);
    fcntl_setfd(&inherited, FdFlags::empty())?;
    anyhow::ensure!(u32::try_from(inherited.as_raw_fd())? == number, "the number is taken");
    let mut command = Command::new(program);
    command.args(arguments).envs(secrets.references()).env(PRELOAD, preload);
    let mut child = command.spawn()?;
    drop(inherited);
    loop {
        let mut fds: Vec<_> =
            interposer.descriptors().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 2_000_000 }))?;
        drop(fds);
        for trouble in interposer.ready(&secrets)? {
            use std::io::Write as _;
            writeln!(std::io::stderr(), "{trouble}")?;
        }
        if let Some(status) = child.try_wait()? {
            let code = status.code().or_else(|| status.signal().map(|signal| signal.saturating_add(128)));
            return Ok(ExitCode::from(u8::try_from(code.unwrap_or(255))?));
        }
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
