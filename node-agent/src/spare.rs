//! A descriptor that is kept for the moment when there is none.
//!
//! Without one, a caller can be neither accepted nor turned away: the listener stays readable, and the loop that accepts
//! would turn around itself. The spare one is given up, one caller is accepted and told, and it is taken again. It should
//! not come to that: there are to be more descriptors than places ([`suffice`]).

use std::fs::File;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The spare descriptor.
#[derive(Debug)]
pub(crate) struct Spare(Option<File>);

impl Spare {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(Some(open()?)))
    }

    /// Gives it up for one caller, with whom `parting` has to be done when it returns. `false`: there was none to give up,
    /// or somebody else was quicker to use it.
    pub(crate) fn relieve(&mut self, listener: &UnixListener, parting: impl FnOnce(&UnixStream)) -> bool {
        drop(self.0.take());
        let accepted = listener.accept();
        if let Ok((stream, _)) = &accepted {
            parting(stream);
        }
        let relieved = accepted.is_ok();
        drop(accepted);
        self.0 = open().ok();
        relieved
    }
}

/// Raises the limit of descriptors so far that each of so many callers has one, with those that serving them takes. `false`:
/// that is more than this process may have.
pub(crate) fn suffice(callers: usize) -> Result<bool, Errno> {
    let needed = u64::try_from(callers).unwrap_or(u64::MAX).saturating_mul(2).saturating_add(OTHERS);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < needed {
        setrlimit(Resource::RLIMIT_NOFILE, needed.min(hard), hard)?;
    }
    Ok(hard >= needed)
}

/// Of devices, certificates, standard streams and libraries.
const OTHERS: u64 = 64;

/// Whether an error of `accept` says that there are no descriptors: of this process, or of the system.
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    [Errno::EMFILE, Errno::ENFILE].map(Some).contains(&error.raw_os_error().map(Errno::from_raw))
}

fn open() -> io::Result<File> {
    File::open("/dev/null")
}
