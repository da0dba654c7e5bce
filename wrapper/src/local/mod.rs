//! The local socket: values for the program, how things stand for its operators, over HTTP/1.1.
//!
//! `GET /v1/secrets/NAME` gives a value to processes of the program's tree (`who`), `/v1/status` and `/metrics` tell
//! them, root and our own user how things stand. Over TCP there is `/metrics` and nothing else. Every client is
//! served from the keeper's loop and never waited for; heads are on the heap, values are written from where they lie.
//!
//! Trusted: the kernel's word on who connects. Untrusted: every client, its bytes and its pace.

mod connection;
pub(crate) mod kernel;
mod part;
mod reply;
pub mod request;
mod status;
pub(crate) mod who;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect,
    listen, socket_with, sockopt,
};
use rustix::process::umask;

use crate::config;
use crate::files::Shown;
use connection::{Connection, Step};
pub use status::{Lease, Served, Status};
use who::{Tops, Who};

/// Clients of the program's tree at once; the next is sent away.
const CLIENTS: usize = 256;
/// Root and our own user at once, from elsewhere in the machine: they cannot keep the program's processes out.
const LOOKERS: usize = 64;
/// Strangers at once, and clients over TCP: they can keep nobody else out.
const STRANGERS: usize = 16;
/// Clients that may stand before the door.
const CROWD: i32 = 128;
/// Clients of one door that are looked at in one go, before others get their turn: who comes fast holds nobody up.
const ROUND: usize = 64;
/// How long no client is let in where we have no descriptor left.
const PAUSE: Duration = Duration::from_secs(1);

/// Where clients come in, and those who are in.
#[derive(Debug)]
pub struct Local {
    strategy: config::Strategy,
    doors: Vec<Door>,
    connections: Vec<Connection>,
    shut_until: Option<Instant>,
    tops: Tops,
    values: u64,
    refused: u64,
}

/// Which door a client came through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Entrance {
    /// The Unix socket.
    Socket,
    /// The address for metrics.
    Metrics,
}

#[derive(Debug)]
struct Door {
    listener: OwnedFd,
    entrance: Entrance,
    /// Removed in the end.
    file: Option<PathBuf>,
}

impl Local {
    /// Opens the doors that are asked for.
    pub fn open(wanted: &config::Local, strategy: config::Strategy) -> Result<Self, Error> {
        let mut doors = Vec::new();
        if let Some(name) = &wanted.socket {
            let opened = Door::socket(name).map_err(|source| Error { at: name.clone(), source })?;
            doors.push(opened);
        }
        if let Some(address) = wanted.metrics {
            let opened =
                Door::metrics(address).map_err(|source| Error { at: address.to_string(), source })?;
            doors.push(opened);
        }
        let (connections, tops) = (Vec::new(), Tops::default());
        Ok(Self { strategy, doors, connections, shut_until: None, tops, values: 0, refused: 0 })
    }

    /// The descriptors of the doors.
    pub fn doors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.doors.iter().map(|door| door.listener.as_fd())
    }

    /// What to wait for.
    fn waiting(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let open = if self.shut_until.is_some() { &[] } else { self.doors.as_slice() };
        let doors = open.iter().map(|door| (door.listener.as_fd(), PollFlags::IN));
        doors.chain(self.connections.iter().map(Connection::waits))
    }

    /// When something is to be done though nobody comes.
    fn deadline(&self) -> Option<Instant> {
        self.connections.iter().map(Connection::deadline).chain(self.shut_until).min()
    }

    /// Values that went out, and requests for values that were refused.
    const fn served(&self) -> (u64, u64) {
        (self.values, self.refused)
    }

    /// Does what can be done without waiting. How things stand is asked for only if somebody is there.
    fn serve(&mut self, shown: &[Shown<'_>], status: impl FnOnce() -> Status, now: Instant) {
        if self.shut_until.is_some_and(|until| now >= until) {
            self.shut_until = None;
        }
        self.connections.retain(|connection| now < connection.deadline());
        if self.shut_until.is_none() {
            self.let_in(now);
        }
        let ready = self.ready();
        if ready.iter().all(PollFlags::is_empty) {
            return;
        }
        let status = status();
        let connections = std::mem::take(&mut self.connections);
        for (mut connection, ready) in connections.into_iter().zip(ready) {
            let step = if ready.is_empty() { Step::Waits } else { connection.go_on(shown, &status) };
            match step {
                Step::Waits => self.connections.push(connection),
                Step::Refused => {
                    self.refused = self.refused.saturating_add(1);
                    self.connections.push(connection);
                }
                Step::Done(value) => self.values = self.values.saturating_add(u64::from(value)),
                Step::Over => {}
            }
        }
    }

    /// What is there now for each connection.
    fn ready(&self) -> Vec<PollFlags> {
        let waits = self.connections.iter().map(Connection::waits);
        let mut fds: Vec<_> = waits.map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)).collect();
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if fds.is_empty() || poll(&mut fds, Some(&now)).is_err() {
            // Interrupted: there is another time.
            return Vec::new();
        }
        fds.iter().map(PollFd::revents).collect()
    }

    /// Lets in who stands before a door.
    fn let_in(&mut self, now: Instant) {
        for door in &self.doors {
            for _ in 0..ROUND {
                let line = match accept_with(&door.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                    Ok(line) => line,
                    Err(Errno::INTR | Errno::CONNABORTED) => continue,
                    Err(Errno::AGAIN) => break,
                    // No descriptor, no memory: the door would be ready at once again.
                    Err(_) => {
                        self.shut_until = now.checked_add(PAUSE);
                        return;
                    }
                };
                let who = match door.entrance {
                    Entrance::Socket => Who::is(line.as_fd(), &self.tops),
                    Entrance::Metrics => Who::Stranger,
                };
                let room = match who {
                    Who::Tree => CLIENTS,
                    Who::Ours | Who::Unsure => LOOKERS,
                    Who::Stranger => STRANGERS,
                };
                let alike = self.connections.iter().filter(|connection| connection.who == who);
                if alike.count() < room {
                    self.connections.push(Connection::new(line, door.entrance, who, now));
                }
            }
        }
    }
}

impl Door {
    /// A path from the root, or `@NAME` in the abstract namespace. Everybody may knock.
    fn socket(name: &str) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let listener = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        let file = if let Some(name) = name.strip_prefix('@') {
            bind(&listener, &SocketAddrUnix::new_abstract_name(name.as_bytes())?)?;
            None
        } else {
            remove_leftover(Path::new(name))?;
            // Who may have what is decided by who it is, not by the mode of a file. The file is made with its mode:
            // changed later, another could stand in its place.
            let before = umask(Mode::from_raw_mode(0o111));
            let bound = bind(&listener, &SocketAddrUnix::new(name)?);
            umask(before);
            bound?;
            Some(PathBuf::from(name))
        };
        listen(&listener, CROWD)?;
        Ok(Self { listener, entrance: Entrance::Socket, file })
    }

    fn metrics(address: SocketAddr) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let listener = socket_with(family, SocketType::STREAM, flags, None)?;
        // A restart finds connections of before; they keep nobody from the address.
        sockopt::set_socket_reuseaddr(&listener, true)?;
        bind(&listener, &SocketAddrAny::from(address))?;
        listen(&listener, CROWD)?;
        Ok(Self { listener, entrance: Entrance::Metrics, file: None })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // Refused or gone, there is nothing more to do about it.
            fs::remove_file(file).unwrap_or_default();
        }
    }
}

/// Removes a socket behind which nobody listens any more; anything else that stands there is left alone.
fn remove_leftover(path: &Path) -> io::Result<()> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    let probe = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    match connect(&probe, &SocketAddrUnix::new(path)?) {
        Err(Errno::CONNREFUSED) => fs::remove_file(path),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A door that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("listening on {at}: {source}")]
pub struct Error {
    at: String,
    source: io::Error,
}
