//! A process of its own for everything that talks to others.
//!
//! Keys, TLS and parsers live and die there. What comes back is secret memory, by descriptor, and a list of
//! what lies where. The process that stays stays small, and never holds anything but values.
//!
//! Trusted: the other half; it is this program. What it brings is checked all the same.

use std::io;
use std::os::fd::AsFd as _;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, kill_process};

use crate::config::Config;
use crate::errand::{self, Brought, Errand, Setback};
use crate::graft::{Secrets, Unfit};
use crate::line::Line;
use crate::signals::{News, Signals};
use crate::stem::{self, Order, Stem};

/// A fetcher on its way: the keeper's end of its line.
#[derive(Debug)]
pub struct Fetching {
    line: Line,
    fetcher: Pid,
}

impl Fetching {
    /// Sends a fetcher on its way.
    pub fn begin(stem: &Stem, errand: &Errand) -> Result<Self, Error> {
        let (line, theirs) = Line::pair()?;
        let fetcher = stem.order(&Order::Fetch, theirs)?;
        errand.send(&line, None)?;
        Ok(Self { line, fetcher })
    }

    /// Waits for the memory, or for the fetcher's end, or for a signal that ends us.
    pub fn wait(self, config: &Config, signals: &Signals) -> Result<Secrets, Error> {
        loop {
            let mut fds =
                [signals.as_fd(), self.line.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            match poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Error::Os(error.into())),
            }
            let [_, line] = &fds;
            if !line.revents().is_empty() {
                let brought = Brought::receive(&self.line, &config.secrets)?.map_err(Error::Failed)?;
                return secrets(config, brought);
            }
            while let Some(news) = signals.next()? {
                if let News::Forward(signal @ (libc::SIGTERM | libc::SIGINT | libc::SIGHUP | libc::SIGQUIT)) =
                    news
                {
                    kill_process(self.fetcher, Signal::KILL).map_err(io::Error::from)?;
                    return Err(Error::Interrupted(signal));
                }
            }
        }
    }
}

fn secrets(config: &Config, brought: Brought) -> Result<Secrets, Error> {
    let values = brought.values.ok_or(Error::Nothing)?;
    let variable = |wanted: u16, target: u16| {
        let wanted = config.secrets.get(usize::from(wanted))?;
        Some(wanted.targets.get(usize::from(target))?.variable.clone())
    };
    let entry = |(wanted, target, span)| Some((variable(wanted, target)?, span));
    let entries = brought.places.into_iter().map(entry).collect::<Option<_>>().ok_or(Error::Nothing)?;
    Ok(Secrets::new(values, entries)?)
}

/// Why the keeper has no secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The fetcher has told why.
    #[error("nothing was released")]
    Failed(Setback),
    /// A signal told us to end before there was a program to pass it to.
    #[error("ended by signal {0} while waiting for a release")]
    Interrupted(i32),
    /// Terms alone.
    #[error("no values were brought")]
    Nothing,
    /// Values that no environment can hold.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The fetcher was not understood.
    #[error(transparent)]
    Errand(#[from] errand::Error),
    /// There is no fetcher.
    #[error(transparent)]
    Stem(#[from] stem::Error),
    /// The kernel refused something.
    #[error("waiting for a release: {0}")]
    Os(#[from] io::Error),
}

impl Error {
    /// The fetcher's own code where it failed, 128 and the signal's number after a signal, else 125.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(setback) => setback.code,
            Self::Interrupted(signal) => u8::try_from(signal.saturating_add(128)).unwrap_or(125),
            Self::Errand(_) | Self::Stem(_) | Self::Nothing | Self::Unfit(_) | Self::Os(_) => 125,
        }
    }
}
