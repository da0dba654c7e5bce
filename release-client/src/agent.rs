//! Evidence from the node agent.
//!
//! One connection, one request, one reply, as `protocol::agent` has it.
//!
//! Untrusted: the agent. A lying agent costs us a refusal by OpenBao, never a secret.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use protocol::agent::{
    BadFrame, EvidenceReply, EvidenceRequest, Failure, MAX_REPLY, Reply, body_length, parse_reply, to_frame,
};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::printable;

/// For the whole conversation. A TPM may take seconds to sign, and others may be waiting for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks the agent that listens at `socket`.
pub fn evidence(socket: &Path, request: &EvidenceRequest) -> Result<EvidenceReply, Error> {
    let frame = to_frame(request)?;
    let body = exchange(socket, &frame, PATIENCE)?;
    match parse_reply(&body)? {
        Reply::Evidence(evidence) => Ok(evidence),
        Reply::Failed(failure) => Err(Error::Failed(Failure {
            code: printable(&failure.code),
            message: printable(&failure.message),
        })),
    }
}

fn exchange(socket: &Path, frame: &[u8], patience: Duration) -> Result<Vec<u8>, Error> {
    let unreachable = |source| Error::Unreachable { socket: socket.to_owned(), source };
    let deadline = Instant::now().checked_add(patience);
    let mut line = dial(socket, patience).map_err(unreachable)?;
    line.write_all(frame).map_err(unreachable)?;
    let mut header = [0; 4];
    fill(&mut line, &mut header, deadline).map_err(unreachable)?;
    let mut body = vec![0; body_length(header, MAX_REPLY)?];
    fill(&mut line, &mut body, deadline).map_err(unreachable)?;
    Ok(body)
}

/// Connects, and waits for a place in the agent's queue no longer than `patience`: the time to send is that
/// of `connect` too (unix(7)), and the standard library cannot set it before.
fn dial(socket: &Path, patience: Duration) -> io::Result<UnixStream> {
    let line = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&line, Timeout::Send, Some(patience))?;
    connect(&line, &SocketAddrUnix::new(socket)?)?;
    Ok(line.into())
}

/// Reads exactly as much, until `deadline`: a byte now and then does not help.
pub fn fill(line: &mut UnixStream, mut buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<()> {
    while !buffer.is_empty() {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        line.set_read_timeout(left)?;
        match line.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => buffer = buffer.get_mut(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
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
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Failed(failure) => ["agent.busy", "agent.rate"].contains(&failure.code.as_str()),
            Self::Malformed(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::thread;

    const SHORT: Duration = Duration::from_millis(300);

    fn gives_up(socket: &Path) -> io::ErrorKind {
        let start = Instant::now();
        let error = exchange(socket, b"frame", SHORT).unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        let Error::Unreachable { source, .. } = error else { panic!("{error}") };
        source.kind()
    }

    #[test]
    fn an_agent_that_lets_nobody_in_is_not_waited_for_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        let door = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        rustix::net::bind(&door, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&door, 0).unwrap();
        let _first = UnixStream::connect(&path).unwrap();
        assert_eq!(gives_up(&path), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn an_agent_that_sends_a_byte_now_and_then_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        let door = UnixListener::bind(&path).unwrap();
        thread::spawn(move || {
            let mut line = door.accept().unwrap().0;
            line.write_all(&[0, 0, 1, 0]).unwrap();
            while line.write_all(b".").is_ok() {
                thread::sleep(SHORT / 6);
            }
        });
        assert!(matches!(gives_up(&path), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock));
    }
}
