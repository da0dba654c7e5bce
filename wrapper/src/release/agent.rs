//! Evidence from the node agent.
//!
//! One connection, one request, one reply, as `protocol::agent` has it.
//!
//! Untrusted: the agent. A lying agent costs us a refusal by OpenBao, never a secret.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::agent::{
    BadFrame, EvidenceReply, EvidenceRequest, Failure, MAX_REPLY, Reply, body_length, parse_reply, to_frame,
};

use super::printable;

/// A TPM may take seconds to sign, and others may be waiting for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks the agent that listens at `socket`.
pub(super) fn evidence(socket: &Path, request: &EvidenceRequest) -> Result<EvidenceReply, Error> {
    let frame = to_frame(request)?;
    let body = exchange(socket, &frame)?;
    match parse_reply(&body)? {
        Reply::Evidence(evidence) => Ok(evidence),
        Reply::Failed(failure) => Err(Error::Failed(Failure {
            code: printable(&failure.code),
            message: printable(&failure.message),
        })),
    }
}

fn exchange(socket: &Path, frame: &[u8]) -> Result<Vec<u8>, Error> {
    let unreachable = |source| Error::Unreachable { socket: socket.to_owned(), source };
    let mut line = UnixStream::connect(socket).map_err(unreachable)?;
    line.set_read_timeout(Some(PATIENCE)).map_err(unreachable)?;
    line.set_write_timeout(Some(PATIENCE)).map_err(unreachable)?;
    line.write_all(frame).map_err(unreachable)?;
    let mut header = [0; 4];
    line.read_exact(&mut header).map_err(unreachable)?;
    let mut body = vec![0; body_length(header, MAX_REPLY)?];
    line.read_exact(&mut body).map_err(unreachable)?;
    Ok(body)
}

/// Why there is no evidence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody listens, or the line broke.
    #[error("node agent at {}: {source}; is it running, and is its socket mounted here?", socket.display())]
    Unreachable {
        /// Where it should listen.
        socket: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It spoke otherwise than agreed.
    #[error("node agent: {0}")]
    Malformed(#[from] BadFrame),
    /// It says why it has none.
    #[error("node agent: {}: {}", .0.code, .0.message)]
    Failed(Failure),
}

impl Error {
    /// Whether asking again later may help.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Failed(failure) => failure.code == "agent.busy",
            Self::Malformed(_) => false,
        }
    }
}
