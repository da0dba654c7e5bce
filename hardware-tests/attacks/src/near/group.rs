//! Control groups say who is whose only to who believes them.

use std::fs::write;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::process::{WaitOptions, WaitStatus, waitpid};

use crate::group::place;
use crate::kernel::{Side, leave, side};
use crate::layout::put;
use crate::procfs::read_victim;
use crate::{Attempt, Outcome, Stage, call, flat};

fn of_victim(stage: &Stage) -> Result<PathBuf, Outcome> {
    let group =
        stage.group.as_ref().ok_or(Outcome::impossible("the victim has no control group of its own"))?;
    Ok(group.path().to_owned())
}

/// Out, into the attacker's own.
pub(super) fn move_out(stage: &Stage) -> Attempt {
    let theirs = of_victim(stage)?;
    let ours = place("self").ok_or(Outcome::impossible("no control group of our own"))?;
    write(ours.join("cgroup.procs"), stage.victim.pid().to_string())?;
    let now = place(&stage.victim.pid().to_string());
    Ok(if now.is_some_and(|now| now != theirs) {
        Outcome::got("it is in another group")
    } else {
        Outcome::nothing("it is where it was")
    })
}

/// In, ourselves.
pub(super) fn join(stage: &Stage) -> Attempt {
    let theirs = of_victim(stage)?;
    write(theirs.join("cgroup.procs"), "0")?;
    Ok(if place("self").is_some_and(|ours| ours == theirs) {
        Outcome::got("in its group")
    } else {
        Outcome::nothing("not in its group")
    })
}

/// Whether joining is refused or not.
pub(super) fn join_and_read(stage: &Stage) -> Attempt {
    let joined = join(stage);
    match read_victim(&stage.victim) {
        Err(Outcome::Denied(number)) => joined.and(Ok(Outcome::Denied(number))),
        other => other,
    }
}

pub(super) fn move_out_and_read(stage: &Stage) -> Attempt {
    let moved = move_out(stage);
    match read_victim(&stage.victim) {
        Err(Outcome::Denied(number)) => moved.and(Ok(Outcome::Denied(number))),
        other => other,
    }
}

/// `CLONE_INTO_CGROUP`: no file of the group is opened for writing. `struct clone_args` of 88 bytes.
pub(super) fn clone_and_read(stage: &Stage) -> Attempt {
    const CLONE_INTO_CGROUP: u64 = 1 << 33;
    let theirs = of_victim(stage)?;
    let directory = std::fs::File::open(&theirs)?;
    let number = u64::try_from(std::os::fd::AsRawFd::as_raw_fd(&directory)).unwrap_or(0);
    let mut args = [0; 88];
    put(&mut args, 0, &CLONE_INTO_CGROUP.to_ne_bytes());
    put(&mut args, 32, &u64::try_from(libc::SIGCHLD).unwrap_or(0).to_ne_bytes());
    put(&mut args, 80, &number.to_ne_bytes());
    let (hear, say) = rustix::pipe::pipe()?;
    match side(call!(libc::SYS_clone3, &args[..], 88)?)? {
        Side::Child => {
            let inside = place("self").is_some_and(|ours| ours == theirs);
            let outcome =
                if inside { flat(read_victim(&stage.victim)) } else { Outcome::nothing("not in its group") };
            let words = serde_json::to_vec(&outcome).unwrap_or_default();
            leave(i32::from(rustix::io::write(&say, &words).is_err()))
        }
        Side::Parent(pid) => {
            drop(say);
            let status = waitpid(Some(pid), WaitOptions::empty())?.map(|(_, status)| status);
            let mut room = [0; 1024];
            let length = rustix::io::read(&hear, &mut room)?;
            if let Some(signal) = status.and_then(WaitStatus::terminating_signal) {
                return Ok(Outcome::Killed(signal));
            }
            serde_json::from_slice(room.get(..length).unwrap_or_default()).ok().ok_or(Errno::BADMSG.into())
        }
    }
}
