//! Into the victim's name spaces, of which it has some of its own.

use std::fs::{File, read_link};

use rustix::process::{PidfdFlags, pidfd_open};

use crate::kernel::adopt;
use crate::{Attempt, Outcome, Stage, call};

/// By `/proc/V/ns/NAME`.
pub(super) fn by_file(stage: &Stage, name: &str, flag: i32) -> Attempt {
    let file = File::open(format!("/proc/{}/ns/{name}", stage.victim.pid()))?;
    call!(libc::SYS_setns, std::os::fd::AsFd::as_fd(&file), flag)?;
    inside(stage, &[name])
}

/// By a pidfd, into several at once.
pub(super) fn by_pidfd(stage: &Stage) -> Attempt {
    let process = pidfd_open(stage.victim.process()?, PidfdFlags::empty())?;
    call!(libc::SYS_setns, &process, libc::CLONE_NEWUTS | libc::CLONE_NEWNET)?;
    inside(stage, &["uts", "net"])
}

/// By an ioctl of the pidfd (6.11): no file of procfs is opened.
pub(super) fn by_ioctl(stage: &Stage, name: &str, number: i32) -> Attempt {
    const PIDFS_IOCTL_MAGIC: i32 = 0xFF00;
    let process = pidfd_open(stage.victim.process()?, PidfdFlags::empty())?;
    let space = adopt(call!(libc::SYS_ioctl, &process, PIDFS_IOCTL_MAGIC | number, 0)?)?;
    call!(libc::SYS_setns, &space, 0)?;
    inside(stage, &[name])
}

/// Whether we are where the victim said that it is.
fn inside(stage: &Stage, names: &[&str]) -> Attempt {
    for name in names {
        // The mount name space of the victim has a procfs too, and it may be another's: `thread-self` is right in both.
        let ours = read_link(format!("/proc/thread-self/ns/{name}"))?.display().to_string();
        match stage.victim.held().spaces.get(*name) {
            Some(theirs) if *theirs == ours => {}
            Some(theirs) => return Ok(Outcome::nothing(format!("still in {ours}, not in {theirs}"))),
            None => {
                return Ok(Outcome::impossible(format!("the victim has no {name} name space of its own")));
            }
        }
    }
    Ok(Outcome::got(format!("in its {} name space", names.join(" and "))))
}
