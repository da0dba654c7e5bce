//! The exec-time environment graft: an unchanged program finds secrets in its environment, nobody else does.
//!
//! The child starts with references in its environment and is traced from its `execve` on. [`Tracer`]
//! follows it through shells, `env`, init programs and user switchers. At the first program that is none of
//! those it has the process map secret memory, points the `envp[]` slots at it and lets the process go: no
//! stop afterwards. `/proc/PID/environ` goes on showing the references.
//!
//! Trusted: our own secrets. Untrusted: every traced process; it is read with bounds, and killed with us.

mod deliver;
mod inject;
pub(crate) mod kernel;
mod kin;
pub(crate) mod page;
mod privilege;
pub(crate) mod program;
mod references;
mod registers;
mod rewrite;
pub mod runtime;
pub mod stack;

use std::io;
use std::path::PathBuf;

use rustix::process::{Pid, WaitStatus};
use secretmem::Shared;

pub(crate) use inject::wait_for;
pub use privilege::Gain;
pub use references::{Secrets, Unfit};
pub use rewrite::Rewritten;

use inject::{Session, Tracee};
use kernel::Resume;
use kin::Kin;
use page::{Outline, Room};
use program::{Program, Role};
use references::Template;
use rewrite::Pages;
use stack::{Entry, Stack};

const OPTIONS: i32 = libc::PTRACE_O_EXITKILL
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE;

/// Follows the processes that still carry references.
#[derive(Debug)]
pub struct Tracer {
    /// Wiped as soon as nobody is left who could be given them.
    secrets: Option<Secrets>,
    kin: Kin,
    pages: Pages,
}

impl Tracer {
    /// A tracer that follows nothing yet.
    #[must_use]
    pub fn new(secrets: Secrets) -> Self {
        Self { secrets: Some(secrets), kin: Kin::default(), pages: Pages::Unkept }
    }

    /// A tracer with nothing to give, for a program that is given its values by another way.
    #[must_use]
    pub(crate) fn idle() -> Self {
        Self { secrets: None, kin: Kin::default(), pages: Pages::Unkept }
    }

    /// What it was to hand over, where there is another way.
    pub(crate) fn into_secrets(self) -> Option<Secrets> {
        self.secrets
    }

    /// The variables of the program to be: names, and references in place of values.
    #[must_use]
    pub fn references(&self) -> Vec<(String, String)> {
        let references = self.secrets.iter().flat_map(Secrets::references);
        references.map(|(name, reference)| (name.to_owned(), reference)).collect()
    }

    /// Takes over a child that asks to be traced and becomes a program, and handles its `execve`.
    ///
    /// Everything happens on the calling thread: the kernel takes orders for a tracee from nobody else.
    /// `before` is called while the program stands still, before its first instruction.
    pub fn adopt(&mut self, pid: Pid, before: impl FnOnce(Pid)) -> Result<(), Error> {
        let begun = self.begin(pid, before);
        if begun.is_err() {
            // It stands still with references that nobody will replace. Already gone is as good.
            kernel::send_signal(pid, libc::SIGKILL).unwrap_or_default();
        }
        match begun {
            Err(error) if error.is_of_the_dead() => Err(Error::Gone(wait_for(pid)?)),
            begun => begun,
        }
    }

    fn begin(&mut self, pid: Pid, before: impl FnOnce(Pid)) -> Result<(), Error> {
        let status = wait_for(pid)?;
        if status.stopping_signal() != Some(libc::SIGTRAP) {
            return Err(Error::Gone(status));
        }
        kernel::set_trace_options(pid, OPTIONS)
            .and_then(|()| kernel::unblock_signals(pid))
            .map_err(|source| Error::Trace { doing: "setting options", source })?;
        self.kin.adopted(pid.as_raw_pid());
        before(pid);
        self.executed(pid)
    }

    /// Traces a process that has not asked for it, from its next `execve` on.
    pub fn seize(&self, pid: Pid) -> io::Result<()> {
        kernel::seize(pid, OPTIONS)
    }

    /// Whether nobody is left who could be given a value.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.kin.is_empty()
    }

    /// Has something to hand over again, for one more program to be adopted.
    pub fn arm(&mut self, secrets: Secrets) {
        self.secrets.get_or_insert(secrets);
    }

    /// Whether `pid` is followed: its stops are ours, not the terminal's.
    #[must_use]
    pub fn follows(&self, pid: Pid) -> bool {
        self.kin.has(pid.as_raw_pid())
    }

    /// Forgets a process that has ended.
    pub fn forget(&mut self, pid: Pid) {
        self.kin.gone(pid.as_raw_pid());
        if self.is_idle() {
            self.secrets = None;
        }
    }

    /// Handles a stop of a process that is traced, or has just been born to one that is.
    ///
    /// A process that was killed meanwhile is no error: [`Error::Gone`] says how it ended.
    pub fn stopped(&mut self, pid: Pid, status: WaitStatus) -> Result<(), Error> {
        let signal = status.stopping_signal().unwrap_or(0);
        let outcome = match status.as_raw() >> 16 {
            libc::PTRACE_EVENT_EXEC => self.renamed(pid).map_err(resuming).and_then(|()| self.executed(pid)),
            0 => self.signalled(pid, signal).map_err(resuming),
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
                self.announced(pid).and_then(|()| kernel::resume(pid, Resume::Continue, 0)).map_err(resuming)
            }
            libc::PTRACE_EVENT_STOP => self.seized(pid, signal).map_err(resuming),
            _other_event => kernel::resume(pid, Resume::Continue, 0).map_err(resuming),
        };
        match outcome {
            // Killed between its stop and our answer: its end is reported next.
            Err(error) if error.is_of_the_dead() => Ok(()),
            other => other,
        }
    }

    /// A thread that executes takes over its leader's id; its own is never heard of again (ptrace(2)).
    fn renamed(&mut self, pid: Pid) -> io::Result<()> {
        let former = i32::try_from(kernel::event_message(pid)?).unwrap_or(0);
        if former != pid.as_raw_pid() {
            self.kin.gone(former);
        }
        Ok(())
    }

    fn announced(&mut self, parent: Pid) -> io::Result<()> {
        let child = i32::try_from(kernel::event_message(parent)?).unwrap_or(0);
        let is_there = Pid::from_raw(child).is_some_and(kernel::is_traced);
        self.kin.announced(child, is_there);
        Ok(())
    }

    fn signalled(&mut self, pid: Pid, signal: i32) -> io::Result<()> {
        // A process is born traced with a SIGSTOP that nobody sent.
        let born = signal == libc::SIGSTOP && self.kin.born(pid.as_raw_pid());
        let stops = matches!(signal, libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU);
        let swallow = born || (stops && kernel::is_group_stop(pid));
        kernel::resume(pid, Resume::Continue, if swallow { 0 } else { signal })
    }

    /// A stop of those that were seized: being born, or standing still with their group.
    fn seized(&mut self, pid: Pid, signal: i32) -> io::Result<()> {
        self.kin.born(pid.as_raw_pid());
        let how = if signal == libc::SIGTRAP { Resume::Continue } else { Resume::Listen };
        kernel::resume(pid, how, 0)
    }

    /// A process has just become another program.
    fn executed(&mut self, pid: Pid) -> Result<(), Error> {
        let tracee = Tracee { pid };
        let top = registers::stack_pointer(&tracee.registers()?);
        let stack = Stack::read(&|at, into: &mut [u8]| tracee.read(at, into), address(top))?;
        let file = tracee.file();
        let [own, first] = &stack.arguments;
        let program = Program { file: file.as_deref(), arguments: [own, first] };
        match program.role() {
            Role::Carrier => kernel::resume(pid, Resume::Continue, 0),
            Role::Consumer => {
                let grafted = self.graft(tracee, &stack)?;
                let released = release(pid, &grafted.pending);
                // It runs. Unmapping secret memory takes a while, which is no longer its while.
                drop(grafted);
                self.forget(pid);
                released
            }
        }
        .map_err(resuming)
    }

    /// Replaces the references of a stopped program by values.
    fn graft(&mut self, tracee: Tracee, stack: &Stack) -> Result<Grafted, Error> {
        let Some(secrets) = &self.secrets else { return Ok(Grafted::default()) };
        let memory = |at, into: &mut [u8]| tracee.read(at, into);
        let entries: Vec<Entry<Template>> = stack.entries(&memory, |text| secrets.template(text))?;
        if entries.is_empty() {
            return Ok(Grafted::default());
        }
        if let Some(gain) = privilege::gain(tracee.pid) {
            return Err(Error::Privileged { program: tracee.file().unwrap_or_default(), gain });
        }
        let templates: Vec<&Template> = entries.iter().map(|entry| &entry.found).collect();
        let lens: Vec<usize> = templates.iter().map(|template| secrets.len(template)).collect();
        let room = if self.pages.are_kept() { Room::ToGrow } else { Room::Exact };
        let outline = Outline::new(&lens, room, rustix::param::page_size());
        let mut session = Session::begin(tracee)?;
        let delivered = deliver::deliver(tracee, &mut session, &outline, secrets, &templates)?;
        for (entry, place) in entries.iter().zip(&outline.places) {
            let offset = u64::try_from(place.start).unwrap_or(u64::MAX);
            tracee.set_word(entry.slot, delivered.address.saturating_add(offset))?;
        }
        let pending = session.end()?;
        let templates = entries.into_iter().map(|entry| entry.found);
        let entries = outline.places.into_iter().zip(templates).collect();
        Ok(Grafted { pending, _mapping: self.pages.add(tracee.pid, delivered, entries) })
    }

    /// Has the memory of programs kept in reach from now on, so that [`Self::rewrite`] can write it.
    #[must_use]
    pub fn keeping_pages(mut self) -> Self {
        self.pages = Pages::kept();
        self
    }

    /// The living programs that were given values since [`Self::keeping_pages`].
    pub fn programs(&mut self) -> Vec<Pid> {
        self.pages.programs()
    }

    /// Gives `renewed`, the same variables with new values, to every program that was given the former ones,
    /// and to those that still carry references. All or nothing: where one is out of reach none is written.
    pub fn rewrite(&mut self, mut renewed: Secrets) -> Rewritten {
        if let Some(former) = &self.secrets {
            renewed.succeed(former);
        }
        let rewritten = self.pages.rewrite(&renewed);
        self.secrets = self.secrets.take().map(|_former| renewed);
        rewritten
    }
}

/// What is left of a graft once the program may go.
#[derive(Debug, Default)]
struct Grafted {
    /// Signals that must be sent again.
    pending: Vec<i32>,
    /// Our view of its memory, if nobody keeps it.
    _mapping: Option<Shared>,
}

fn address(word: u64) -> usize {
    usize::try_from(word).unwrap_or(usize::MAX)
}

fn resuming(source: io::Error) -> Error {
    Error::Trace { doing: "resuming", source }
}

fn release(pid: Pid, pending: &[i32]) -> io::Result<()> {
    kernel::resume(pid, Resume::Detach, 0)?;
    for signal in pending {
        kernel::send_signal(pid, *signal)?;
    }
    Ok(())
}

/// Why a program was not started, or was not given its secrets. No value was handed over in any case.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The program itself cannot be started.
    #[error("starting the program: {0}")]
    Exec(io::Error),
    /// The kernel, a security module or a sandbox does not let us trace our own child.
    #[error(
        "tracing is refused (yama ptrace_scope 2 or 3, gVisor, or a security profile); secrets cannot be handed over"
    )]
    TracingRefused,
    /// A request to the kernel about a traced process.
    #[error("{doing} of the traced program: {source}")]
    Trace {
        /// The step.
        doing: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A system call made on our behalf in the program was refused.
    #[error("{doing} in the program: {source}")]
    Refused {
        /// The system call.
        doing: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A program that would become somebody else.
    #[error("{program:?} is {gain}; no secret is handed to a program that changes who it is")]
    Privileged {
        /// Its file.
        program: PathBuf,
        /// What the file would change.
        gain: Gain,
    },
    /// A program of another word size has other registers and another stack.
    #[error("{0:?} is a 32-bit program, only 64-bit programs can be given secrets")]
    NarrowProgram(PathBuf),
    /// A stack that the kernel would not have laid out.
    #[error("the program's stack is malformed: {what} {found}")]
    Stack {
        /// The part.
        what: &'static str,
        /// What it was.
        found: usize,
    },
    /// The program did not leave a system call.
    #[error("{0} in the program did not end")]
    Stuck(&'static str),
    /// The program received something other than our memory.
    #[error("the program did not receive the memory")]
    NotReceived,
    /// The program ended in the middle.
    #[error("the program ended before it was given its secrets")]
    Gone(WaitStatus),
}

impl Error {
    /// Whether a request came too late: the process had been killed.
    fn is_of_the_dead(&self) -> bool {
        matches!(self, Self::Trace { source, .. } if source.raw_os_error() == Some(libc::ESRCH))
    }
}
