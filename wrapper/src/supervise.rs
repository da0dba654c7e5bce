//! What an init program owes its child: signals, a terminal, stops and ends that are told, an end that comes.
//!
//! Stops of processes that carry references go to the [`Tracer`]; while the program is frozen they are held, so that
//! nobody who could be given a value goes on. The loop that calls is [`crate::keeper`].
//!
//! Trusted: the kernel's reports. Untrusted: the child, which may stop, fork and die at any moment.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitStatus, getpid, kill_process_group};

use crate::config::{Audience, Supervision};
use crate::escalation::{Answer, Escalation};
use crate::graft::kernel::{send_signal, send_signal_to_group};
use crate::graft::{self, Tracer};
use crate::terminal;

/// How long a program that we end may take, where the operator says nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// A program that runs, and who of its processes still carries references.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) main: Pid,
    pub(crate) tracer: Tracer,
    conduct: Supervision,
    escalation: Escalation,
    /// What comes after its end, where we have asked for it.
    pub(crate) then: Then,
    /// Stops that were reported while it is frozen.
    held: Option<Vec<(Pid, WaitStatus)>>,
}

/// What comes after the end of a program.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Then {
    /// Our own end, with its code.
    Follow,
    /// Its next start.
    Restart,
    /// Our own end, with this code.
    End(u8),
}

impl Child {
    pub(crate) fn new(main: Pid, tracer: Tracer, conduct: &Supervision) -> Self {
        let escalation = Escalation::new(conduct.kill_after);
        Self { main, tracer, conduct: conduct.clone(), escalation, then: Then::Follow, held: None }
    }

    /// A process of ours has stopped.
    pub(crate) fn stopped(
        &mut self,
        pid: Pid,
        status: WaitStatus,
        is_ours: impl Fn() -> bool,
    ) -> Result<(), Stopped> {
        let follows = self.tracer.follows(pid);
        if let Some(held) = &mut self.held {
            if follows || is_ours() {
                held.push((pid, status));
            }
            return Ok(());
        }
        if pid == self.main && !follows {
            self.stop_too();
            return Ok(());
        }
        match self.tracer.stopped(pid, status) {
            Ok(()) => Ok(()),
            Err(graft::Error::Gone(status)) if !status.stopped() => Err(Stopped::Gone(status)),
            Err(error) => Err(Stopped::Graft(error)),
        }
    }

    /// A process of ours has ended: what it stopped for is nothing any more.
    pub(crate) fn ended(&mut self, pid: Pid) {
        self.tracer.forget(pid);
        if let Some(held) = &mut self.held {
            held.retain(|(stopped, _)| *stopped != pid);
        }
    }

    pub(crate) fn forward(&mut self, signal: i32) {
        match signal {
            libc::SIGTERM => return self.terminate(),
            // It stands still because it may not go on.
            libc::SIGCONT if self.held.is_some() => return,
            libc::SIGCONT => terminal::lend(self.main),
            _other => {}
        }
        self.send(signal);
    }

    /// Somebody wants us to end.
    fn terminate(&mut self) {
        // It has been asked already, by us: there will be no next start, and its time runs.
        if self.then == Then::Restart {
            self.then = Then::Follow;
            return;
        }
        // Who stands still cannot end by itself.
        if self.held.is_some() || self.escalation.terminate(Instant::now()) == Answer::Kill {
            return self.kill();
        }
        self.send(libc::SIGTERM);
    }

    /// Asks the program to end; what comes then is said by `then`.
    pub(crate) fn end(&mut self, then: Then) {
        let asked = self.then != Then::Follow;
        self.then = then;
        if self.held.is_some() {
            return self.kill();
        }
        if !asked {
            self.escalation = Escalation::new(Some(self.conduct.kill_after.unwrap_or(PATIENCE)));
            if self.escalation.terminate(Instant::now()) == Answer::Ask {
                self.send(libc::SIGTERM);
            }
        }
    }

    pub(crate) fn send(&self, signal: i32) {
        // The child may have ended already: then there is nobody to tell.
        match self.conduct.signals {
            Audience::Program => send_signal(self.main, signal),
            // It may have left the group that we gave it.
            Audience::Group => {
                send_signal_to_group(self.main, signal).or_else(|_empty| send_signal(self.main, signal))
            }
        }
        .unwrap_or_default();
    }

    /// When its time is up.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.escalation.deadline()
    }

    /// Kills it, if its time is up.
    pub(crate) fn look_at_the_clock(&mut self, now: Instant) {
        if self.escalation.is_due(now) {
            self.kill();
        }
    }

    /// From here on stops are held.
    pub(crate) fn hold(&mut self) {
        self.held.get_or_insert_default();
    }

    /// Ends [`hold`](Self::hold), and gives back what was held.
    pub(crate) fn release(&mut self) -> Vec<(Pid, WaitStatus)> {
        self.held.take().unwrap_or_default()
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.held.is_some()
    }

    /// The shell that started us must see the job stop, or the terminal hangs.
    fn stop_too(&self) {
        if getpid() == Pid::INIT {
            return;
        }
        terminal::take_back(self.main);
        send_signal(getpid(), libc::SIGSTOP).unwrap_or_default();
    }

    pub(crate) fn kill(&mut self) {
        // Nobody left to kill is what we want.
        kill_process_group(self.main, Signal::KILL).unwrap_or_default();
        // It may have left the group that we gave it.
        send_signal(self.main, libc::SIGKILL).unwrap_or_default();
    }
}

/// What came of a stop that was no stop.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The process has ended meanwhile.
    Gone(WaitStatus),
    /// It cannot be given its secrets.
    Graft(graft::Error),
}

/// The convention of shells: a death by signal n is exit code 128 + n.
pub(crate) fn code(status: WaitStatus) -> u8 {
    let code =
        status.exit_status().or_else(|| status.terminating_signal().map(|signal| signal.saturating_add(128)));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
