//! The process that stays: it holds the values, watches the program, and gives its parts their turns.
//!
//! One thread, one loop: take the kernel's reports, let each [`Part`] have its turn, wait for a signal, a descriptor or
//! a moment. What can be done is in [`Core`]; what the values are in [`Present`].
//!
//! Trusted: the configuration, stem and fetchers. Untrusted: the program.

mod begin;
mod core;
mod errors;
mod family;
mod part;
mod present;
mod reports;
mod standing;

use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use secretmem::Parcel;

pub use self::core::{Core, Memory, Returned};
pub use errors::{
    BAD_CONFIGURATION, Error, NOT_REACHED, OUR_TROUBLE, REFUSED, UNFIT, UNPROTECTED, WITHDRAWN,
};
pub use part::{Event, Part};
pub use present::{Change, Error as Unusable, Present};
pub use standing::Standing;

use crate::config::{Supervision, Wanted};
use crate::enforcer::Enforcer;
use crate::errand::Errand;
use crate::graft::Secrets;
use crate::interpose::Ways;
use crate::selftest::Protection;
use crate::signals::{News, Signals};
use crate::stem::Stem;

/// How long a program's end may wait for OpenBao to take back what it lent.
const FAREWELL: Duration = Duration::from_secs(3);

/// The keeper and its parts.
pub struct Keeper<'k> {
    signals: &'k Signals,
    core: Core<'k>,
    parts: Vec<Box<dyn Part + 'k>>,
}

impl<'k> Keeper<'k> {
    /// A keeper without parts and without a program.
    #[must_use]
    pub fn new(
        stem: &'k Stem,
        signals: &'k Signals,
        conduct: &Supervision,
        wanted: &'k [Wanted],
        memory: Memory,
    ) -> Self {
        Self { signals, core: Core::new(stem, conduct, wanted, memory), parts: Vec::new() }
    }

    /// With one more part.
    #[must_use]
    pub fn with(mut self, part: impl Part + 'k) -> Self {
        self.parts.push(Box::new(part));
        self
    }

    /// With the ways that are allowed, and the command that they are for; the graft alone otherwise.
    #[must_use]
    pub fn by(mut self, ways: Ways<'k>) -> Self {
        self.core.ways = ways;
        self
    }

    /// With a report of our protection, which goes with all evidence.
    #[must_use]
    pub fn reporting(mut self, protection: Protection) -> Self {
        self.core.report = protection.report().to_cbor();
        self.core.standing.protection = Some(protection);
        self
    }

    /// With the enforcer that protects us, or without one.
    #[must_use]
    pub fn enforced_by(mut self, enforcer: Enforcer) -> Self {
        self.core.enforced_by(enforcer);
        self
    }

    /// With a token for the first errand.
    #[must_use]
    pub fn with_token(mut self, token: Option<Parcel>) -> Self {
        self.core.given = token;
        self
    }

    /// Fetches everything, runs the program to its end, and returns the code to exit with.
    pub fn run(mut self) -> Result<u8, Error> {
        let outcome = self.fetch().and_then(|()| self.core.start()).and_then(|()| self.watch());
        let outcome = outcome.inspect_err(|_error| self.core.kill());
        self.bid_farewell();
        outcome
    }

    /// As [`run`](Self::run), with values that are there already.
    pub fn run_with(mut self, secrets: Secrets) -> Result<u8, Error> {
        let outcome = self.core.start_with(secrets).and_then(|()| self.watch());
        outcome.inspect_err(|_error| self.core.kill())
    }

    /// Fetches everything, for a program that somebody else starts.
    pub fn fetched(mut self) -> Result<Secrets, Error> {
        let outcome = self.fetch().and_then(|()| self.core.secrets());
        outcome.inspect_err(|_error| self.core.kill())
    }

    /// The last errand: nobody uses any more what OpenBao lent us. It is not waited for long: leases end by themselves.
    fn bid_farewell(&mut self) {
        let errand = self.parts.iter().find_map(|part| part.farewell(&self.core));
        if errand.is_some_and(|errand| self.core.send(&errand).is_ok()) {
            self.core.wait_for_errand(FAREWELL);
        }
    }

    /// The first errand: until it is back there is no program, and nobody to pass signals to.
    fn fetch(&mut self) -> Result<(), Error> {
        self.core.send(&Errand::Fetch)?;
        loop {
            self.core.reap()?;
            match self.core.returned() {
                Some(Returned::Brought(brought)) => {
                    return Ok(self.core.exchange(brought).map(|_first| ())?);
                }
                Some(Returned::Setback(setback)) => return Err(Error::Failed(setback)),
                Some(Returned::Lost(error)) => return Err(Error::Errand(error)),
                None => self.wait(self.core.has_reports.then(Instant::now))?,
            }
            while let Some(news) = self.next()? {
                if let News::Forward(signal @ (libc::SIGTERM | libc::SIGINT | libc::SIGHUP | libc::SIGQUIT)) =
                    news
                {
                    return Err(Error::Interrupted(signal));
                }
            }
        }
    }

    fn watch(&mut self) -> Result<u8, Error> {
        if self.parts.is_empty() {
            self.core.forget();
        }
        loop {
            // First: the program may have ended before we began to watch.
            self.core.reap()?;
            if let Some(code) = self.core.outcome {
                return Ok(code);
            }
            self.core.serve(Instant::now())?;
            let events = std::mem::take(&mut self.core.events);
            for part in &mut self.parts {
                part.turn(&mut self.core, &events)?;
            }
            self.wait(self.wakes())?;
            self.core.look_at_the_clock(Instant::now());
            while let Some(news) = self.next()? {
                if let News::Forward(signal) = news {
                    self.core.forward(signal);
                }
            }
        }
    }

    fn next(&self) -> Result<Option<News>, Error> {
        self.signals.next().map_err(Error::os("signalfd"))
    }

    /// The next moment at which somebody wants a turn.
    fn wakes(&self) -> Option<Instant> {
        // What a turn has brought about is told at once.
        let news = !self.core.events.is_empty() || self.core.outcome.is_some() || self.core.has_reports;
        let at_once = news.then(Instant::now);
        let parts = self.parts.iter().filter_map(|part| part.wakes());
        parts.chain(self.core.deadline()).chain(at_once).min()
    }

    /// Waits for a signal, a fetcher, a part's descriptor, or the moment.
    fn wait(&mut self, until: Option<Instant>) -> Result<(), Error> {
        let mut fds = vec![PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN)];
        let errand = self.core.errand_line();
        // Kept in the list where there is no errand, so that the rest does not move.
        let flags = if errand.is_some() { PollFlags::IN } else { PollFlags::empty() };
        fds.push(PollFd::from_borrowed_fd(errand.unwrap_or_else(|| self.signals.as_fd()), flags));
        for (fd, flags) in self.parts.iter().flat_map(|part| part.waits()) {
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        }
        fds.extend(self.core.enforcer().map(|bond| PollFd::from_borrowed_fd(bond.as_fd(), PollFlags::IN)));
        fds.extend(self.core.door().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        match poll(&mut fds, left(until).map_err(Error::os("poll"))?.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(source) => return Err(Error::os("poll")(source.into())),
        }
        let is_back = errand.is_some() && fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
        drop(fds);
        if is_back {
            self.core.receive();
        }
        Ok(())
    }
}

impl std::fmt::Debug for Keeper<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper")
            .field("core", &self.core)
            .field("parts", &self.parts.len())
            .finish_non_exhaustive()
    }
}

/// A moment that is near is waited for to its end: poll(2) would come back before it.
fn left(until: Option<Instant>) -> io::Result<Option<Timespec>> {
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    // Years are as good as for ever, and fit every kernel's type.
    let left = left.map(|left| left.min(Duration::from_hours(24)));
    left.map(Timespec::try_from).transpose().map_err(io::Error::other)
}
