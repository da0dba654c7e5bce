//! Hands the values of a file to a program, and new ones to the same program as often as it is told to.
//!
//! `cargo run --example rewrite -- FILE FIFO PROGRAM [ARGUMENT ...]`. Each line in the fifo is an order: `look`
//! names the programs that were given values and how they read them, `rewrite` reads the file again and
//! gives out what it says now. With `ALLOW_ORDINARY` in the
//! environment ordinary memory will do where there is no secret memory. Each is answered by a line on standard error.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};
use secretmem::Builder;
use wrapper::graft::{Secrets, Tracer, runtime};
use wrapper::harden;
use wrapper::line::Line;
use wrapper::signals::Signals;
use wrapper::stem::{self, Made, Opens, Order, Planted, Start, Stem, Watch};

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let file = arguments.next().context("no file given")?;
    let fifo = arguments.next().context("no fifo given")?;
    let words: Vec<OsString> = arguments.collect();
    harden::harden()?;
    if env::var_os("ALLOW_ORDINARY").is_some() {
        secretmem::allow_ordinary();
    }
    let signals = Signals::block()?;
    match stem::plant()? {
        Planted::Keeper(stem) => {
            // Open for both: it never comes to its end.
            let orders = File::options().read(true).write(true).open(fifo)?;
            keep(&stem, Path::new(&file), orders, &signals)
        }
        Planted::Made(Made { order: Order::Program(start), line }) => {
            Ok(ExitCode::from(Made::exec(start, &words, &line)))
        }
        Planted::Made(_) | Planted::Over => Ok(ExitCode::SUCCESS),
    }
}

fn keep(stem: &Stem, file: &Path, orders: File, signals: &Signals) -> anyhow::Result<ExitCode> {
    let mut tracer = Tracer::new(secrets(file)?).keeping_pages();
    let (_ours, theirs) = Line::pair()?;
    let start = Start { variables: tracer.references(), watch: Watch::Traced, opens: Opens::Plain };
    let main = stem.order(&Order::Program(start), theirs)?;
    tracer.adopt(main, |_| ())?;
    let mut orders = BufReader::new(orders);
    loop {
        if let Some(code) = reap(&mut tracer, main)? {
            return Ok(ExitCode::from(code));
        }
        let mut fds =
            [signals.as_fd(), orders.get_ref().as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        poll(&mut fds, None)?;
        let ordered = fds.last().is_some_and(|fd| !fd.revents().is_empty());
        while signals.next()?.is_some() {}
        if ordered {
            let mut order = String::new();
            orders.read_line(&mut order)?;
            let answer = obey(order.trim(), &mut tracer, file)?;
            writeln!(std::io::stderr(), "{answer}")?;
        }
    }
}

fn obey(order: &str, tracer: &mut Tracer, file: &Path) -> anyhow::Result<String> {
    match order {
        "look" => {
            let told = |pid: Pid| format!("{} {:?}", pid.as_raw_pid(), runtime::reads_of(pid));
            Ok(tracer.programs().into_iter().map(told).collect::<Vec<_>>().join(","))
        }
        "rewrite" => Ok(format!("{:?}", tracer.rewrite(secrets(file)?))),
        _ => Err(anyhow!("no such order")),
    }
}

fn reap(tracer: &mut Tracer, main: Pid) -> anyhow::Result<Option<u8>> {
    let options = WaitOptions::NOHANG | WaitOptions::from_bits_retain(libc::__WALL.cast_unsigned());
    while let Some((pid, status)) = wait(options)? {
        if status.stopped() {
            tracer.stopped(pid, status)?;
        } else {
            tracer.forget(pid);
            if pid == main {
                return Ok(Some(code(status)));
            }
        }
    }
    Ok(None)
}

fn code(status: WaitStatus) -> u8 {
    status.exit_status().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

fn secrets(file: &Path) -> anyhow::Result<Secrets> {
    let text = fs::read_to_string(file)?;
    let mut builder = Builder::with_capacity(text.len())?;
    let mut entries = Vec::new();
    for line in text.lines() {
        let (name, value) = line.split_once('=').context("a line without `=`")?;
        entries.push((name.to_owned(), builder.push(value.as_bytes())?));
    }
    Ok(Secrets::new(builder.freeze()?, entries)?)
}
