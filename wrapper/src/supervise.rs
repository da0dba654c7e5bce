//! What an init program owes its child: signals, a terminal, a grave for orphans, an honest exit code.
//!
//! One thread, one loop: wait for a signal, pass it on or reap. Stops of processes that carry references go
//! to the [`Tracer`]. The second SIGTERM is taken to mean it: the child's process group is killed.
//!
//! Trusted: the kernel's reports. Untrusted: the child, which may stop, fork and die at any moment.

use std::io;
use std::os::fd::AsFd as _;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getpgrp, getpid, kill_process_group, wait};
use rustix::termios::tcsetpgrp;

use crate::graft::kernel;
use crate::graft::{self, Tracer};
use crate::line::Line;
use crate::signals::{News, Signals};
use crate::stem::{self, Failure, Order, Start, Stem, Watch};

/// Starts the program, and runs it to its end; returns the code to exit with: its own, or 128 and the signal's
/// number.
pub fn run(stem: &Stem, mut tracer: Tracer, signals: &Signals) -> Result<u8, Error> {
    let main = match start(stem, &mut tracer) {
        Ok(pid) => pid,
        Err(Error::Graft(graft::Error::Gone(status))) => return Ok(code(status)),
        Err(error) => return Err(error),
    };
    let mut supervisor = Supervisor { main, stem: stem.pid(), tracer, terminations: 0 };
    supervisor.watch(signals).inspect_err(|_error| supervisor.kill())
}

fn start(stem: &Stem, tracer: &mut Tracer) -> Result<Pid, Error> {
    let os = |doing| move |source| Error::Os { doing, source };
    let (ours, theirs) = Line::pair().map_err(os("socketpair"))?;
    let start = Start { variables: tracer.references(), watch: Watch::Traced };
    let pid = stem.order(&Order::Program(start), theirs)?;
    match tracer.adopt(pid, lend_terminal) {
        Ok(()) => Ok(pid),
        Err(graft::Error::Gone(status)) => {
            let told = ours.receive().map_err(os("the line to the program"))?;
            Err(told.map_or(Error::Graft(graft::Error::Gone(status)), |told| Error::told(&told.bytes)))
        }
        Err(error) => Err(Error::Graft(error)),
    }
}

struct Supervisor {
    main: Pid,
    stem: Pid,
    tracer: Tracer,
    terminations: u32,
}

impl Supervisor {
    fn watch(&mut self, signals: &Signals) -> Result<u8, Error> {
        loop {
            // First: the child may have ended before we began to watch.
            if let Some(code) = self.reap()? {
                return Ok(code);
            }
            wait_for_signal(signals)?;
            while let Some(news) = signals.next().map_err(|source| Error::Os { doing: "signalfd", source })? {
                if let News::Forward(signal) = news {
                    self.forward(signal);
                }
            }
        }
    }

    /// Takes every report that is there. The code, once the main child has ended.
    fn reap(&mut self) -> Result<Option<u8>, Error> {
        let options = WaitOptions::NOHANG | WaitOptions::UNTRACED;
        let options = options | WaitOptions::from_bits_retain(libc::__WALL.cast_unsigned());
        let mut ended = None;
        loop {
            match wait(options) {
                Ok(Some((pid, status))) => ended = self.report(pid, status)?.or(ended),
                Err(rustix::io::Errno::INTR) => {}
                Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(ended),
                Err(source) => return Err(Error::Os { doing: "waitpid", source: source.into() }),
            }
        }
    }

    fn report(&mut self, pid: Pid, status: WaitStatus) -> Result<Option<u8>, Error> {
        if !status.stopped() {
            if pid == self.stem {
                return Err(Error::Stem(stem::Error::Gone));
            }
            self.tracer.forget(pid);
            return Ok((pid == self.main).then(|| code(status)));
        }
        if pid == self.main && !self.tracer.follows(pid) {
            Self::stop_too();
            return Ok(None);
        }
        match self.tracer.stopped(pid, status) {
            Ok(()) => Ok(None),
            Err(graft::Error::Gone(status)) if !status.stopped() => self.report(pid, status),
            Err(error) => Err(Error::Graft(error)),
        }
    }

    fn forward(&mut self, signal: i32) {
        if signal == libc::SIGTERM {
            self.terminations = self.terminations.saturating_add(1);
            if self.terminations > 1 {
                return self.kill();
            }
        }
        if signal == libc::SIGCONT {
            lend_terminal(self.main);
        }
        // The child may have ended already: then there is nobody to tell.
        kernel::send_signal(self.main, signal).unwrap_or_default();
    }

    /// The shell that started us must see the job stop, or the terminal hangs.
    fn stop_too() {
        if getpid() == Pid::INIT {
            return;
        }
        lend_terminal(getpgrp());
        kernel::send_signal(getpid(), libc::SIGSTOP).unwrap_or_default();
    }

    fn kill(&mut self) {
        // Nobody left to kill is what we want.
        kill_process_group(self.main, Signal::KILL).unwrap_or_default();
        // It may have left the group that we gave it.
        kernel::send_signal(self.main, libc::SIGKILL).unwrap_or_default();
    }
}

/// Makes a group the terminal's foreground group, if standard input is our terminal.
fn lend_terminal(group: Pid) {
    let input = rustix::stdio::stdin();
    if rustix::termios::isatty(input) {
        // Refused when we are not of its session: then it was not ours to lend.
        tcsetpgrp(input, group).unwrap_or_default();
    }
}

fn wait_for_signal(signals: &Signals) -> Result<(), Error> {
    let mut fds = [PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
    match poll(&mut fds, None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(source) => Err(Error::Os { doing: "poll", source: source.into() }),
    }
}

/// The convention of shells: a death by signal n is exit code 128 + n.
pub(crate) fn code(status: WaitStatus) -> u8 {
    let code =
        status.exit_status().or_else(|| status.terminating_signal().map(|signal| signal.saturating_add(128)));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// Why the child could not be run, or could not be run on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It was not started, or not given its secrets.
    #[error(transparent)]
    Graft(graft::Error),
    /// There is no process that it could be started in.
    #[error(transparent)]
    Stem(#[from] stem::Error),
    /// The kernel refused something that an init program needs.
    #[error("{doing}: {source}")]
    Os {
        /// The system call.
        doing: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl Error {
    /// What the new process said before it ended.
    fn told(message: &[u8]) -> Self {
        Self::Graft(match minicbor::decode(message) {
            Ok(Failure::Exec(errno)) => graft::Error::Exec(io::Error::from_raw_os_error(errno)),
            Ok(Failure::Tracing(_)) => graft::Error::TracingRefused,
            Err(_malformed) => graft::Error::NotReceived,
        })
    }

    /// 127: no such program; 126: not executable; 125: our own trouble. As shells and `env` have it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Graft(graft::Error::Exec(error)) if error.kind() == io::ErrorKind::NotFound => 127,
            Self::Graft(graft::Error::Exec(_)) => 126,
            Self::Graft(_) | Self::Stem(_) | Self::Os { .. } => 125,
        }
    }
}
