//! `confirm-guards`: an administrator who could come in says so; see [`super::trial`].

use std::io;
use std::path::Path;
use std::time::Duration;

use protocol::enforcer::{Ask, MAX_PACKET, Said};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv, send,
    socket_with,
};

use crate::procfs;

/// Asks the enforcer at this socket.
pub fn confirm(socket: &Path) -> io::Result<()> {
    let kind = SocketType::SEQPACKET;
    let line = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    for which in [Timeout::Send, Timeout::Recv] {
        set_socket_timeout(&line, which, Some(PATIENCE))?;
    }
    let nobody = |error: rustix::io::Errno| {
        let error = io::Error::from(error);
        io::Error::new(error.kind(), format!("{}: {error}", socket.display()))
    };
    connect(&line, &SocketAddrUnix::new(socket)?).map_err(nobody)?;
    send(&line, &serde_json::to_vec(&Ask::ConfirmGuards {})?, SendFlags::NOSIGNAL)?;
    let mut packet = vec![0; MAX_PACKET];
    let (_, length) = recv(&line, &mut packet[..], RecvFlags::empty())?;
    match serde_json::from_slice(packet.get(..length).unwrap_or_default())? {
        Said::Done {} => Ok(()),
        Said::Refused { why } => Err(io::Error::other(why)),
        Said::Tagged {}
        | Said::Unprotected {}
        | Said::Clear { .. }
        | Said::Matrix(_)
        | Said::Watching {}
        | Said::Event(_) => Err(io::Error::other("expected `done`, found an answer to something else")),
    }
}

const PATIENCE: Duration = Duration::from_secs(5);

/// When the session of a process began: its leader, in nanoseconds since the machine's start; `proc_pid_stat(5)`.
pub(crate) fn session(pid: u32) -> io::Result<u64> {
    // USER_HZ, which is the same on every machine (asm-generic/param.h).
    const TICK: u64 = 10_000_000;
    // 0: none, or one whose leader is not seen from here.
    let leader = u32::try_from(field(pid, 6)?).ok().filter(|leader| *leader > 0);
    let leader = leader.ok_or_else(|| io::Error::other("expected a session, found none: log in anew"))?;
    Ok(field(leader, 22)?.saturating_mul(TICK))
}

/// A field of `stat`, counted from 1; the second may have anything in it, and ends with the last parenthesis.
fn field(pid: u32, number: usize) -> io::Result<u64> {
    let text = procfs::ours()?.text(&format!("{pid}/stat"))?;
    let rest = text.rsplit_once(") ").map(|(_, rest)| rest);
    let word = rest.and_then(|rest| rest.split(' ').nth(number.checked_sub(3)?));
    let number = word.and_then(|word| word.parse().ok());
    number.ok_or_else(|| io::Error::other(format!("{pid}/stat: expected a number in its place")))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_session_began_when_its_leader_did() {
        // Whoever runs the tests may have a session without a leader, or none that we see.
        let words = "echo; exec sleep 60";
        let mut leader =
            Command::new("setsid").args(["sh", "-c", words]).stdout(Stdio::piped()).spawn().unwrap();
        leader.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        let before = session(leader.id());
        let now = crate::events::clock::now().boot;
        leader.kill().unwrap();
        leader.wait().unwrap();
        let began = before.unwrap();
        assert!(began > 0 && began < now, "{began} {now}");
    }

    #[test]
    fn nobody_is_in_a_session_of_none() {
        assert!(session(0).is_err());
    }
}
