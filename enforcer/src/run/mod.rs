//! The whole program, top to bottom: load, tag ourselves, arm, prove, serve.
//!
//! One thread, one loop, which waits for clients, records, the canary's children, and time. What was pinned goes on when it ends.

mod begin;
mod enforcer;
mod told;

use std::io::{self, Write as _};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::config::Run;
use crate::confine::{self, Attackers, Listing};
use crate::ending::Ending;
use crate::events::feed::Unopened;
use crate::held::{self, Signs};
use crate::load;
use crate::load::arms::Arms;
use crate::procfs::{genuine_bytes, magic};
use crate::socket::Occupied;
use crate::succession::policy;

pub use told::{Digests, digests};

/// The longest time between two looks at everything.
const LONGEST: Duration = Duration::from_secs(1);
/// Between two trials where the kernel refuses to load.
const AGAIN: Duration = Duration::from_mins(1);

/// Why it did not run, or does no longer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another policy is in force.
    #[error(transparent)]
    Policy(#[from] policy::Error),
    /// Nothing was loaded.
    #[error(transparent)]
    Load(#[from] load::Error),
    /// Nobody can ask for anything.
    #[error(transparent)]
    Door(#[from] Occupied),
    /// Nothing can be told.
    #[error(transparent)]
    Feed(#[from] Unopened),
    /// The machine does not do what it should.
    #[error("{doing}: {source}")]
    Machine {
        /// What was being done.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    /// Whether it may be otherwise at another time, with all that was said to us as it is: so it is waited for.
    const fn may_pass(&self) -> bool {
        match self {
            Self::Load(error) => error.is_the_kernels(),
            Self::Policy(error) => matches!(error, policy::Error::Unlisted(_)),
            Self::Door(_) | Self::Feed(_) | Self::Machine { .. } => false,
        }
    }
}

/// Loads, and looks after what was loaded until told to end. On a kernel that loads nothing it stays, says so, and tries again:
/// an end would be taken for a fault that another start mends.
pub fn run(config: &Run) -> Result<(), Error> {
    confine::begin(attackers(config)).map_err(machine("giving up what is not needed"))?;
    let ending = Ending::watch().map_err(machine("listening to signals"))?;
    while !ending.came() {
        match begin::begin(config) {
            Ok(enforcer) => return ending.stand_by(enforcer.serve(&ending)?, config.when_replaced),
            Err(error) if error.may_pass() => hold(config, &error, &ending)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Nothing could be loaded: says why, and shows it where the matrix is read, until it is time to try again.
fn hold(config: &Run, error: &Error, ending: &Ending) -> Result<(), Error> {
    // The kernel's lists tell who was before us.
    confine::spare(Listing::Possible).map_err(machine("rights"))?;
    let signs = Signs::look(config);
    let why = if signs.are_there() { format!("{signs}: {error}") } else { error.to_string() };
    say(&if signs.are_there() { format!("LOCKED OUT: {why}") } else { format!("NOTHING IS REFUSED: {why}") });
    // The sign of life of one that lives is its own.
    if signs.alive.is_none()
        && let Err(error) = held::show(config, release(), &why)
    {
        say(&format!("{}: {error}", config.outputs.heartbeat.display()));
    }
    wait_for(&[(ending.fd(), PollFlags::IN)], AGAIN)
}

fn wait_for(fds: &[(BorrowedFd<'_>, PollFlags)], patience: Duration) -> Result<(), Error> {
    let mut fds: Vec<_> = fds.iter().map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags)).collect();
    let patience = Timespec::try_from(patience).ok();
    match poll(&mut fds, patience.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(machine("waiting")(error.into())),
    }
}

/// Which kinds of hook are to be used.
fn arms_of(config: &Run) -> Arms<'_> {
    // A list that is not the kernel's counts as none: what needs no list is used then.
    let list = genuine_bytes(Path::new("/sys/kernel/security/lsm"), magic::SECURITYFS).unwrap_or_default();
    Arms::new(config, &String::from_utf8_lossy(&list))
}

const fn attackers(config: &Run) -> Attackers {
    if config.reactive_kill { Attackers::Killed } else { Attackers::Told }
}

fn release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

fn machine(doing: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Machine { doing, source }
}

fn say(text: &str) {
    // Where standard error is closed there is nobody to tell.
    writeln!(io::stderr(), "cloudtaser-enforcer: {text}").unwrap_or_default();
}
