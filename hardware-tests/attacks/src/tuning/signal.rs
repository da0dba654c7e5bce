//! Signals that end a process with a core, from outside.
//!
//! Ending it is root's right, and a runtime's need. That it ends *by this signal*, and so with a core, is what must not be:
//! who is ended by SIGKILL instead has left nothing.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{PidfdFlags, WaitOptions, WaitStatus, pidfd_open, waitpid};

use crate::layout::put;
use crate::{Attempt, Outcome, Stage, Victim, call};

/// Sends it to a victim that is the attacker's child, whose end it is told of.
pub(super) fn core(stage: &Stage, number: i32, send: fn(&Victim, i32) -> Result<(), Errno>) -> Attempt {
    let victim = stage.another()?;
    send(&victim, number)?;
    // It answers, and is alive; or it is dead, and its end is there to be asked for.
    if victim.scratch().is_ok() {
        return Ok(Outcome::nothing("it lives"));
    }
    let status = waitpid(Some(victim.process()?), WaitOptions::empty())?.map(|(_, status)| status);
    match status.and_then(WaitStatus::terminating_signal) {
        Some(signal) if signal == number => Ok(Outcome::got(format!("it died of signal {number}"))),
        other => Ok(Outcome::nothing(format!("it died of signal {other:?}"))),
    }
}

pub(super) fn kill(victim: &Victim, number: i32) -> Result<(), Errno> {
    call!(libc::SYS_kill, victim.pid(), number).map(|_| ())
}

/// The kernel takes 32 bits of both.
pub(super) fn wide(victim: &Victim, number: i32) -> Result<(), Errno> {
    const ABOVE: i64 = 0x5a5a << 32;
    call!(libc::SYS_kill, victim.pid(), i64::from(number) | ABOVE).map(|_| ())
}

pub(super) fn tgkill(victim: &Victim, number: i32) -> Result<(), Errno> {
    call!(libc::SYS_tgkill, victim.pid(), victim.held().thread, number).map(|_| ())
}

pub(super) fn pidfd(victim: &Victim, number: i32) -> Result<(), Errno> {
    let process = pidfd_open(victim.process()?, PidfdFlags::empty())?;
    call!(libc::SYS_pidfd_send_signal, &process, number, 0, 0).map(|_| ())
}

/// `struct siginfo` with `si_code` `SI_QUEUE`.
pub(super) fn queue(victim: &Victim, number: i32) -> Result<(), Errno> {
    let mut info = [0; 128];
    put(&mut info, 0, &number.to_ne_bytes());
    put(&mut info, 8, &(-1_i32).to_ne_bytes());
    call!(libc::SYS_rt_sigqueueinfo, victim.pid(), number, &info[..]).map(|_| ())
}

/// A socket whose owner is the victim, and whose signal is not SIGIO. The kernel asks `file_send_sigiotask`, not `task_kill`.
pub(super) fn sigio(victim: &Victim, number: i32) -> Result<(), Errno> {
    let (near, far): (OwnedFd, OwnedFd) =
        socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    call!(libc::SYS_fcntl, &near, libc::F_SETOWN, victim.pid())?;
    // F_SETSIG.
    call!(libc::SYS_fcntl, &near, 10, number)?;
    call!(libc::SYS_fcntl, &near, libc::F_SETFL, libc::O_ASYNC)?;
    rustix::io::write(far.as_fd(), b"x")?;
    Ok(())
}
