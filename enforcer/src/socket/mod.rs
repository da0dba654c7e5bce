//! The enforcer's socket: processes that ask to be protected, and operators who ask how things stand.
//!
//! [`Server`] is turned by a loop that waits for [`Server::fds`]; it never waits itself, for nobody. Who asks is what the
//! kernel says of who connected ([`caller`]); whether a process is fit is decided by [`sight`]; the groups that there are, each
//! with its key, are in [`groups`]. What is done to a process is done at the machine's edge ([`Tagger`], [`Needles`]).
//!
//! Trusted: the kernel's word on who connects. Untrusted: every client, its words and its pace: each has so many bytes,
//! so many places and so much time.

pub mod caller;
mod client;
mod desk;
mod door;
mod edge;
pub mod groups;
pub mod sight;

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use protocol::enforcer::{Event, Matrix, Said};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

pub use door::{Door, Occupied};
pub use edge::{Inside, Needles, Tagger};

use caller::Caller;
use client::{Client, Step};
use desk::Desk;

use crate::guards::trial::Trial;

/// Clients that have not been confirmed, at once.
const KNOCKING: usize = 256;
/// Of one control group.
const ALIKE: usize = 16;
/// Clients that stay: one for each wrapper, and operators who watch.
const STAYING: usize = 4096;
/// Clients that are let in, in one go.
const ROUND: usize = 64;
/// How long nobody is let in where there is no descriptor left.
const PAUSE: Duration = Duration::from_secs(1);

/// Where clients come in, and those who are in.
#[derive(Debug)]
pub struct Server<E> {
    door: Door,
    desk: Desk<E>,
    clients: Vec<Client>,
    shut_until: Option<Instant>,
}

/// What happened to a process, for the log and for events.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum News {
    /// It is protected from now on.
    Protected {
        /// Its number, where the enforcer runs.
        pid: u32,
        /// Its group.
        group: u64,
    },
    /// It was looked at after it had executed itself anew, and nothing was wrong.
    Confirmed {
        /// Its number.
        pid: u32,
        /// Its group.
        group: u64,
    },
    /// An administrator confirmed the node's guards.
    GuardsConfirmed {
        /// Who asked for it.
        pid: u32,
    },
    /// It was not done.
    Refused {
        /// Its number.
        pid: u32,
        /// Why.
        why: String,
    },
    /// A group has nobody left.
    Ended {
        /// The group.
        group: u64,
    },
}

impl<E: Tagger + Needles> Server<E> {
    /// Nobody is in yet.
    #[must_use]
    pub fn new(door: Door, edge: E) -> Self {
        Self { door, desk: Desk::new(edge), clients: Vec::new(), shut_until: None }
    }

    /// How the trial of the node's guards stands.
    pub(crate) const fn trial(&self) -> &Trial {
        &self.desk.trial
    }

    /// Likewise, to be changed.
    pub(crate) const fn trial_mut(&mut self) -> &mut Trial {
        &mut self.desk.trial
    }

    /// What stands at the machine's edge.
    pub fn edge(&mut self) -> &mut E {
        &mut self.desk.edge
    }

    /// What to wait for.
    #[must_use]
    pub fn fds(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let door = self.shut_until.is_none().then(|| (self.door.as_fd(), PollFlags::IN));
        door.into_iter().chain(self.clients.iter().map(Client::waits)).collect()
    }

    /// When it wants a turn though nobody comes.
    #[must_use]
    pub fn wakes(&self) -> Option<Instant> {
        self.clients.iter().filter_map(Client::deadline).chain(self.shut_until).min()
    }

    /// How many wrappers and watchers stay connected.
    #[must_use]
    pub fn staying(&self) -> usize {
        self.clients.iter().filter(|client| client.stays()).count()
    }

    /// Does what can be done without waiting.
    pub fn ready(&mut self, matrix: &Matrix, now: Instant) -> Vec<News> {
        if self.shut_until.is_some_and(|until| now >= until) {
            self.shut_until = None;
        }
        self.clients.retain(|client| client.deadline().is_none_or(|deadline| now < deadline));
        if self.shut_until.is_none() {
            self.let_in(now);
        }
        let mut news = self.desk.sweep(now);
        let ready = self.looked_at();
        let clients = std::mem::take(&mut self.clients);
        for (at, mut client) in clients.into_iter().enumerate() {
            let step = match ready.get(at) {
                Some(flags) if !flags.is_empty() => client.go_on(&mut self.desk, matrix, now, &mut news),
                _ => Step::Waits,
            };
            if step == Step::Waits {
                self.clients.push(client);
            }
        }
        news
    }

    /// Tells everybody who watches. Who is too slow misses some, and is told how many.
    pub fn publish(&mut self, event: &Event) {
        let watching = self.clients.iter_mut().filter(|client| client.watches());
        let mut packet = None;
        for client in watching {
            let packet = packet.get_or_insert_with(|| client::encoded(&Said::Event(Box::new(event.clone()))));
            client.tell(packet, event);
        }
    }

    /// Whether anybody watches: events that nobody reads need not be written.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.clients.iter().any(Client::watches)
    }

    fn looked_at(&self) -> Vec<PollFlags> {
        let waits = self.clients.iter().map(Client::waits);
        let mut fds: Vec<_> = waits.map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)).collect();
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if fds.is_empty() || poll(&mut fds, Some(&now)).is_err() {
            // Interrupted: there is another time.
            return Vec::new();
        }
        fds.iter().map(PollFd::revents).collect()
    }

    fn let_in(&mut self, now: Instant) {
        for _ in 0..ROUND {
            let line = match self.door.accept() {
                Ok(line) => line,
                Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(Errno::AGAIN) => return,
                // No descriptor, no memory: the door would be ready at once again.
                Err(_) => {
                    self.shut_until = now.checked_add(PAUSE);
                    return;
                }
            };
            // Who has gone meanwhile, or cannot be seen, is told so by the end of the line.
            let Ok(caller) = Caller::of(line.as_fd()) else { continue };
            let tagged = self.desk.edge.tag_of(caller.process()).unwrap_or_default();
            if self.make_room(&caller) {
                self.clients.push(Client::new(line, caller, tagged, now));
            }
        }
    }

    /// Whether there is a place for one more. Who takes up most of the places gives one up.
    fn make_room(&mut self, caller: &Caller) -> bool {
        let knocking = || self.clients.iter().filter(|client| !client.stays());
        if self.clients.len().saturating_sub(knocking().count()) >= STAYING {
            return false;
        }
        let of = |place: &str| knocking().filter(|client| client.place() == place).count();
        if of(caller.place()) >= ALIKE {
            return false;
        }
        if knocking().count() < KNOCKING {
            return true;
        }
        let most = knocking().map(|client| (of(client.place()), client.place().to_owned())).max();
        let oldest = most.and_then(|(_, place)| {
            self.clients.iter().position(|client| !client.stays() && client.place() == place)
        });
        oldest.map(|at| self.clients.remove(at)).is_some()
    }
}
