//! One client, from its request to the end of the answer, without ever waiting for it.
//!
//! Untrusted: the client. It has so many bytes, and so much time.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, sendmsg};

use super::Entrance;
use super::reply::Reply;
use super::request::{LONGEST, parse};
use super::status::Status;
use super::who::Who;
use crate::files::Shown;

/// From the connection to the end of the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client that is being served.
#[derive(Debug)]
pub(super) struct Connection {
    line: OwnedFd,
    entrance: Entrance,
    pub(super) who: Who,
    deadline: Instant,
    state: State,
}

#[derive(Debug)]
enum State {
    Asking(Vec<u8>),
    Answering { reply: Reply, sent: usize },
}

/// What has become of a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// It must do something first.
    Waits,
    /// A value was asked for by whom it is not for; the answer follows.
    Refused,
    /// It has its answer; whether that was a value.
    Done(bool),
    /// It is gone, or will get no more.
    Over,
}

impl Connection {
    pub(super) fn new(line: OwnedFd, entrance: Entrance, who: Who, now: Instant) -> Self {
        let deadline = now.checked_add(PATIENCE).unwrap_or(now);
        Self { line, entrance, who, deadline, state: State::Asking(Vec::new()) }
    }

    pub(super) const fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(super) fn waits(&self) -> (BorrowedFd<'_>, PollFlags) {
        let flags = match self.state {
            State::Asking(_) => PollFlags::IN,
            State::Answering { .. } => PollFlags::OUT,
        };
        (self.line.as_fd(), flags)
    }

    /// Does what can be done without waiting.
    pub(super) fn go_on(&mut self, shown: &[Shown<'_>], status: &Status) -> Step {
        match &mut self.state {
            State::Asking(bytes) => {
                if let Some(step) = read(&self.line, bytes) {
                    return step;
                }
                let reply = Reply::to(parse(bytes), self.entrance, self.who, shown, status);
                let Some(reply) = reply else { return Step::Waits };
                let refused = reply.refused;
                self.state = State::Answering { reply, sent: 0 };
                if refused { Step::Refused } else { self.write(shown) }
            }
            State::Answering { .. } => self.write(shown),
        }
    }

    fn write(&mut self, shown: &[Shown<'_>]) -> Step {
        let State::Answering { reply, sent } = &mut self.state else { return Step::Waits };
        let value = match &reply.value {
            // A length was announced: who sees less knows that it is not the value.
            Some(lent) => match lent.bytes(shown) {
                Some(value) => value,
                None => return Step::Over,
            },
            None => &[],
        };
        loop {
            let text = reply.text.get(*sent..).unwrap_or_default();
            let rest = value.get(sent.saturating_sub(reply.text.len())..).unwrap_or_default();
            if text.is_empty() && rest.is_empty() {
                return Step::Done(reply.value.is_some());
            }
            let pieces = [IoSlice::new(text), IoSlice::new(rest)];
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match sendmsg(&self.line, &pieces, &mut SendAncillaryBuffer::default(), flags) {
                Ok(more) => *sent = sent.saturating_add(more),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Step::Waits,
                Err(_) => return Step::Over,
            }
        }
    }
}

/// Reads what is there. A step: there is nothing to judge.
fn read(line: &impl AsFd, bytes: &mut Vec<u8>) -> Option<Step> {
    let mut more = [0; LONGEST];
    let room = more.get_mut(..LONGEST.saturating_sub(bytes.len())).unwrap_or_default();
    match recv(line, room, RecvFlags::DONTWAIT) {
        Ok((_, 0)) => Some(Step::Over),
        Ok((_, len)) => {
            bytes.extend(more.get(..len).unwrap_or_default());
            None
        }
        Err(Errno::AGAIN | Errno::INTR) => Some(Step::Waits),
        Err(_) => Some(Step::Over),
    }
}
