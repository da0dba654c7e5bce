//! The stem: a small process from which all others grow.
//!
//! It is forked first, before the keeper has a secret and before the keeper gives up rights. On each order it makes
//! a process that is a child of the *keeper* (`CLONE_PARENT`), inherits nothing of the keeper's later
//! restrictions, and becomes what was ordered: a program, a fetcher, a hook. The stem itself reads no
//! order; the new process does.
//!
//! Trusted: the keeper's orders. Untrusted: what the new processes become.

mod gift;
pub(crate) mod kernel;
mod program;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use minicbor::{Decode, Encode};
use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};
use rustix::thread::set_name;

use crate::line::{Line, Message};

pub use gift::Gift;
pub(crate) use program::Failure;
pub use program::{Opens, Start, Watch};

pub(crate) use kernel::{Side, fork};

/// How long the stem may take to make a process.
const PROMPT: Duration = Duration::from_secs(10);

/// What a new process is to become. It gets one end of a line, on which it says what there is to say.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
#[non_exhaustive]
pub enum Order {
    /// The program, or what it is restarted as.
    #[n(0)]
    Program(#[n(0)] Start),
    /// A fetcher: one [`Errand`](crate::errand::Errand), which comes over its line.
    #[n(1)]
    Fetch,
    /// The command that is run when values have changed.
    #[n(2)]
    Hook(#[n(0)] Start),
    /// An attacker, for what we can find out about ourselves.
    #[n(3)]
    Attack,
}

/// Which process this is, after [`plant`].
#[derive(Debug)]
pub enum Planted {
    /// The keeper: it goes on, and gives the stem orders.
    Keeper(Stem),
    /// A process that the stem has made.
    Made(Made),
    /// The stem, after its time: the keeper has gone.
    Over,
}

/// The keeper's end of the line to the stem.
#[derive(Debug)]
pub struct Stem {
    line: Line,
    pid: Pid,
}

/// A new process, before it does what it was made for.
#[derive(Debug)]
pub struct Made {
    /// What it is to become.
    pub order: Order,
    /// Its end of the line to the keeper.
    pub line: Line,
}

/// Forks the stem. Signals must be blocked already: the stem hears none but SIGKILL.
pub fn plant() -> io::Result<Planted> {
    let keeper = getpid();
    let (ours, theirs) = Line::pair()?;
    match fork()? {
        Side::Old(pid) => Ok(Planted::Keeper(Stem { line: ours, pid })),
        Side::New => {
            drop(ours);
            if !dies_with(keeper)? {
                return Ok(Planted::Over);
            }
            set_name(c"ct-stem")?;
            grow(theirs, keeper)
        }
    }
}

/// Makes processes until the keeper has gone; returns in each that was made.
fn grow(line: Line, keeper: Pid) -> io::Result<Planted> {
    while let Some(message) = line.receive()? {
        match kernel::fork_beside() {
            Ok(Side::New) => {
                drop(line);
                return Made::read(message, keeper);
            }
            Ok(Side::Old(pid)) => line.send(&pid.as_raw_pid().to_ne_bytes(), None)?,
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EAGAIN);
                line.send(&errno.saturating_neg().to_ne_bytes(), None)?;
            }
        }
    }
    Ok(Planted::Over)
}

/// Has the kernel kill us when the keeper ends; false when it has ended already.
fn dies_with(keeper: Pid) -> io::Result<bool> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    Ok(getppid() == Some(keeper))
}

impl Stem {
    /// Makes a process, which gets `theirs` as its end of a line; its id.
    pub fn order(&self, order: &Order, theirs: Line) -> Result<Pid, Error> {
        let message = minicbor::to_vec(order).map_err(|_impossible| Error::Order)?;
        self.line.send(&message, Some(theirs.as_fd()))?;
        drop(theirs);
        let answer = self.line.receive_within(PROMPT)?.ok_or(Error::Gone)?;
        let answer =
            answer.bytes.as_slice().try_into().map(i32::from_ne_bytes).map_err(|_length| Error::Gone)?;
        Pid::from_raw(answer.max(0))
            .ok_or_else(|| Error::NoProcess(io::Error::from_raw_os_error(answer.saturating_neg())))
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }
}

impl AsFd for Stem {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.line.as_fd()
    }
}

impl Made {
    fn read(message: Message, keeper: Pid) -> io::Result<Planted> {
        let (Ok(order), Some(line)) = (minicbor::decode(&message.bytes), message.descriptor) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        // A program may outlive us: what it was given is its own. EXITKILL ends it while it is followed.
        let stays = matches!(order, Order::Program(_));
        if !stays && !dies_with(keeper)? {
            return Ok(Planted::Over);
        }
        Ok(Planted::Made(Self { order, line: line.into() }))
    }

    /// Becomes a program in our place; returns why that failed.
    pub(crate) fn exec_in_place(start: &Start, words: &[OsString], line: &Line) -> io::Error {
        match start.attempt(words, line) {
            Failure::Exec(errno) | Failure::Files(errno) | Failure::Tracing(errno) => {
                io::Error::from_raw_os_error(errno)
            }
            Failure::Interpreter => io::ErrorKind::NotFound.into(),
        }
    }

    /// Becomes a program; returns where that failed, with the code to end with.
    #[must_use]
    pub fn exec(start: Start, words: &[OsString], line: &Line) -> u8 {
        start.exec(words, line);
        // Never seen: the keeper goes by the reason that it was told.
        127
    }
}

/// Why there is no new process.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stem has ended.
    #[error("the process that makes our processes (the stem) has ended")]
    Gone,
    /// An order that cannot be written.
    #[error("an order to the stem cannot be encoded")]
    Order,
    /// The kernel makes no more processes.
    #[error("making a process: {0}")]
    NoProcess(io::Error),
    /// The line to the stem.
    #[error("the line to the process that makes our processes (the stem): {0}")]
    Line(io::Error),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::Gone } else { Self::Line(error) }
    }
}
