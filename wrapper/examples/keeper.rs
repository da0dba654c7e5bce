//! A keeper whose fetchers read a file of `NAME=value` lines, and which does as it is told over a named pipe.
//!
//! `cargo run --example keeper -- FILE NAME[,NAME ...] PIPE PROGRAM [ARGUMENT ...]`
//!
//! Orders are lines: `restart`, `freeze`, `thaw`, `hook`, `fetch`, `abandon`, `end CODE`. What happens is told on
//! standard error. The hook exits with the length of `PASSWORD`.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use rustix::event::PollFlags;
use secretmem::Parcel;
use wrapper::config::{Audience, Form, Mode, Source, Supervision, Target, Wanted, Way};
use wrapper::errand::{Errand, List, Place, Setback};
use wrapper::harden;
use wrapper::interpose::Ways;
use wrapper::keeper::{Core, Error, Event, Keeper, Memory, Part, Returned};
use wrapper::line::Line;
use wrapper::signals::Signals;
use wrapper::stem::{self, Made, Order, Planted};

/// How long a program may take to end.
const PATIENCE: Duration = Duration::from_secs(1);

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let mut next = |what| arguments.next().ok_or_else(|| anyhow!("no {what} given"));
    let (file, names, pipe) = (next("file")?, next("names")?, next("pipe")?);
    let words: Vec<OsString> = arguments.collect();
    let wanted = [wanted(&names.to_string_lossy())];
    harden::harden()?;
    let signals = Signals::block()?;
    let conduct =
        Supervision { mode: Mode::Supervise, signals: Audience::Program, kill_after: Some(PATIENCE) };
    match stem::plant()? {
        Planted::Keeper(stem) => {
            // Both ends are ours, so that it does not end when one who orders has gone.
            let pipe = File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(pipe)?;
            harden::keeper(&[stem.as_fd(), signals.as_fd(), pipe.as_fd()])?;
            let ways = [way(env::var_os("WAY").as_deref())];
            let keeper = Keeper::new(&stem, &signals, &conduct, &wanted, Memory::Given);
            let keeper = keeper.by(Ways::new(&ways, &words));
            let outcome = keeper.with(Orders { pipe, heard: Vec::new() }).run();
            outcome.map(ExitCode::from).or_else(|error| {
                tell(&error.to_string());
                Ok(ExitCode::from(error.exit_code()))
            })
        }
        Planted::Made(Made { order, line }) => match order {
            Order::Program(start) => {
                harden::program()?;
                Ok(ExitCode::from(Made::exec(start, &words, &line)))
            }
            Order::Hook(start) => {
                let hook = ["perl", "-e", "exit length $ENV{PASSWORD}"].map(OsString::from);
                Ok(ExitCode::from(Made::exec(start, &hook, &line)))
            }
            Order::Fetch | _ => fetch(&file, &wanted, &line).map(|()| ExitCode::SUCCESS),
        },
        Planted::Over => Ok(ExitCode::SUCCESS),
    }
}

/// `WAY`: how the program is given its values; the graft unless it says otherwise.
fn way(word: Option<&OsStr>) -> Way {
    match word.and_then(OsStr::to_str) {
        Some("constructor") => Way::Constructor,
        Some("environ") => Way::Environ,
        Some(_) | None => Way::Graft,
    }
}

fn wanted(names: &str) -> Wanted {
    let target = |name: &str| Target { field: name.to_owned(), variable: name.to_owned(), form: Form::Value };
    let source = Source::Path { path: "file".to_owned(), parameters: Vec::new() };
    Wanted { source, targets: names.split(',').map(target).collect() }
}

/// In a fetcher: the values of the names that are wanted.
fn fetch(file: &OsString, wanted: &[Wanted], line: &Line) -> anyhow::Result<()> {
    Errand::receive(line)?;
    let Ok(text) = fs::read_to_string(file) else {
        return Ok(Setback { transient: false, refused: true, code: 1 }.send(line)?);
    };
    let mut parcel = Parcel::create(text.len().max(1))?;
    parcel.bytes_mut()?.copy_from_slice(text.as_bytes());
    let mut values = Vec::new();
    for (target, wanted) in (0..).zip(wanted.iter().flat_map(|wanted| &wanted.targets)) {
        let entry = format!("{}=", wanted.variable);
        let start = text.find(&entry).context("a name that the file lacks")?.saturating_add(entry.len());
        let len = text.get(start..).and_then(|rest| rest.find('\n')).context("a line without an end")?;
        values.push(Place { wanted: 0, target, start: start.try_into()?, len: len.try_into()? });
    }
    Ok(List { len: text.len().try_into()?, values, ..List::default() }.send(line, Some(parcel))?)
}

/// Does as it is told.
struct Orders {
    pipe: File,
    heard: Vec<u8>,
}

impl Part for Orders {
    fn waits(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        vec![(self.pipe.as_fd(), PollFlags::IN)]
    }

    fn turn(&mut self, keeper: &mut Core<'_>, events: &[Event]) -> Result<(), Error> {
        for event in events {
            match event {
                Event::Started(pid) => tell(&format!("started {pid}")),
                Event::Ended(_, code) => tell(&format!("ended {code}")),
                Event::Returned => returned(keeper),
                _later => {}
            }
        }
        let mut bytes = [0; 512];
        if let Ok(read) = self.pipe.read(&mut bytes) {
            self.heard.extend(bytes.iter().take(read));
        }
        while let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.heard.drain(..=end).collect();
            obey(keeper, String::from_utf8_lossy(&line).trim_end())?;
        }
        Ok(())
    }
}

fn returned(keeper: &mut Core<'_>) {
    match keeper.returned() {
        Some(Returned::Brought(brought)) => match keeper.exchange(brought) {
            Ok(change) => tell(&format!("brought {change:?}")),
            Err(error) => tell(&format!("not taken over: {error}")),
        },
        Some(Returned::Setback(setback)) => tell(&format!("{setback:?}")),
        Some(Returned::Lost(error)) => tell(&format!("lost: {error}")),
        None => {}
    }
}

fn obey(keeper: &mut Core<'_>, order: &str) -> Result<(), Error> {
    match order.split_once(' ').unwrap_or((order, "")) {
        ("restart", _) => keeper.restart(),
        ("freeze", _) => {
            let all = keeper.freeze()?;
            tell(&format!("frozen {all}"));
        }
        ("thaw", _) => keeper.thaw()?,
        ("fetch", _) => keeper.send(&Errand::Fetch)?,
        ("abandon", _) => keeper.abandon_errand(),
        ("hook", _) => keeper.run_hook().map(|_pid| ())?,
        ("end", code) => keeper.end_program(code.parse().unwrap_or(99)),
        _other => tell("unknown order"),
    }
    Ok(())
}

fn tell(text: &str) {
    writeln!(io::stderr(), "{text}").unwrap_or_default();
}
