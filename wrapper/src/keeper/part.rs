//! How a part of the wrapper takes its turn in the keeper's loop.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use rustix::event::PollFlags;
use rustix::process::Pid;

use super::{Core, Error};
use crate::errand::Errand;

/// Something that answers, watches or waits while the program runs.
pub trait Part {
    /// The descriptors that it waits for now.
    fn waits(&self) -> Vec<(BorrowedFd<'_>, PollFlags)>;

    /// When it wants its turn though nothing has happened.
    fn wakes(&self) -> Option<Instant> {
        None
    }

    /// Its turn: something happened, for it or for another. It does what can be done without waiting.
    ///
    /// An error is the end: the program is killed, and we exit with the error's code.
    fn turn(&mut self, core: &mut Core<'_>, events: &[Event]) -> Result<(), Error>;

    /// What is to be given back to OpenBao when there is no program any more.
    fn farewell(&self, _core: &Core<'_>) -> Option<Errand> {
        None
    }
}

/// What happened to processes of ours. Each part is told once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The program was started, for the first time or anew.
    Started(Pid),
    /// A fetcher came back: [`Core::returned`] has what it brought.
    Returned,
    /// A process that a part had made has ended with this code.
    Ended(Pid, u8),
}
