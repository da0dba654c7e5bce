//! One line to the enforcer: whole packets, each a JSON document.
//!
//! Untrusted: the other end.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use protocol::enforcer::{Ask, MAX_PACKET, Said};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv, send,
    socket_with,
};

/// A line.
#[derive(Debug)]
pub(super) struct Line(OwnedFd);

impl Line {
    /// Asks one thing on a new line.
    pub(super) fn ask(path: &Path, ask: &Ask) -> Result<Self, String> {
        let told = |error: Errno| error.to_string();
        let kind = SocketType::SEQPACKET;
        let line = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).map_err(told)?;
        let patience = Some(PATIENCE);
        for which in [Timeout::Send, Timeout::Recv] {
            set_socket_timeout(&line, which, patience).map_err(told)?;
        }
        connect(&line, &SocketAddrUnix::new(path).map_err(told)?).map_err(told)?;
        let packet = serde_json::to_vec(ask).map_err(|error| error.to_string())?;
        send(&line, &packet, SendFlags::NOSIGNAL).map_err(told)?;
        Ok(Self(line))
    }

    /// From now on an answer may take as long as it takes.
    pub(super) fn be_patient(&self) -> Result<(), String> {
        set_socket_timeout(&self.0, Timeout::Recv, None).map_err(|error| error.to_string())
    }

    /// What is said next; none: the other end has gone.
    pub(super) fn next(&self) -> Result<Option<Said>, String> {
        let mut packet = vec![0; MAX_PACKET];
        let length = loop {
            // The true length, so that a cut packet is known as one.
            match recv(&self.0, &mut packet[..], RecvFlags::TRUNC) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    return Err(format!("expected an answer within {PATIENCE:?}, found none"));
                }
                Err(error) => return Err(error.to_string()),
                Ok((_, 0)) => return Ok(None),
                Ok((_, length)) => break length,
            }
        };
        let packet =
            packet.get(..length).ok_or(format!("expected at most {MAX_PACKET} bytes, found {length}"))?;
        serde_json::from_slice(packet)
            .map(Some)
            .map_err(|error| format!("expected a word of the enforcer's: {error}"))
    }
}

const PATIENCE: Duration = Duration::from_secs(5);
