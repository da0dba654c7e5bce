//! Limits and scheduling. Each is read back: reading them is nobody's harm, and stays allowed.

use rustix::io::Errno;

use crate::layout::{put, u32_at, u64_at};
use crate::{Attempt, Outcome, Stage, call};

fn changed(took: bool, what: &str) -> Outcome {
    if took { Outcome::got(what.to_owned()) } else { Outcome::nothing("it is as before") }
}

/// Of open files; the soft one, so that it could be undone.
pub(super) fn prlimit(stage: &Stage) -> Attempt {
    limit(stage.victim.pid())
}

pub(super) fn of_child(stage: &Stage) -> Attempt {
    limit(stage.victim.held().child)
}

fn limit(pid: i32) -> Attempt {
    const RLIMIT_NOFILE: i32 = 7;
    let mut limits = [0; 16];
    call!(libc::SYS_prlimit64, pid, RLIMIT_NOFILE, 0, &mut limits[..])?;
    put(&mut limits, 0, &77_u64.to_ne_bytes());
    call!(libc::SYS_prlimit64, pid, RLIMIT_NOFILE, &limits[..], 0)?;
    let mut after = [0; 16];
    call!(libc::SYS_prlimit64, pid, RLIMIT_NOFILE, 0, &mut after[..])?;
    Ok(changed(u64_at(&after, 0) == 77, "77 open files at most"))
}

/// The first processor alone.
pub(super) fn affinity(stage: &Stage) -> Attempt {
    let pid = stage.victim.pid();
    let first = 1_u64.to_ne_bytes();
    call!(libc::SYS_sched_setaffinity, pid, 8, &first[..])?;
    let mut after = [0; 128];
    call!(libc::SYS_sched_getaffinity, pid, 128, &mut after[..])?;
    Ok(changed(u64_at(&after, 0) == 1, "on processor 0 alone"))
}

pub(super) fn scheduler(stage: &Stage) -> Attempt {
    let pid = stage.victim.pid();
    call!(libc::SYS_sched_setscheduler, pid, libc::SCHED_BATCH, &[0; 4][..])?;
    let now = call!(libc::SYS_sched_getscheduler, pid)?;
    Ok(changed(now == i64::from(libc::SCHED_BATCH), "SCHED_BATCH"))
}

/// The priority it has: that the call is let through is all there is to see.
pub(super) fn parameters(stage: &Stage) -> Attempt {
    call!(libc::SYS_sched_setparam, stage.victim.pid(), &[0; 4][..])?;
    Ok(changed(true, "its parameters were set"))
}

/// `struct sched_attr` of 48 bytes; the policy is its second word.
pub(super) fn attributes(stage: &Stage) -> Attempt {
    let pid = stage.victim.pid();
    let mut wish = [0; 48];
    put(&mut wish, 0, &48_u32.to_ne_bytes());
    put(&mut wish, 4, &libc::SCHED_IDLE.to_ne_bytes());
    call!(libc::SYS_sched_setattr, pid, &wish[..], 0)?;
    let mut after = [0; 48];
    call!(libc::SYS_sched_getattr, pid, &mut after[..], 48, 0)?;
    Ok(changed(u32_at(&after, 4).cast_signed() == libc::SCHED_IDLE, "SCHED_IDLE"))
}

pub(super) fn nice(stage: &Stage) -> Attempt {
    let pid = stage.victim.pid();
    call!(libc::SYS_setpriority, libc::PRIO_PROCESS, pid, 11)?;
    // The call itself answers 20 less the value.
    let now = call!(libc::SYS_getpriority, libc::PRIO_PROCESS, pid)?;
    Ok(changed(now == 9, "nice 11"))
}

/// `IOPRIO_CLASS_IDLE`.
pub(super) fn ioprio(stage: &Stage) -> Attempt {
    let (who_process, idle) = (1, 3 << 13);
    let pid = stage.victim.pid();
    call!(libc::SYS_ioprio_set, who_process, pid, idle)?;
    let now: Result<i64, Errno> = call!(libc::SYS_ioprio_get, who_process, pid);
    Ok(changed(now? >> 13 == 3, "idle"))
}
