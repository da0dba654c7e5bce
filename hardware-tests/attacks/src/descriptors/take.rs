//! Descriptors of the victim's in the attacker's hands.

use std::fs::{File, read_dir, read_link};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitOptions, WaitStatus, pidfd_open, waitpid};

use crate::kernel::{Mapping, Side, adopt, clone, leave};
use crate::victim::{Order, PAGE, Place};
use crate::{Attempt, Outcome, Stage, Victim, call, found};

/// Takes a descriptor of a process.
fn take(process: &OwnedFd, place: &Place) -> Result<OwnedFd, Errno> {
    adopt(call!(libc::SYS_pidfd_getfd, process, place.descriptor, 0)?)
}

fn open(pid: i32) -> Result<OwnedFd, Errno> {
    pidfd_open(Pid::from_raw(pid).ok_or(Errno::SRCH)?, PidfdFlags::empty())
}

/// Reads a memfd that was taken.
fn show(file: OwnedFd, place: &Place) -> Attempt {
    let mut bytes = [0; 64];
    let length = File::from(file).read_at(&mut bytes, 0)?;
    Ok(found(bytes.get(..length).unwrap_or_default(), &place.canary, "of its memfd"))
}

/// Maps a `memfd_secret` that was taken: reading it is refused by the kernel, mapping it is not.
fn show_secret(file: impl AsFd, place: &Place) -> Attempt {
    Ok(found(&Mapping::readable(file, PAGE)?.copy(), &place.canary, "of its memfd_secret"))
}

pub(crate) fn memfd(stage: &Stage) -> Attempt {
    let place = &stage.victim.held().memfd;
    show(take(&open(stage.victim.pid())?, place)?, place)
}

pub(crate) fn secret(stage: &Stage) -> Attempt {
    let place = secret_of(&stage.victim)?;
    show_secret(take(&open(stage.victim.pid())?, place)?, place)
}

fn secret_of(victim: &Victim) -> Result<&Place, Outcome> {
    victim.held().secret.as_ref().ok_or(Outcome::impossible("no memfd_secret"))
}

/// `PIDFD_THREAD`, since 6.9.
pub(super) fn by_thread(stage: &Stage) -> Attempt {
    let held = stage.victim.held();
    let thread = adopt(call!(libc::SYS_pidfd_open, held.thread, libc::O_EXCL)?)?;
    show(take(&thread, &held.memfd)?, &held.memfd)
}

pub(super) fn of_child(stage: &Stage) -> Attempt {
    let held = stage.victim.held();
    show(take(&open(held.child)?, &held.memfd)?, &held.memfd)
}

/// A pidfd is a name, not a right.
pub(super) fn before(stage: &Stage) -> Attempt {
    let mut victim = stage.fresh()?;
    let process = open(victim.pid())?;
    stage.settle(&mut victim)?;
    let place = &victim.held().memfd;
    show(take(&process, place)?, place)
}

/// The accomplice may be killed for it: what it took stays in the table that both have.
pub(super) fn accomplice(stage: &Stage) -> Attempt {
    let place = &stage.victim.held().memfd;
    let process = open(stage.victim.pid())?;
    match clone(libc::CLONE_FILES)? {
        Side::Child => {
            // Not to be closed: the parent's table is this one.
            let taken = call!(libc::SYS_pidfd_getfd, &process, place.descriptor, 0);
            leave(taken.map_or_else(Errno::raw_os_error, |_| 0))
        }
        Side::Parent(pid) => {
            let status = waitpid(Some(pid), WaitOptions::empty())?.map(|(_, status)| status);
            match look_for_memfd()? {
                Some(file) => show(file, place),
                None => match status.and_then(WaitStatus::terminating_signal) {
                    Some(signal) => Ok(Outcome::Killed(signal)),
                    None => Ok(Outcome::Denied(status.and_then(WaitStatus::exit_status).unwrap_or(0))),
                },
            }
        }
    }
}

fn look_for_memfd() -> Result<Option<OwnedFd>, Outcome> {
    for entry in read_dir("/proc/self/fd")? {
        let entry = entry?;
        let number = entry.file_name().to_string_lossy().parse::<i64>().unwrap_or(-1);
        if read_link(entry.path()).is_ok_and(|path| path.to_string_lossy().starts_with("/memfd:attacks")) {
            return Ok(Some(adopt(number)?));
        }
    }
    Ok(None)
}

/// By `SCM_RIGHTS`, as an accomplice inside would.
pub(super) fn received(stage: &Stage) -> Attempt {
    let place = secret_of(&stage.victim)?;
    let (_, file) = stage.victim.ask_file(&Order::Pass { which: "secret".into() })?;
    match file {
        Some(file) => show_secret(file, place),
        None => Ok(Outcome::nothing("the message came without the descriptor")),
    }
}
