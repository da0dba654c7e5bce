//! Being told to end, as something to wait for.

use std::os::fd::{AsFd as _, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};

use crate::config::Then;
use crate::run::Error;

/// `SIGTERM`, `SIGINT`, and `SIGUSR1` of whoever takes over, from now on.
#[derive(Debug)]
pub(crate) struct Ending(SignalFd);

/// How a successor tells us to end.
const TAKEN: Signal = Signal::SIGUSR1;

/// What became of our place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// We were told to end, and nobody is there.
    Left,
    /// Another is there, or an operator had us let go.
    Taken,
}

impl Ending {
    /// Before there is a second thread.
    pub(crate) fn watch() -> std::io::Result<Self> {
        let ends: SigSet = [Signal::SIGTERM, Signal::SIGINT, TAKEN].into_iter().collect();
        ends.thread_block()?;
        Ok(Self(SignalFd::with_flags(&ends, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?))
    }

    /// Readable when it is time.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Whether it is.
    pub(crate) fn came(&self) -> bool {
        self.heard().is_some()
    }

    fn heard(&self) -> Option<Signal> {
        let told = self.0.read_signal().ok()??;
        Signal::try_from(i32::try_from(told.ssi_signo).ok()?).ok()
    }

    /// The end; where another is in our place, and that is wanted, only once whoever started us tells us.
    pub(crate) fn stand_by(&self, place: Place, then: Then) -> Result<(), Error> {
        if (place, then) != (Place::Taken, Then::StandBy) {
            return Ok(());
        }
        loop {
            match self.heard() {
                // Our successor's word may come after we saw its links.
                Some(TAKEN) | None => {}
                Some(_) => return Ok(()),
            }
            match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    return Err(Error::Machine { doing: "standing by", source: error.into() });
                }
            }
        }
    }
}
