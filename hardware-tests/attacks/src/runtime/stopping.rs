//! Stopping a pod, and what leads to it.

use std::fs::read_to_string;

use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open};

use crate::{Attempt, Outcome, Stage, call};

pub(super) fn exists(stage: &Stage) -> Attempt {
    call!(libc::SYS_kill, stage.victim.pid(), 0)?;
    Ok(Outcome::got("it is there"))
}

pub(super) fn pidfd(stage: &Stage) -> Attempt {
    let process = pidfd_open(stage.victim.process()?, PidfdFlags::empty())?;
    let none = Timespec { tv_sec: 0, tv_nsec: 0 };
    let ended = poll(&mut [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)], Some(&none))?;
    Ok(if ended == 0 { Outcome::got("it lives") } else { Outcome::nothing("it is dead") })
}

/// A runtime is seldom the parent: a victim of the attacker's own is asked for its end by its signal's number.
pub(super) fn ends(stage: &Stage, number: i32) -> Attempt {
    let mut victim = stage.another()?;
    call!(libc::SYS_kill, victim.pid(), number)?;
    let status = victim.end();
    Ok(if status == Some(number) {
        Outcome::got("it ended")
    } else {
        Outcome::nothing(format!("its end: {status:?}"))
    })
}

pub(super) fn stops(stage: &Stage) -> Attempt {
    let pid = stage.victim.pid();
    call!(libc::SYS_kill, pid, libc::SIGSTOP)?;
    let mut stopped = false;
    for _ in 0..100 {
        let stat = read_to_string(format!("/proc/{pid}/stat"))?;
        stopped = stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T"));
        if stopped {
            break;
        }
        sleep(Duration::from_millis(10));
    }
    call!(libc::SYS_kill, pid, libc::SIGCONT)?;
    stage.victim.scratch()?;
    Ok(if stopped { Outcome::got("it stopped, and went on") } else { Outcome::nothing("it did not stop") })
}
