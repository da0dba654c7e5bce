//! What a process says to the enforcer to be protected, as the wrapper does: ask, execute itself anew, ask for confirmation.
//!
//! Untrusted: the answers; a word that was not expected is a refusal.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use protocol::enforcer::{Ask, MAX_PACKET, Said};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv, send,
    socket_with,
};

/// How long the enforcer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to the enforcer.
#[derive(Debug)]
pub struct Enforcer {
    socket: OwnedFd,
}

impl Enforcer {
    /// Connects to it.
    pub fn at(path: &Path) -> Result<Self, String> {
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .map_err(|error| format!("socket: {error}"))?;
        for side in [Timeout::Recv, Timeout::Send] {
            set_socket_timeout(&socket, side, Some(PATIENCE)).map_err(|error| format!("socket: {error}"))?;
        }
        let address = SocketAddrUnix::new(path).map_err(|error| format!("{}: {error}", path.display()))?;
        connect(&socket, &address).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { socket })
    }

    /// Asks, and waits for the answer.
    pub fn ask(&self, ask: &Ask) -> Result<Said, String> {
        let words = serde_json::to_vec(ask).map_err(|error| error.to_string())?;
        send(&self.socket, &words, SendFlags::NOSIGNAL)
            .map_err(|error| format!("asking the enforcer: {error}"))?;
        let mut room = vec![0; MAX_PACKET];
        let (length, _) = recv(&self.socket, &mut room[..], RecvFlags::empty())
            .map_err(|error| format!("hearing the enforcer: {error}"))?;
        let words = room.get(..length).unwrap_or_default();
        if words.is_empty() {
            return Err("the enforcer hung up".into());
        }
        serde_json::from_slice(words).map_err(|error| format!("the enforcer's words: {error}"))
    }

    /// Asks to be tagged.
    pub fn protect(&self) -> Result<(), String> {
        match self.ask(&Ask::Protect {})? {
            Said::Tagged {} => Ok(()),
            Said::Refused { why } => Err(why),
            Said::Clear { .. }
            | Said::Unprotected {}
            | Said::Done {}
            | Said::Matrix(_)
            | Said::Watching {}
            | Said::Event(_) => Err("an answer to another question".into()),
        }
    }

    /// Asks whether we are protected, and alone. Answered by the key of fingerprints, hexadecimal.
    pub fn confirm(&self) -> Result<String, String> {
        match self.ask(&Ask::Confirm {})? {
            Said::Clear { key, .. } => Ok(key),
            Said::Refused { why } => Err(why),
            Said::Tagged {}
            | Said::Unprotected {}
            | Said::Done {}
            | Said::Matrix(_)
            | Said::Watching {}
            | Said::Event(_) => Err("an answer to another question".into()),
        }
    }
}
