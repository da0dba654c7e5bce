//! The enforcer as a process: its memory, its descriptors, its limits.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;

use rustix::process::{PidfdFlags, PidfdGetfdFlags, Resource, Rlimit, pidfd_getfd, pidfd_open, prlimit};

use super::target::Target;
use crate::call;
use crate::told::{Found, absent, nothing, told};
use crate::{Probe, Stage};

pub(crate) const PROBES: &[Probe] = &[
    Probe::new("own/ptrace", "ptrace", "trace the enforcer", |stage| told(traced(stage))),
    Probe::new("own/mem-read", "proc-mem", "read the enforcer's memory by /proc/PID/mem", |stage| {
        told(memory(stage, false))
    }),
    Probe::new("own/mem-write", "proc-mem", "write to the enforcer's memory by /proc/PID/mem", |stage| {
        told(memory(stage, true))
    }),
    Probe::new("own/process-vm", "process-vm", "read the enforcer's memory by process_vm_readv", |stage| {
        told(at_once(stage))
    }),
    Probe::new("own/pidfd-getfd", "pidfd-getfd", "take a descriptor of the enforcer's", |stage| {
        told(descriptor(stage))
    }),
    Probe::new(
        "own/fd-open",
        "descriptor-open",
        "open a descriptor of the enforcer's through /proc",
        |stage| told(link(stage)),
    ),
    Probe::new("own/environ", "environ", "read the enforcer's environment", |stage| {
        told(Target::of(stage).and_then(|target| {
            fs::read(target.file("environ"))?;
            Ok("its environment".into())
        }))
    }),
    Probe::new("own/prlimit-cpu", "task-tune", "limit the enforcer's processor time", |stage| {
        told(limited(stage, Resource::Cpu))
    }),
    Probe::new("own/prlimit-files", "task-tune", "limit the enforcer's descriptors", |stage| {
        told(limited(stage, Resource::Nofile))
    }),
    Probe::new("own/idle", "task-tune", "let the enforcer run when nobody else wants to", |stage| {
        told(idle(stage))
    }),
];

fn traced(stage: &Stage) -> Found {
    let target = Target::of(stage)?;
    call!(libc::SYS_ptrace, libc::PTRACE_SEIZE, target.number(), 0, 0)?;
    // It must stand still to be let go; when we end it is let go as well.
    Ok("it is traced".into())
}

/// Where a stack is: readable, writable, and there.
fn stack(target: &Target) -> io::Result<u64> {
    let maps = fs::read_to_string(target.file("maps"))?;
    let line = maps.lines().find(|line| line.ends_with("[stack]"));
    let end =
        line.and_then(|line| line.split(['-', ' ']).nth(1)).and_then(|end| u64::from_str_radix(end, 16).ok());
    // The program's name is at the very end.
    end.and_then(|end| end.checked_sub(24)).ok_or_else(|| absent("it has no stack"))
}

/// What is written is what was there.
fn memory(stage: &Stage, write: bool) -> Found {
    let target = Target::of(stage)?;
    // Its addresses are asked for last: whether its memory opens is the question.
    let file = OpenOptions::new().read(true).write(write).open(target.file("mem"))?;
    let (mut bytes, address) = ([0; 16], stack(&target)?);
    file.read_exact_at(&mut bytes, address)?;
    if write {
        file.write_all_at(&bytes, address)?;
    }
    Ok("its stack".into())
}

/// The addresses of our own program are not those of another: any page says whether the call is allowed.
fn at_once(stage: &Stage) -> Found {
    let target = Target::of(stage)?;
    let address = stack(&target).unwrap_or(0x1000);
    let mut bytes = [0; 16];
    let local = [bytes.as_mut_ptr().expose_provenance().to_ne_bytes(), bytes.len().to_ne_bytes()].concat();
    let remote = [address.to_ne_bytes(), 16_u64.to_ne_bytes()].concat();
    call!(libc::SYS_process_vm_readv, target.number(), &local[..], 1, &remote[..], 1, 0)?;
    Ok("its stack".into())
}

/// The first ten; not all need be open.
fn descriptor(stage: &Stage) -> Found {
    let target = Target::of(stage)?;
    let process = pidfd_open(target.pid, PidfdFlags::empty())?;
    let mut answer = Err(absent("it has no descriptors"));
    for number in 0..10 {
        match pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) {
            Ok(file) => return Ok(format!("its descriptor {number}, ours {}", file.as_raw_fd())),
            Err(rustix::io::Errno::BADF) => {}
            Err(error) => answer = Err(error.into()),
        }
    }
    answer
}

fn link(stage: &Stage) -> Found {
    let target = Target::of(stage)?;
    let path = target.file("fd/0");
    fs::read_link(&path)?;
    Ok("where its first descriptor leads".into())
}

/// To what it may have anyway at most, and back.
fn limited(stage: &Stage, what: Resource) -> Found {
    let target = Target::of(stage)?;
    let before = prlimit(Some(target.pid), what, Rlimit { current: Some(100_000), maximum: Some(100_000) })?;
    prlimit(Some(target.pid), what, before)?;
    Ok("its limit was another for a moment".into())
}

fn idle(stage: &Stage) -> Found {
    let target = Target::of(stage)?;
    let other = 0_i32.to_ne_bytes();
    let before = call!(libc::SYS_sched_getscheduler, target.number())?;
    call!(libc::SYS_sched_setscheduler, target.number(), libc::SCHED_IDLE, &other[..])?;
    let now = call!(libc::SYS_sched_getscheduler, target.number())?;
    call!(libc::SYS_sched_setscheduler, target.number(), before, &other[..])?;
    if now == i64::from(libc::SCHED_IDLE) {
        Ok("it was idle for a moment".into())
    } else {
        Err(nothing("nothing changed"))
    }
}
