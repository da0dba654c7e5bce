//! One of the canary's children, as it was handed over: it is asked by a line, and answers by a line.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::process::{Signal, pidfd_send_signal};

/// What a child says of an attack.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    /// It was refused.
    Refused,
    /// It went through.
    Went,
    /// It cannot be tried here.
    Impossible,
    /// There is no answer: the child has ended.
    Gone,
}

/// A child, until dropped.
#[derive(Debug)]
pub(super) struct Child {
    pid: u32,
    process: OwnedFd,
    asks: File,
    answers: File,
    heard: Vec<u8>,
}

impl Child {
    /// By its number, a descriptor of it, and its two pipes.
    pub(super) fn new(pid: u32, process: OwnedFd, asks: OwnedFd, answers: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&answers, true)?;
        Ok(Self { pid, process, asks: asks.into(), answers: answers.into(), heard: Vec::new() })
    }

    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn process(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    pub(super) fn answers(&self) -> BorrowedFd<'_> {
        self.answers.as_fd()
    }

    /// Has it attack by a vector.
    pub(super) fn ask(&mut self, vector: &str) -> io::Result<()> {
        self.heard.clear();
        self.asks.write_all(format!("{vector}\n").as_bytes())
    }

    /// Its answer, if it is there.
    pub(super) fn answer(&mut self) -> io::Result<Option<Answer>> {
        let mut bytes = [0; 64];
        match self.answers.read(&mut bytes) {
            Ok(0) => return Ok(Some(Answer::Gone)),
            Ok(count) => self.heard.extend(bytes.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
        let Some((b'\n', line)) = self.heard.split_last() else { return Ok(None) };
        Ok(Some(match line {
            b"refused" => Answer::Refused,
            b"went" => Answer::Went,
            _ => Answer::Impossible,
        }))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Fails only if it has already ended. The nursery reaps it.
        pidfd_send_signal(&self.process, Signal::KILL).unwrap_or_default();
    }
}
