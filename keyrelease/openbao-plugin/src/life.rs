//! When the process ends.
//!
//! A plugin without its host is a process that nobody stops: the host kills only those whose
//! connection it has, and a host that was killed itself stops none. So any of five events ends us.
//!
//! Trusted: the kernel's word about our parent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{io, thread};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, getppid, pidfd_open};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::sleep;

/// Why the process ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum End {
    /// The host asked for it.
    #[error("host asked for shutdown")]
    Asked,
    /// The broker's stream ended.
    #[error("host closed the broker stream")]
    HostLeft,
    /// Nobody ever opened the broker's stream.
    #[error("no host within {} s", PATIENCE.as_secs())]
    NoHost,
    /// The parent process is gone.
    #[error("parent process ended")]
    ParentDied,
    /// SIGTERM.
    #[error("terminated by signal")]
    Terminated,
}

/// Tells the main task that the end has come.
#[derive(Debug)]
pub(crate) struct Life {
    end: Sender<End>,
    host_came: AtomicBool,
}

impl Life {
    /// The two ends of the message.
    pub(crate) fn begin() -> (Self, Receiver<End>) {
        let (end, ended) = channel(4);
        (Self { end, host_came: AtomicBool::new(false) }, ended)
    }

    /// Ends the process; the first reason counts.
    pub(crate) fn end(&self, why: End) {
        // Full means that it is ending already.
        self.end.try_send(why).unwrap_or_default();
    }

    /// The host's broker stream is open.
    pub(crate) fn host_came(&self) {
        self.host_came.store(true, Ordering::Relaxed);
    }

    /// Resolves if no host came in time.
    pub(crate) async fn no_host(&self) -> End {
        sleep(PATIENCE).await;
        if self.host_came.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        End::NoHost
    }
}

/// Watches the parent from a thread, through a descriptor, because its number may belong to another
/// process later. `PR_SET_PDEATHSIG` would fire when the *thread* that started us ends, which in Go
/// is at any time.
pub(crate) fn watch_parent(life: Arc<Life>) -> io::Result<()> {
    let parent = getppid().ok_or(io::ErrorKind::NotFound)?;
    let watched = pidfd_open(parent, PidfdFlags::empty())?;
    // It may have died in between, and its number may be someone else's now.
    if getppid() != Some(parent) {
        return Err(io::Error::other(End::ParentDied));
    }
    thread::Builder::new().name("parent".to_owned()).spawn(move || {
        // Readable once the process has ended. An error but an interruption is taken for the same.
        while poll(&mut [PollFd::new(&watched, PollFlags::IN)], None) == Err(Errno::INTR) {}
        life.end(End::ParentDied);
    })?;
    Ok(())
}

/// The two signals that a plugin takes from its default fate. SIGINT is taken and ignored: an
/// operator's Ctrl-C goes to the whole group of processes, and the server still needs us to shut
/// down in order.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    _interrupt: Signal,
}

impl Signals {
    /// From here on.
    pub(crate) fn take() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, _interrupt: signal(SignalKind::interrupt())? })
    }

    /// Resolves at SIGTERM.
    pub(crate) async fn terminated(&mut self) -> End {
        self.terminate.recv().await;
        End::Terminated
    }
}

/// How long we wait for the host's first stream; its own start timeout is the same.
const PATIENCE: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{Instant, timeout};

    #[tokio::test(start_paused = true)]
    async fn a_plugin_that_no_host_connects_to_ends_after_a_minute() {
        let (life, _ended) = Life::begin();
        let started = Instant::now();
        assert_eq!(life.no_host().await, End::NoHost);
        assert_eq!(started.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_plugin_whose_host_came_does_not_end_after_a_minute() {
        let (life, mut ended) = Life::begin();
        life.host_came();
        assert!(timeout(PATIENCE * 2, life.no_host()).await.is_err());
        life.end(End::HostLeft);
        assert_eq!(ended.recv().await, Some(End::HostLeft));
    }
}
