//! Signals to the enforcer, by every way that the kernel sends them.

use std::io;
use std::os::fd::AsRawFd as _;

use rustix::pipe::pipe;
use rustix::process::{
    Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open, pidfd_send_signal,
};

use super::target::Target;
use crate::call;
use crate::told::{Found, absent, nothing, told};
use crate::{Probe, Stage};

pub(crate) const PROBES: &[Probe] = &[
    Probe::new("own/stop", "own-signal", "SIGSTOP to the enforcer", |stage| told(stop(stage))).invasive(),
    Probe::new("own/term", "own-signal", "SIGTERM to the enforcer", |stage| {
        told(killed(stage, |pid| Ok(kill_process(pid, Signal::TERM)?)))
    })
    .invasive(),
    Probe::new("own/abort", "own-signal", "SIGABRT to the enforcer", |stage| {
        told(killed(stage, |pid| Ok(kill_process(pid, Signal::ABORT)?)))
    })
    .invasive(),
    Probe::new("own/group-kill", "own-signal", "SIGKILL to its process group", |stage| told(group(stage)))
        .invasive(),
    Probe::new("own/thread-kill", "own-signal", "tgkill of its first thread", |stage| {
        told(killed(stage, |pid| {
            let number = pid.as_raw_nonzero().get();
            call!(libc::SYS_tgkill, number, number, libc::SIGKILL)?;
            Ok(())
        }))
    })
    .invasive(),
    Probe::new("own/queue-kill", "own-signal", "rt_sigqueueinfo of SIGKILL", |stage| {
        told(killed(stage, queue))
    })
    .invasive(),
    Probe::new(
        "own/sigio-kill",
        "own-signal",
        "a pipe whose news are told to the enforcer by SIGKILL",
        |stage| told(killed(stage, by_news)),
    )
    .invasive(),
    Probe::new("own/pidfd-kill", "own-signal", "SIGKILL through a pidfd", |stage| {
        told(killed(stage, |pid| Ok(pidfd_send_signal(pidfd_open(pid, PidfdFlags::empty())?, Signal::KILL)?)))
    })
    .invasive(),
    Probe::new("own/kill", "own-signal", "SIGKILL to the enforcer", |stage| {
        told(killed(stage, |pid| Ok(kill_process(pid, Signal::KILL)?)))
    })
    .invasive(),
];

fn killed(stage: &Stage, by: impl FnOnce(Pid) -> io::Result<()>) -> Found {
    let target = Target::of(stage)?;
    if target.dies(|| by(target.pid))? { Ok("it is dead".into()) } else { Err(nothing("it lives")) }
}

fn stop(stage: &Stage) -> Found {
    let target = Target::of(stage)?;
    kill_process(target.pid, Signal::STOP)?;
    let letter = target.state()?;
    kill_process(target.pid, Signal::CONT)?;
    if letter == 'T' { Ok("it stood still".into()) } else { Err(nothing(format!("its state was {letter}"))) }
}

/// Only where the group is its own: others are not ours to kill.
fn group(stage: &Stage) -> Found {
    let target = Target::of(stage)?;
    // By number: of a group that began in another name space the kernel says 0.
    let group = call!(libc::SYS_getpgid, target.pid.as_raw_nonzero().get())?;
    if i64::from(target.pid.as_raw_nonzero().get()) != group {
        return Err(absent("it is not the first of its process group"));
    }
    let dead = target.dies(|| Ok(kill_process_group(target.pid, Signal::KILL)?))?;
    if dead { Ok("it is dead".into()) } else { Err(nothing("it lives")) }
}

/// `siginfo_t`: number, error, code; a code below 0 is what a user may say (`SI_QUEUE`).
fn queue(pid: Pid) -> io::Result<()> {
    let mut information = [0; 128];
    let words = [libc::SIGKILL, 0, -1].map(i32::to_ne_bytes).concat();
    information.iter_mut().zip(words).for_each(|(to, from)| *to = from);
    call!(libc::SYS_rt_sigqueueinfo, pid.as_raw_nonzero().get(), libc::SIGKILL, &information[..])?;
    Ok(())
}

/// `fcntl(2)`: `F_SETOWN` names who is told, `F_SETSIG` by which signal. The kernel asks `file_send_sigiotask`, not `task_kill`.
fn by_news(pid: Pid) -> io::Result<()> {
    let (hear, say) = pipe()?;
    let number = hear.as_raw_fd();
    call!(libc::SYS_fcntl, number, libc::F_SETOWN, pid.as_raw_nonzero().get())?;
    call!(libc::SYS_fcntl, number, F_SETSIG, libc::SIGKILL)?;
    call!(libc::SYS_fcntl, number, libc::F_SETFL, libc::O_ASYNC | libc::O_NONBLOCK)?;
    rustix::io::write(&say, b"news")?;
    Ok(())
}

/// `linux/fcntl.h`.
const F_SETSIG: i32 = 10;
