//! The line to a machine that waits: one request, one reply.
//!
//! Untrusted: the machine, and whatever carries its words.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::str::FromStr;
use std::time::Duration;

use protocol::unseal::{BadFrame, MAX_REPLY, Reply, Request, body_length, parse_reply, to_frame};

use crate::answer::NotJudged;

/// Where a machine waits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Address {
    /// The path of a Unix socket.
    Path(String),
    /// A host and a port.
    Network(String),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
        match port {
            _ if text.is_empty() => Err("expected the path of a socket, or HOST:PORT".to_owned()),
            Some((host, _)) if !host.is_empty() && !host.contains('/') => Ok(Self::Network(text.to_owned())),
            Some(_) | None => Ok(Self::Path(text.to_owned())),
        }
    }
}

/// Asks, and reads the whole answer.
pub(super) fn exchange(address: &Address, request: &Request) -> Result<Reply, NotJudged> {
    let frame = to_frame(request).map_err(|error| malformed(&error))?;
    let body = converse(address, &frame).map_err(|error| {
        let (Address::Path(place) | Address::Network(place)) = address;
        NotJudged::new("machine.unreachable", format!("expected a machine at {place}, found: {error}"))
    })?;
    parse_reply(&body).map_err(|error| malformed(&error))
}

fn converse(address: &Address, frame: &[u8]) -> io::Result<Vec<u8>> {
    match address {
        Address::Path(path) => {
            let line = UnixStream::connect(path)?;
            line.set_read_timeout(Some(PATIENCE))?;
            through(line, frame)
        }
        Address::Network(address) => {
            let line = TcpStream::connect(address)?;
            line.set_read_timeout(Some(PATIENCE))?;
            through(line, frame)
        }
    }
}

fn through(mut line: impl Read + Write, frame: &[u8]) -> io::Result<Vec<u8>> {
    line.write_all(frame)?;
    let mut header = [0; 4];
    line.read_exact(&mut header)?;
    let length = body_length(header, MAX_REPLY).map_err(io::Error::other)?;
    let mut body = vec![0; length];
    line.read_exact(&mut body)?;
    Ok(body)
}

fn malformed(error: &BadFrame) -> NotJudged {
    NotJudged::new("machine.answer", error.to_string())
}

/// For each piece of an answer. The agent behind it has half a minute.
const PATIENCE: Duration = Duration::from_secs(45);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_with_a_port_is_told_from_a_path() {
        assert_eq!("10.0.0.1:8210".parse(), Ok(Address::Network("10.0.0.1:8210".to_owned())));
        assert_eq!("[::1]:8210".parse(), Ok(Address::Network("[::1]:8210".to_owned())));
        for path in ["./bao.sock", "/run/x:1/bao.sock", "/run/bao:8210", "bao.sock", "host:port"] {
            assert_eq!(path.parse(), Ok(Address::Path(path.to_owned())), "{path}");
        }
        assert!("".parse::<Address>().is_err());
    }
}
