//! Why the keeper ends without a program's own exit code, and which code it ends with instead.

use std::io;

use super::present;
use crate::errand::{self, Setback};
use crate::interpose::Trouble;
use crate::{graft, stem};

/// The configuration is wrong.
pub const BAD_CONFIGURATION: u8 = 120;
/// OpenBao or the node agent was not reached in time.
pub const NOT_REACHED: u8 = 121;
/// A secret or one of its fields is missing, or cannot be handed over.
pub const UNFIT: u8 = 122;
/// The kernel, or a rule of this machine, refuses a protection that is demanded.
pub const UNPROTECTED: u8 = 123;
/// A value was withdrawn, or is older than allowed.
pub const WITHDRAWN: u8 = 124;
/// Other trouble of ours.
pub const OUR_TROUBLE: u8 = 125;
/// The program is there, and cannot be run.
const NOT_EXECUTABLE: u8 = 126;
/// There is no such program.
const NOT_FOUND: u8 = 127;
/// OpenBao judged, and said no.
pub const REFUSED: u8 = 1;

/// Why the program could not be run, or could not be run on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The fetcher has told why.
    #[error("nothing was released")]
    Failed(Setback),
    /// A signal told us to end before there was a program to pass it to.
    #[error("ended by signal {0} while waiting for a release")]
    Interrupted(i32),
    /// What was brought cannot be handed over.
    #[error(transparent)]
    Present(#[from] present::Error),
    /// A fetcher was not understood.
    #[error(transparent)]
    Errand(#[from] errand::Error),
    /// No process could be made.
    #[error(transparent)]
    Stem(#[from] stem::Error),
    /// The program was not started, or not given its secrets.
    #[error(transparent)]
    Graft(#[from] graft::Error),
    /// No way leads into the program, or the one that was taken ended.
    #[error(transparent)]
    Way(#[from] Trouble),
    /// Files were asked for, and cannot be served.
    #[error(transparent)]
    Files(#[from] crate::files::Refused),
    /// There are no values to start a program with.
    #[error("no values are held any more, the program cannot be started anew")]
    Forgotten,
    /// The kernel refused something that an init program needs.
    #[error("{doing}: {source}")]
    Os {
        /// The system call.
        doing: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl Error {
    pub(super) fn os(doing: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Os { doing, source }
    }

    /// What to exit with.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(setback) => setback.code,
            Self::Interrupted(signal) => u8::try_from(signal.saturating_add(128)).unwrap_or(OUR_TROUBLE),
            Self::Graft(graft::Error::Exec(error)) if error.kind() == io::ErrorKind::NotFound => NOT_FOUND,
            Self::Graft(graft::Error::Exec(_)) => NOT_EXECUTABLE,
            Self::Graft(
                graft::Error::TracingRefused
                | graft::Error::Refused { doing: "memfd_secret" | "mmap of secret memory", .. },
            )
            | Self::Files(_)
            | Self::Errand(errand::Error::Memory(_))
            | Self::Way(Trouble::NoWay(_) | Trouble::Memory(_))
            | Self::Present(present::Error::Memory(_)) => UNPROTECTED,
            Self::Way(Trouble::Preload) => BAD_CONFIGURATION,
            Self::Present(present::Error::Unfit(_) | present::Error::Missing(_)) => UNFIT,
            Self::Present(present::Error::Nothing)
            | Self::Errand(_)
            | Self::Stem(_)
            | Self::Graft(_)
            | Self::Way(Trouble::Closed | Trouble::Os(_))
            | Self::Forgotten
            | Self::Os { .. } => OUR_TROUBLE,
        }
    }
}
