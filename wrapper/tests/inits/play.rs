//! One init program, started one way, and what may be done to it.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::{Bench, skip};

/// How long something may take that should happen at once.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// How long is waited for what will not happen.
pub(crate) const NEVER: Duration = Duration::from_millis(700);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::enum_variant_names, reason = "that is its name")]
pub(crate) enum Init {
    Ours,
    Tini,
    DumbInit,
    Catatonit,
}

impl Init {
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Tini => "tini",
            Self::DumbInit => "dumb-init",
            Self::Catatonit => "catatonit",
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// Process 1 of a namespace.
    First,
    /// Some process that orphans come to.
    Subreaper,
}

impl Place {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Subreaper => "subreaper",
        }
    }
}

const APART: [&str; 5] = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];

/// The places that this machine has.
pub(crate) fn places() -> Vec<Place> {
    let apart = Command::new(APART[0]).args(&APART[1..]).arg("true").output();
    if apart.is_ok_and(|output| output.status.success()) {
        return vec![Place::First, Place::Subreaper];
    }
    skip("as process 1", "unshare", "no new process namespace here");
    vec![Place::Subreaper]
}

/// Who is tried, and where.
pub(crate) struct Run<'b> {
    pub(crate) bench: &'b Bench,
    pub(crate) init: Init,
    pub(crate) place: Place,
}

impl Run<'_> {
    /// The words that start the init with its program to follow.
    pub(crate) fn words(&self, group: bool) -> Vec<String> {
        let apart: &[&str] = if self.place == Place::First { &APART } else { &[] };
        let mut words: Vec<String> = apart.iter().map(|word| (*word).to_owned()).collect();
        words.extend(self.init_words(group));
        words
    }

    fn init_words(&self, group: bool) -> Vec<String> {
        let subreaper = self.place == Place::Subreaper;
        let words: Vec<&str> = match (self.init, group) {
            (Init::Ours, _) => {
                let [own, secrets] =
                    ["graft", "secrets"].map(|name| self.bench.path(name).display().to_string());
                return vec![own, secrets];
            }
            (Init::Tini, false) if subreaper => vec!["tini", "-s", "--"],
            (Init::Tini, true) if subreaper => vec!["tini", "-s", "-g", "--"],
            (Init::Tini, false) => vec!["tini", "--"],
            (Init::Tini, true) => vec!["tini", "-g", "--"],
            // It tells a whole session unless told otherwise.
            (Init::DumbInit, false) => vec!["dumb-init", "--single-child", "--"],
            (Init::DumbInit, true) => vec!["dumb-init", "--"],
            (Init::Catatonit, false) => vec!["catatonit", "--"],
            (Init::Catatonit, true) => vec!["catatonit", "-g", "--"],
        };
        words.into_iter().map(str::to_owned).collect()
    }

    pub(crate) fn command(&self, group: bool, program: &[&str]) -> Command {
        let words = self.words(group);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(program).stderr(Stdio::null());
        if self.init == Init::Ours && group {
            command.env("CLOUDTASER_SIGNAL_GROUP", "true");
        }
        command
    }

    /// The exit code of a program's init; none if it does not end.
    pub(crate) fn code(&self, program: &[&str]) -> Option<i32> {
        let mut outer =
            self.command(false, program).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let code = code_within(&mut outer, SOON);
        end(outer);
        code
    }

    pub(crate) fn start(&self, program: &[&str]) -> Started {
        Started::new(self, self.command(false, program))
    }

    pub(crate) fn start_group(&self, program: &[&str]) -> Started {
        Started::new(self, self.command(true, program))
    }
}

/// An init whose program speaks.
pub(crate) struct Started {
    outer: Option<Child>,
    /// The init, as this namespace counts.
    pub(crate) init: u32,
    lines: Receiver<String>,
}

impl Started {
    /// Waits until the program says `ready`.
    pub(crate) fn new(run: &Run<'_>, mut command: Command) -> Self {
        let mut outer = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(outer.stdout.take().unwrap());
        let (tell, lines) = channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        assert_eq!(
            lines.recv_timeout(SOON).as_deref(),
            Ok("ready"),
            "{} as {}",
            run.init.program(),
            run.place.name()
        );
        let init = if run.place == Place::First { children(outer.id())[0] } else { outer.id() };
        Self { outer: Some(outer), init, lines }
    }

    pub(crate) fn signal(&self, number: i32) {
        signal(self.init, number);
    }

    pub(crate) fn line(&self, within: Duration) -> Option<String> {
        self.lines.recv_timeout(within).ok()
    }

    pub(crate) fn code(&mut self, within: Duration) -> Option<i32> {
        code_within(self.outer.as_mut().unwrap(), within)
    }

    /// The process below the init that runs `name`: the eldest, for orphans may run it too.
    pub(crate) fn program(&self, name: &str) -> u32 {
        let mut left = VecDeque::from(children(self.init));
        while let Some(pid) = left.pop_front() {
            if is_called(pid, name) {
                return pid;
            }
            left.extend(children(pid));
        }
        unreachable!("no {name} below the init");
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        end(self.outer.take().unwrap());
    }
}

pub(crate) fn signal(pid: u32, number: i32) {
    let kill =
        Command::new("kill").args([format!("-{number}"), pid.to_string()]).stderr(Stdio::null()).status();
    kill.unwrap();
}

pub(crate) fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

pub(crate) fn is_called(pid: u32, name: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name)
}

/// The state letter of a process; `-` when it is gone.
pub(crate) fn state(pid: u32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('-')
}

/// Whether `condition` comes true soon enough.
pub(crate) fn comes(within: Duration, condition: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < within {
        if condition() {
            return true;
        }
        thread::sleep(Duration::from_millis(5));
    }
    condition()
}

pub(crate) fn code_within(child: &mut Child, within: Duration) -> Option<i32> {
    let start = Instant::now();
    while start.elapsed() < within {
        if let Some(status) = child.try_wait().unwrap() {
            // `unshare` dies as the init did; nobody else here does.
            return status.code().or_else(|| {
                std::os::unix::process::ExitStatusExt::signal(&status).map(|signal| 1000 + signal)
            });
        }
        thread::sleep(Duration::from_millis(2));
    }
    None
}

/// Ends an init and everything below it.
fn end(mut outer: Child) {
    let mut left = vec![outer.id()];
    let mut all = Vec::new();
    while let Some(pid) = left.pop() {
        left.extend(children(pid));
        all.push(pid);
    }
    if outer.try_wait().unwrap().is_none() {
        for pid in all {
            signal(pid, 9);
        }
        outer.wait().unwrap();
    }
}
