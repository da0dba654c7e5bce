//! How the program is started: by the first way that is allowed and works.
//!
//! A traced program stands still until it has its values. One that is not traced waits before its `execve`, until the
//! terminal is its own and it was given what it needs to come for them. Whether tracing is refused shows when it is
//! tried; no instruction of the program has run then.
//!
//! Trusted: stem and configuration. Untrusted: the program.

use std::io;

use rustix::process::{Pid, setpgid};

use super::{Core, Error, Event, Memory, present};
use crate::config::Way;
use crate::files;
use crate::graft::{self, Secrets, Tracer};
use crate::interpose::{Prepared, Trouble, Ways, form, why_untraced};
use crate::line::Line;
use crate::stem::{Failure, Gift, Order, Start, Watch};
use crate::supervise::{Child, code};
use crate::terminal;

/// What came of one way.
enum Outcome {
    Started,
    /// The values are free for the next way.
    TracingRefused(Secrets),
}

impl Core<'_> {
    pub(super) fn start_with(&mut self, secrets: Secrets) -> Result<(), Error> {
        let mut choice = self.ways.choose().map_err(Trouble::from)?;
        let mut secrets = secrets;
        loop {
            match self.start_by(choice.way(), secrets)? {
                Outcome::Started => {
                    self.ways.take(&choice);
                    self.standing.starts = self.standing.starts.saturating_add(1);
                    return Ok(());
                }
                Outcome::TracingRefused(free) => {
                    choice = choice.refused(why_untraced()).map_err(Trouble::from)?;
                    secrets = free;
                }
            }
        }
    }

    /// Runs the configured hook as the program is run: with references to what we hold now.
    pub fn run_hook(&mut self) -> Result<Pid, Error> {
        let secrets = self.secrets()?;
        let paths = present::paths(self.wanted).collect();
        match self.ways.taken().map(|taken| taken.way) {
            Some(Way::Environ) => self.give_hook(Ways::in_clear(&secrets, paths)?),
            Some(Way::Constructor | Way::Getenv) => {
                let prepared = self.ways.once_more(secrets, paths)?;
                self.give_hook(prepared)
            }
            Some(Way::Graft) | None => self.graft_hook(secrets, paths),
        }
    }

    fn graft_hook(&mut self, secrets: Secrets, paths: Vec<(String, String)>) -> Result<Pid, Error> {
        let child = self.child.as_mut().ok_or(Error::Forgotten)?;
        child.tracer.arm(secrets);
        let mut variables = child.tracer.references();
        variables.extend(paths);
        let (pid, line) =
            self.order(&Order::Hook(Start { variables, watch: Watch::Traced, opens: self.opens() }))?;
        let adopted = self.child.as_mut().map(|child| child.tracer.adopt(pid, |_stopped| ()));
        match adopted.unwrap_or(Ok(())) {
            Ok(()) => self.hear_listener(&line).map(|()| pid).map_err(Error::os("the line to the hook")),
            Err(graft::Error::Gone(_)) => {
                self.made.remove(&pid.as_raw_pid());
                self.awaited.remove(&pid.as_raw_pid());
                let told = self.hear(&line).map_err(Error::os("the line to the hook"))?;
                Err(told.map_or(Error::Graft(graft::Error::NotReceived), |told| unstarted(&told.bytes)))
            }
            Err(error) => Err(Error::Graft(error)),
        }
    }

    fn give_hook(&mut self, prepared: Prepared) -> Result<Pid, Error> {
        let start = Start { opens: self.opens(), ..prepared.start };
        let (pid, line) = self.order(&Order::Hook(start))?;
        Gift::send(&line, &prepared.gift).map_err(Error::os("the line to the hook"))?;
        let told = self.hear(&line).map_err(Error::os("the line to the hook"))?;
        told.map_or(Ok(pid), |told| Err(unstarted(&told.bytes)))
    }

    fn start_by(&mut self, way: Way, secrets: Secrets) -> Result<Outcome, Error> {
        let paths = present::paths(self.wanted).collect();
        if let Some(form) = form(way) {
            let prepared = self.ways.by_library(form, secrets, paths)?;
            return self.start_given(prepared);
        }
        match way {
            Way::Environ => self.start_given(Ways::in_clear(&secrets, paths)?),
            Way::Graft | Way::Constructor | Way::Getenv => self.start_traced(secrets, paths),
        }
    }

    fn start_traced(&mut self, secrets: Secrets, paths: Vec<(String, String)>) -> Result<Outcome, Error> {
        let mut tracer = Tracer::new(secrets);
        if self.memory == Memory::Shared {
            tracer = tracer.keeping_pages();
        }
        let (ours, theirs) = Line::pair().map_err(Error::os("socketpair"))?;
        let mut variables = tracer.references();
        variables.extend(paths);
        let start = Start { variables, watch: Watch::Traced, opens: self.opens() };
        let pid = self.stem.order(&Order::Program(start), theirs)?;
        match tracer.adopt(pid, terminal::lend) {
            Ok(()) => {
                self.child = Some(Child::new(pid, tracer, &self.conduct));
                self.hear_listener(&ours).map_err(Error::os("the line to the program"))?;
                self.events.push(Event::Started(pid));
                Ok(Outcome::Started)
            }
            Err(graft::Error::Gone(status)) => {
                let told = self.hear(&ours).map_err(Error::os("the line to the program"))?;
                match told.map(|told| unstarted(&told.bytes)) {
                    Some(Error::Graft(graft::Error::TracingRefused)) => refused(tracer),
                    Some(error) => Err(error),
                    None => {
                        self.outcome = Some(code(status));
                        Ok(Outcome::Started)
                    }
                }
            }
            // Some sandboxes let a child ask to be traced, and then do not trace.
            Err(graft::Error::Trace { doing: "setting options", .. }) => refused(tracer),
            Err(error) => Err(Error::Graft(error)),
        }
    }

    fn start_given(&mut self, prepared: Prepared) -> Result<Outcome, Error> {
        let line = Error::os("the line to the program");
        let (ours, theirs) = Line::pair().map_err(Error::os("socketpair"))?;
        let start = Start { opens: self.opens(), ..prepared.start };
        let pid = self.stem.order(&Order::Program(start), theirs)?;
        // The process does the same; whoever is first, the group is there before it gets the terminal.
        setpgid(Some(pid), Some(pid)).unwrap_or_default();
        terminal::lend(pid);
        Gift::send(&ours, &prepared.gift).map_err(&line)?;
        drop(prepared.gift);
        match self.hear(&ours).map_err(&line)? {
            None => {
                self.child = Some(Child::new(pid, Tracer::idle(), &self.conduct));
                self.events.push(Event::Started(pid));
                Ok(Outcome::Started)
            }
            Some(told) => {
                terminal::take_back(pid);
                self.ways.close();
                Err(unstarted(&told.bytes))
            }
        }
    }
}

fn refused(tracer: Tracer) -> Result<Outcome, Error> {
    tracer.into_secrets().map(Outcome::TracingRefused).ok_or(Error::Graft(graft::Error::TracingRefused))
}

fn no_interpreter() -> io::Error {
    let text = "it is there, but not the interpreter or loader that its first bytes name";
    io::Error::new(io::ErrorKind::NotFound, text)
}

/// What a new process said before it ended.
fn unstarted(message: &[u8]) -> Error {
    let os = io::Error::from_raw_os_error;
    match minicbor::decode(message) {
        Ok(Failure::Exec(errno)) => Error::Graft(graft::Error::Exec(os(errno))),
        Ok(Failure::Tracing(_)) => Error::Graft(graft::Error::TracingRefused),
        Ok(Failure::Interpreter) => Error::Graft(graft::Error::Exec(no_interpreter())),
        Ok(Failure::Files(errno)) => Error::Files(files::Refused::Filter(os(errno))),
        Err(_malformed) => Error::Graft(graft::Error::NotReceived),
    }
}
