//! The agent at work: callers in, replies out, until SIGTERM.
//!
//! Who is calling is the kernel's word ([`crate::caller`]). Whoever may not ask is answered whatever they send. Each
//! request has a thread, a place among a fixed number, and a deadline; each caller has a share of the places, and a pace.
//! So neither many callers nor slow ones keep out the others, and nobody keeps out others but by being many.
//!
//! Untrusted: callers.

use std::cell::{Cell, RefCell};
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;
use protocol::agent::{BadFrame, MAX_REQUEST, Reply, body_length, to_frame};

use crate::answer::{Answerer, BUSY, CALLER, DENIED, RATE, fail, malformed};
use crate::caller::process::{Peer, Surety};
use crate::caller::{Book, Caller, Key, Refused};
use crate::config::{Config, Hardware};
use crate::crew::Crew;
use crate::endorsements::Unreadable;
use crate::facts;
use crate::join::{self, Membership};
use crate::journal::{self, Journal, Line, Outcome};
use crate::places::{Place, Places};
use crate::rates::{Pace, Rates};
use crate::slots::Slots;
use crate::socket::Socket;
use crate::spare::{Spare, is_exhaustion, suffice};

pub use crate::socket::Occupied;

/// Serves until SIGTERM or SIGINT. Call it before any other thread runs: it blocks these signals.
pub fn serve(config: &Config) -> Result<(), Error> {
    serve_by(config, Answerer::new(config)?)
}

/// The same, with an answerer that has devices of its own.
pub fn serve_by(config: &Config, answerer: Answerer) -> Result<(), Error> {
    let mut end = SigSet::empty();
    end.add(Signal::SIGTERM);
    end.add(Signal::SIGINT);
    end.thread_block().map_err(calling("blocking signals"))?;
    let end = SignalFd::new(&end).map_err(calling("opening a signal descriptor"))?;
    let reception = Reception::new(config, answerer)?;
    let callers = config.max_connections.saturating_add(LOBBY);
    if !suffice(callers).map_err(calling("raising the limit of file descriptors"))? {
        journal::write(&format_args!(
            "the limit of file descriptors is too low for {callers} callers at once"
        ));
    }
    let socket = Socket::bind(&config.socket, config.socket_mode)?;
    // Only by the agent that has the socket: a second one would measure what the first would have to take as its own.
    if let Some(settings) = &config.facts {
        if !facts::await_enforcer(settings, end.as_fd()).map_err(Error::Facts)? {
            return Ok(());
        }
        let places = config.hardware.values().filter_map(Hardware::facts).collect();
        facts::keep(settings, places).map_err(Error::Facts)?;
    }
    socket.listener.set_nonblocking(true).map_err(Error::Listen)?;
    journal::write(&format_args!("listening on {}", config.socket.display()));
    let member = join::start(config, &reception.answerer).unwrap_or_else(|error| {
        // What callers ask for is judged elsewhere: they are served all the same.
        journal::write(&format_args!("member: not started: {error}"));
        None
    });
    reception.receive(&socket, &end)?;
    // No new callers from here on; those inside get their reply.
    drop(socket);
    member.into_iter().for_each(Membership::end);
    let drained = reception.places.drained(FAREWELL);
    journal::write(&format_args!("ended{}", if drained { "" } else { ", with callers unanswered" }));
    Ok(())
}

#[derive(Debug)]
struct Reception {
    answerer: Arc<Answerer>,
    book: Book,
    start: Instant,
    pace: Pace,
    rates: RefCell<Rates<Key>>,
    places: Arc<Places>,
    crew: Arc<Crew>,
    /// For callers who were refused and are on their way out.
    lobby: Arc<Slots>,
    journal: Arc<Journal>,
    spare: RefCell<Spare>,
    /// Whether the journal knows already how unsure callers are.
    warned: Cell<bool>,
}

impl Reception {
    fn new(config: &Config, answerer: Answerer) -> Result<Self, Error> {
        Ok(Self {
            answerer: Arc::new(answerer),
            book: Book::new(config.allowed_uids.clone(), config.pods.clone()),
            start: Instant::now(),
            pace: config.pace,
            rates: RefCell::new(Rates::new(config.pace)),
            places: Places::new(config.max_connections),
            crew: Crew::new("caller", READY),
            lobby: Slots::new(LOBBY),
            journal: Arc::new(Journal::new()),
            spare: RefCell::new(Spare::new().map_err(Error::Listen)?),
            warned: Cell::new(false),
        })
    }

    fn receive(&self, socket: &Socket, end: &SignalFd) -> Result<(), Error> {
        loop {
            let mut wanted = [
                PollFd::new(socket.listener.as_fd(), PollFlags::POLLIN),
                PollFd::new(end.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut wanted, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                other => other.map_err(calling("waiting for callers"))?,
            };
            let [_, ended] = wanted;
            if ended.any() == Some(true) {
                return Ok(());
            }
            match socket.listener.accept() {
                Ok((stream, _)) => self.admit(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => self.not_accepted(socket, &error),
            }
        }
    }

    /// Descriptors come back when callers leave. Until then one caller after the other is told.
    fn not_accepted(&self, socket: &Socket, error: &io::Error) {
        let (_, outcome) = fail(None, BUSY, format!("accepting a caller: {error}"));
        let nobody = Caller::unplaced(Peer { uid: 0, pid: 0 });
        self.journal.note(&Line { caller: &nobody, outcome: &outcome, took: Duration::ZERO });
        let parting = |stream: &UnixStream| {
            let (reply, _) = fail(None, BUSY, "the agent has no file descriptors left".to_owned());
            drop(send(stream, &reply, PARTING));
        };
        if !is_exhaustion(error) || !self.spare.borrow_mut().relieve(&socket.listener, parting) {
            thread::sleep(BREATH);
        }
    }

    fn admit(&self, stream: UnixStream) {
        let peer = match Peer::of(&stream) {
            Ok(peer) => peer,
            Err(error) => return journal::write(&format_args!("asking who is calling: {error}")),
        };
        let (caller, surety) = match self.book.look_up(&stream, peer) {
            Ok(known) => known,
            Err(refused) => {
                let code = match refused {
                    Refused::Denied(_) => DENIED,
                    Refused::Unknown(_) => CALLER,
                };
                return self.dismiss(stream, &Caller::unplaced(peer), fail(None, code, refused.to_string()));
            }
        };
        if surety == Surety::ByNumber && !self.warned.replace(true) {
            journal::write(&BY_NUMBER);
        }
        let now = self.start.elapsed();
        if !self.rates.borrow_mut().take(&caller.key(), now) {
            let Pace { per_second, burst } = self.pace;
            let message = format!("too many requests: at most {burst} at once, and {per_second} a second");
            return self.dismiss(stream, &caller, fail(None, RATE, message));
        }
        match self.places.take(caller.key()) {
            Ok(place) => self.attend(stream, caller, place),
            Err(full) => self.dismiss(stream, &caller, fail(None, BUSY, full.to_string())),
        }
    }

    /// Answers somebody whose request does not count. So few bytes fit the socket's buffer: nothing waits.
    fn dismiss(&self, stream: UnixStream, caller: &Caller, (reply, outcome): (Reply, Outcome)) {
        drop(send(&stream, &reply, PARTING));
        self.journal.note(&Line { caller, outcome: &outcome, took: Duration::ZERO });
        // A caller who is still sending when the line breaks does not read why. If too many are, so be it.
        if let Some(place) = self.lobby.take(Duration::ZERO) {
            let see_out = move || {
                drop(stream.shutdown(Shutdown::Write));
                drop(receive(&stream, &Deadline::after(PARTING)));
                drop(place);
            };
            drop(thread::Builder::new().name("leaving".to_owned()).spawn(see_out));
        }
    }

    fn attend(&self, stream: UnixStream, caller: Caller, place: Place) {
        let (answerer, journal) = (Arc::clone(&self.answerer), Arc::clone(&self.journal));
        let work = move || {
            let start = Instant::now();
            let outcome = converse(&stream, &answerer, &caller);
            journal.note(&Line { caller: &caller, outcome: &outcome, took: start.elapsed() });
            drop(place);
        };
        if let Err(error) = self.crew.take_on(work) {
            journal::write(&format_args!("starting a thread: {error}"));
        }
    }
}

/// One request, one reply.
fn converse(stream: &UnixStream, answerer: &Answerer, caller: &Caller) -> Outcome {
    let (reply, outcome) = match receive(stream, &Deadline::after(REQUEST_TIME)) {
        Ok(body) => answerer.answer_frame(&body, caller),
        Err(Unheard::Frame(bad)) => malformed(&bad),
        Err(Unheard::Call(error)) => return gone("agent.unheard", &error),
    };
    match send(stream, &reply, REPLY_TIME) {
        Ok(()) => outcome,
        Err(error) => gone("agent.unsent", &error),
    }
}

/// The caller left, or was too slow. There is no reply, only a line in the journal.
fn gone(word: &str, error: &io::Error) -> Outcome {
    Outcome { platform: None, word: word.to_owned(), detail: Some(error.to_string()) }
}

fn receive(stream: &UnixStream, deadline: &Deadline) -> Result<Vec<u8>, Unheard> {
    let mut header = [0; 4];
    fill(stream, &mut header, deadline)?;
    let mut body = vec![0; body_length(header, MAX_REQUEST)?];
    fill(stream, &mut body, deadline)?;
    Ok(body)
}

/// Reads exactly as much. The deadline is that of the whole request: a byte now and then does not help.
fn fill(mut stream: &UnixStream, mut buffer: &mut [u8], deadline: &Deadline) -> Result<(), Unheard> {
    while !buffer.is_empty() {
        stream.set_read_timeout(Some(deadline.left()?))?;
        let count = match stream.read(buffer) {
            Ok(0) => return Err(BadFrame::Content("the request ends early".to_owned()).into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error.into()),
        };
        buffer = buffer.get_mut(count..).unwrap_or_default();
    }
    Ok(())
}

fn send(mut stream: &UnixStream, reply: &Reply, time: Duration) -> io::Result<()> {
    let frame = to_frame(reply).map_err(io::Error::other)?;
    let deadline = Deadline::after(time);
    let mut rest = frame.as_slice();
    while !rest.is_empty() {
        stream.set_write_timeout(Some(deadline.left()?))?;
        match stream.write(rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The end of the time that a caller gets.
#[derive(Debug)]
struct Deadline {
    start: Instant,
    time: Duration,
}

impl Deadline {
    fn after(time: Duration) -> Self {
        Self { start: Instant::now(), time }
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.time.saturating_sub(self.start.elapsed());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

/// Why there is no request.
#[derive(Debug, thiserror::Error)]
enum Unheard {
    #[error(transparent)]
    Frame(#[from] BadFrame),
    #[error(transparent)]
    Call(#[from] io::Error),
}

/// Why the agent does not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The socket cannot be had.
    #[error(transparent)]
    Occupied(#[from] Occupied),
    /// The operator's certificates and lists cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The socket cannot be listened on.
    #[error("listening: {0}")]
    Listen(io::Error),
    /// Nobody would look whether the facts changed.
    #[error("starting a thread for the facts: {0}")]
    Facts(io::Error),
    /// A failed call.
    #[error("{call}: {source}")]
    Call {
        /// What was tried.
        call: &'static str,
        /// What the kernel said.
        source: Errno,
    },
}

fn calling(call: &'static str) -> impl Fn(Errno) -> Error {
    move |source| Error::Call { call, source }
}

/// A request is a few kilobytes that its sender has at hand.
const REQUEST_TIME: Duration = Duration::from_secs(5);
const REPLY_TIME: Duration = Duration::from_secs(5);
/// How long a refused caller may still be sending.
const PARTING: Duration = Duration::from_secs(1);
const LOBBY: usize = 64;
/// Threads that wait for callers when there are none.
const READY: usize = 4;
const BY_NUMBER: &str = "this kernel is older than Linux 6.5 and has no SO_PEERPIDFD: callers are known by the number of their \
                         process alone, which another process can have by the time it is looked up";
/// How long callers may still be served after SIGTERM.
const FAREWELL: Duration = Duration::from_secs(10);
const BREATH: Duration = Duration::from_millis(100);
