//! One client: whole packets in, whole packets out, and never waited for.
//!
//! A client is asked for its next word once it has taken the answer to the last. Who is not confirmed has ten seconds in all;
//! who is may stay, and hears by the end of the line that the enforcer has gone.
//!
//! Untrusted: the client.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use enforcer_abi::Tag;
use protocol::enforcer::{Ask, Event, MAX_PACKET, Matrix, Said, Severity};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::News;
use super::caller::Caller;
use super::desk::{Desk, Turn};
use super::edge::{Needles, Tagger};
use crate::events::event::notice;

/// How long who is not confirmed may stay.
const PATIENCE: Duration = Duration::from_secs(10);
/// Packets that wait for who watches; more are dropped and counted.
const WAITING: usize = 256;

/// A client that is being served.
#[derive(Debug)]
pub(super) struct Client {
    line: OwnedFd,
    pub(super) caller: Caller,
    /// What it was when it came.
    pub(super) came: Tag,
    deadline: Option<Instant>,
    watches: bool,
    out: VecDeque<Vec<u8>>,
    missed: u64,
}

/// What has become of a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    Waits,
    Over,
}

impl Client {
    pub(super) fn new(line: OwnedFd, caller: Caller, came: Tag, now: Instant) -> Self {
        let deadline = Some(now.checked_add(PATIENCE).unwrap_or(now));
        Self { line, caller, came, deadline, watches: false, out: VecDeque::new(), missed: 0 }
    }

    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(super) const fn stays(&self) -> bool {
        self.deadline.is_none()
    }

    pub(super) const fn watches(&self) -> bool {
        self.watches
    }

    pub(super) fn place(&self) -> &str {
        self.caller.place()
    }

    pub(super) fn waits(&self) -> (BorrowedFd<'_>, PollFlags) {
        let flags = if self.out.is_empty() { PollFlags::IN } else { PollFlags::OUT };
        (self.line.as_fd(), flags)
    }

    /// A packet for who watches.
    pub(super) fn tell(&mut self, packet: &[u8], event: &Event) {
        if self.out.len() >= WAITING {
            self.missed = self.missed.saturating_add(event.count);
            return;
        }
        if self.missed > 0 {
            let why = "this watcher reads too slowly: so many accesses were not told to it".to_owned();
            let missed = notice(Event::WATCHER_LOST, Severity::Medium, self.missed, event.time, why);
            self.out.push_back(encoded(&Said::Event(Box::new(missed))));
            self.missed = 0;
        }
        self.out.push_back(packet.to_vec());
        // What does not go now goes when it can.
        self.write();
    }

    /// Does what can be done without waiting.
    pub(super) fn go_on<E: Tagger + Needles>(
        &mut self,
        desk: &mut Desk<E>,
        matrix: &Matrix,
        now: Instant,
        news: &mut Vec<News>,
    ) -> Step {
        if !self.out.is_empty() {
            return self.write();
        }
        let mut packet = vec![0; MAX_PACKET];
        // The true length, so that a cut packet is known as one.
        match recv(&self.line, &mut packet, RecvFlags::DONTWAIT | RecvFlags::TRUNC) {
            Ok((_, 0)) => return Step::Over,
            Ok((kept, length)) if kept == length => packet.truncate(kept),
            Ok((_, length)) => {
                return self.refuse(format!("expected at most {MAX_PACKET} bytes, found {length}"));
            }
            Err(Errno::AGAIN | Errno::INTR) => return Step::Waits,
            Err(_) => return Step::Over,
        }
        let ask: Ask = match serde_json::from_slice(&packet) {
            Ok(ask) => ask,
            Err(error) => return self.refuse(format!("expected one of our words, found other: {error}")),
        };
        let turn = Turn { caller: &self.caller, came: self.came, matrix, now };
        let said = desk.answer(&turn, ask, news);
        match &said {
            Said::Clear { .. } => self.deadline = None,
            Said::Watching {} => (self.deadline, self.watches) = (None, true),
            Said::Tagged {}
            | Said::Unprotected {}
            | Said::Done {}
            | Said::Matrix(_)
            | Said::Event(_)
            | Said::Refused { .. } => {}
        }
        self.out.push_back(encoded(&said));
        self.write()
    }

    fn refuse(&mut self, why: String) -> Step {
        self.out.push_back(encoded(&Said::Refused { why }));
        self.write();
        Step::Over
    }

    fn write(&mut self) -> Step {
        while let Some(packet) = self.out.front() {
            match send(&self.line, packet, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(_) => drop(self.out.pop_front()),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Step::Waits,
                Err(_) => return Step::Over,
            }
        }
        Step::Waits
    }
}

/// As a packet. What is too long for one is told instead.
pub(super) fn encoded(said: &Said) -> Vec<u8> {
    let packet = serde_json::to_vec(said).unwrap_or_default();
    if !packet.is_empty() && packet.len() <= MAX_PACKET {
        return packet;
    }
    let why = format!("the answer has {} bytes, a packet {MAX_PACKET}", packet.len());
    serde_json::to_vec(&Said::Refused { why }).unwrap_or_default()
}
