//! Signals as data: none interrupts us, each is read in turn.
//!
//! Decides which signals are news for the child and which are our own business: the end of children, what we sent
//! ourselves, and what the kernel tells us of ourselves.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::getpid;

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
            if let Some(news) = News::of(&info) {
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

/// `si_code` of what the kernel sends for reasons of its own, sigaction(2).
const KERNEL: i32 = 0x80;

impl News {
    /// Reads `struct signalfd_siginfo`: number, errno, code, and the sender as our namespace counts.
    fn of(info: &[u8; SIGINFO]) -> Option<Self> {
        let word =
            |index: usize| info.as_chunks::<4>().0.get(index).map_or(0, |word| i32::from_ne_bytes(*word));
        let (signal, code, sender) = (word(0), word(2), word(3));
        match signal {
            libc::SIGCHLD => Some(Self::Child),
            // A log that nobody reads any more: the kernel sends it in our own name.
            _own if code <= 0 && sender == getpid().as_raw_pid() => None,
            // About us: a terminal that the child owns, and our own use of the machine.
            libc::SIGPIPE | libc::SIGTTIN | libc::SIGTTOU | libc::SIGXCPU | libc::SIGXFSZ
                if code == KERNEL =>
            {
                None
            }
            other => Some(Self::Forward(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(signal: i32, code: i32, sender: i32) -> Option<News> {
        let mut info = [0; SIGINFO];
        for (place, word) in info.chunks_exact_mut(4).zip([signal, 0, code, sender]) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        News::of(&info)
    }

    #[test]
    fn a_closed_log_is_no_news_for_the_child() {
        assert_eq!(news(libc::SIGPIPE, 0, getpid().as_raw_pid()), None);
        assert_eq!(news(libc::SIGPIPE, 0, 1), Some(News::Forward(libc::SIGPIPE)));
    }

    #[test]
    fn the_terminals_word_is_for_us_and_a_persons_for_the_child() {
        assert_eq!(news(libc::SIGTTOU, KERNEL, 0), None);
        assert_eq!(news(libc::SIGTTOU, 0, 0), Some(News::Forward(libc::SIGTTOU)));
        assert_eq!(news(libc::SIGINT, KERNEL, 0), Some(News::Forward(libc::SIGINT)));
    }

    #[test]
    fn real_time_signals_are_passed_on() {
        assert_eq!(news(40, -1, 7), Some(News::Forward(40)));
    }

    #[test]
    fn the_end_of_a_child_is_not_passed_on() {
        assert_eq!(news(libc::SIGCHLD, 1, 7), Some(News::Child));
    }
}
