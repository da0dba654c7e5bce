//! Signals as data: none interrupts us, each is read in turn.
//!
//! Decides which signals are news for the child and which are our own business.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::graft::kernel;

/// Every signal that can be blocked, blocked, and read from here.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum News {
    /// Some child changed its state.
    Child,
    /// To be passed on, by its number.
    Forward(i32),
}

/// `sizeof(struct signalfd_siginfo)`, signalfd(2); the first word is the signal's number.
const SIGINFO: usize = 128;

impl Signals {
    /// Blocks all signals of this thread, which must be the only one.
    pub fn block() -> io::Result<Self> {
        kernel::block_signals().map(|fd| Self { fd })
    }

    /// The next signal that arrived; none if there is none now.
    pub fn next(&self) -> io::Result<Option<News>> {
        loop {
            let mut info = [0_u8; SIGINFO];
            match rustix::io::read(&self.fd, &mut info) {
                Ok(SIGINFO) => {}
                Ok(_) | Err(rustix::io::Errno::AGAIN) => return Ok(None),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let [a, b, c, d, ..] = info;
            if let Some(news) = News::of(i32::from_ne_bytes([a, b, c, d])) {
                return Ok(Some(news));
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl News {
    fn of(signal: i32) -> Option<Self> {
        match signal {
            libc::SIGCHLD => Some(Self::Child),
            // Ours: a closed log, and a terminal that the child owns.
            libc::SIGPIPE | libc::SIGTTIN | libc::SIGTTOU => None,
            other => Some(Self::Forward(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_log_is_no_news_for_the_child() {
        assert_eq!(News::of(libc::SIGPIPE), None);
    }

    #[test]
    fn real_time_signals_are_passed_on() {
        assert_eq!(News::of(40), Some(News::Forward(40)));
    }

    #[test]
    fn the_end_of_a_child_is_not_passed_on() {
        assert_eq!(News::of(libc::SIGCHLD), Some(News::Child));
    }
}
