//! The line to the enforcer: whole packets, and nobody is waited for longer than he is worth.
//!
//! Trusted: the enforcer, as far as `enforcer` says. Its words are read with bounds all the same.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use protocol::enforcer::{Ask, MAX_NEEDLES, MAX_PACKET, Matrix, Needle, Said, needles};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv, send,
    socket_with,
};

use crate::say;

/// How long the enforcer may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// What is said where nobody listens.
pub(crate) const NOBODY: &str = "no enforcer";

/// A line on which one question is asked at a time.
#[derive(Debug)]
pub(crate) struct Line(OwnedFd);

/// What the enforcer has confirmed, and the line that says when it is over.
#[derive(Debug)]
pub struct Bond {
    line: Line,
    key: [u8; 32],
    looked: Vec<String>,
    matrix: Matrix,
}

/// What became of a question.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Silence {
    /// There is nobody.
    #[error("{NOBODY}")]
    Nobody,
    /// It did not answer.
    #[error("the enforcer: {0}")]
    Line(io::Error),
    /// It has hung up.
    #[error("the enforcer has hung up")]
    Over,
    /// It did not answer as it should.
    #[error("the enforcer's answer is none of its words")]
    Malformed,
    /// It says no.
    #[error("the enforcer refuses: {0}")]
    Refused(String),
}

impl Line {
    /// To whoever listens there.
    pub(crate) fn to(path: &Path) -> Result<Self, Silence> {
        let line = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        for side in [Timeout::Recv, Timeout::Send] {
            set_socket_timeout(&line, side, Some(PATIENCE))?;
        }
        match connect(&line, &SocketAddrUnix::new(path)?) {
            Ok(()) => Ok(Self(line)),
            Err(Errno::NOENT | Errno::CONNREFUSED | Errno::NOTDIR) => Err(Silence::Nobody),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks, and waits for the answer.
    pub(crate) fn ask(&self, ask: &Ask) -> Result<Said, Silence> {
        let words = serde_json::to_vec(ask).map_err(|_impossible| Silence::Malformed)?;
        send(&self.0, &words, SendFlags::NOSIGNAL)?;
        let mut room = vec![0; MAX_PACKET];
        let (length, _) = recv(&self.0, &mut room[..], RecvFlags::empty())?;
        let words = room.get(..length).filter(|words| !words.is_empty()).ok_or(Silence::Over)?;
        let said = serde_json::from_slice(words).map_err(|_not_ours| Silence::Malformed)?;
        if let Said::Refused { why } = said {
            return Err(Silence::Refused(release_client::printable(&why)));
        }
        Ok(said)
    }

    /// Whether we are protected; none: not yet.
    pub(crate) fn confirm(self) -> Result<Result<Bond, Self>, Silence> {
        match self.ask(&Ask::Confirm {})? {
            Said::Clear { key, looked, matrix } => {
                let mut bytes = [0; 32];
                hex::decode_to_slice(key, &mut bytes).map_err(|_no_key| Silence::Malformed)?;
                // We hand secrets to the program, by pipes and sockets: that is not sending them out. Refused to all but the
                // first of the group, whose children have it from there.
                match self.ask(&Ask::Keep {})? {
                    Said::Done {} | Said::Refused { .. } => {
                        Ok(Ok(Bond { line: self, key: bytes, looked, matrix }))
                    }
                    Said::Tagged {}
                    | Said::Unprotected {}
                    | Said::Clear { .. }
                    | Said::Matrix(_)
                    | Said::Watching {}
                    | Said::Event(_) => Err(Silence::Malformed),
                }
            }
            Said::Unprotected {} => Ok(Err(self)),
            Said::Tagged {}
            | Said::Done {}
            | Said::Matrix(_)
            | Said::Watching {}
            | Said::Event(_)
            | Said::Refused { .. } => Err(Silence::Malformed),
        }
    }
}

impl Bond {
    /// What the enforcer looked at.
    pub(crate) fn looked(&self) -> &[String] {
        &self.looked
    }

    /// How each vector is defended.
    pub(crate) const fn matrix(&self) -> &Matrix {
        &self.matrix
    }

    /// Tells what of these values nobody shall send; one that is too short to be recognised is named.
    pub(crate) fn register_values<'v>(
        &self,
        values: impl Iterator<Item = (&'v str, &'v [u8])>,
    ) -> Result<(), Silence> {
        let mut all = Vec::new();
        for (name, value) in values {
            match needles(&self.key, value) {
                Ok(needles) => all.extend(needles),
                Err(unfit) => say(format_args!("{name} is not looked for in what is sent: {unfit}")),
            }
        }
        self.register(&all)
    }

    fn register(&self, needles: &[Needle]) -> Result<(), Silence> {
        for some in needles.chunks(MAX_NEEDLES) {
            if self.line.ask(&Ask::Register { needles: some.to_vec() })? != (Said::Done {}) {
                return Err(Silence::Malformed);
            }
        }
        Ok(())
    }

    /// Whether the enforcer has hung up. It says nothing by itself.
    pub(crate) fn is_over(&self) -> bool {
        !matches!(
            recv(&self.line.0, &mut [0; 1][..], RecvFlags::DONTWAIT | RecvFlags::PEEK),
            Err(Errno::AGAIN | Errno::INTR)
        )
    }
}

impl AsFd for Bond {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.line.0.as_fd()
    }
}

impl From<Errno> for Silence {
    fn from(error: Errno) -> Self {
        match error {
            Errno::PIPE | Errno::CONNRESET => Self::Over,
            // What a time limit of a socket says.
            Errno::AGAIN => Self::Line(io::ErrorKind::TimedOut.into()),
            error => Self::Line(error.into()),
        }
    }
}
