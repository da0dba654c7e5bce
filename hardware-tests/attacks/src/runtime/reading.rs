//! Reading.

use std::fs::{read_dir, read_to_string, write};

use crate::layout::u64_at;
use crate::{Attempt, Outcome, Stage, call};

pub(super) fn read(stage: &Stage, name: &str) -> Attempt {
    show(&format!("/proc/{}/{name}", stage.victim.pid()))
}

/// A thread's own directory.
pub(super) fn thread(stage: &Stage) -> Attempt {
    show(&format!("/proc/{}/stat", stage.victim.held().thread))
}

fn show(path: &str) -> Attempt {
    let text = read_to_string(path)?;
    Ok(if text.trim().is_empty() {
        Outcome::nothing("an empty file")
    } else {
        Outcome::got(text.trim().to_owned())
    })
}

/// Runtimes write it at a container's start; it is put back.
pub(super) fn oom_score_adj(stage: &Stage) -> Attempt {
    let path = format!("/proc/{}/oom_score_adj", stage.victim.pid());
    let before = read_to_string(&path)?;
    write(&path, "77")?;
    let now = read_to_string(&path)?;
    write(&path, before.trim())?;
    Ok(if now.trim() == "77" { Outcome::got("77") } else { Outcome::nothing(now) })
}

/// As `ps` and the node's agents do. A process may end meanwhile, but not the victim.
pub(super) fn everybody(stage: &Stage) -> Attempt {
    let mut seen = 0_u32;
    let mut victim = false;
    for entry in read_dir("/proc")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Ok(pid) = name.parse::<i32>() else { continue };
        let read = |file: &str| read_to_string(format!("/proc/{pid}/{file}"));
        if read("stat").and(read("status")).is_ok() {
            seen = seen.saturating_add(1);
            victim |= pid == stage.victim.pid();
        }
    }
    Ok(if victim {
        Outcome::got(format!("{seen} processes"))
    } else {
        Outcome::nothing("the victim was not to be seen")
    })
}

pub(super) fn limits(stage: &Stage) -> Attempt {
    let mut limits = [0; 16];
    call!(libc::SYS_prlimit64, stage.victim.pid(), 7, 0, &mut limits[..])?;
    Ok(Outcome::got(format!("{} open files", u64_at(&limits, 0))))
}

pub(super) fn scheduling(stage: &Stage) -> Attempt {
    let pid = stage.victim.pid();
    let mut processors = [0; 128];
    call!(libc::SYS_sched_getaffinity, pid, 128, &mut processors[..])?;
    let policy = call!(libc::SYS_sched_getscheduler, pid)?;
    let priority = call!(libc::SYS_getpriority, libc::PRIO_PROCESS, pid)?;
    Ok(Outcome::got(format!("policy {policy}, priority {priority}")))
}
