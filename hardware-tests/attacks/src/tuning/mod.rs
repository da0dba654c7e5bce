//! Attacks on how the victim runs: limits, scheduling, priorities, shared memory, signals that leave a core.

mod limits;
mod shared;
mod signal;

use crate::{Probe, flat};

macro_rules! signal {
    ($name:literal, $number:expr, $send:path, $how:literal) => {
        Probe::new(concat!("signal/", $name), "signal-core", $how, |stage| {
            flat(signal::core(stage, $number, $send))
        })
    };
}

/// All of them.
pub(crate) const PROBES: &[Probe] = &[
    Probe::new("tune/prlimit", "task-tune", "prlimit: fewer open files", |stage| {
        flat(limits::prlimit(stage))
    })
    .spoils(),
    Probe::new("tune/prlimit-child", "task-tune", "prlimit of a child that V forked", |stage| {
        flat(limits::of_child(stage))
    })
    .spoils(),
    Probe::new("tune/affinity", "task-tune", "sched_setaffinity: one processor", |stage| {
        flat(limits::affinity(stage))
    })
    .spoils(),
    Probe::new("tune/scheduler", "task-tune", "sched_setscheduler: SCHED_BATCH", |stage| {
        flat(limits::scheduler(stage))
    })
    .spoils(),
    Probe::new("tune/sched-param", "task-tune", "sched_setparam", |stage| flat(limits::parameters(stage)))
        .spoils(),
    Probe::new("tune/sched-attr", "task-tune", "sched_setattr: SCHED_IDLE", |stage| {
        flat(limits::attributes(stage))
    })
    .spoils(),
    Probe::new("tune/nice", "task-tune", "setpriority", |stage| flat(limits::nice(stage))).spoils(),
    Probe::new("tune/ioprio", "task-tune", "ioprio_set: idle", |stage| flat(limits::ioprio(stage))).spoils(),
    Probe::new("shm/attach", "shared-memory", "attach V's System V memory, and read", |stage| {
        flat(shared::read(stage))
    }),
    Probe::new("shm/write", "shared-memory", "attach V's System V memory, and write", |stage| {
        flat(shared::write(stage))
    })
    .spoils(),
    signal!("abrt", libc::SIGABRT, signal::kill, "kill(SIGABRT)"),
    signal!("quit", libc::SIGQUIT, signal::kill, "kill(SIGQUIT)"),
    signal!("segv", libc::SIGSEGV, signal::kill, "kill(SIGSEGV)"),
    signal!("trap", libc::SIGTRAP, signal::kill, "kill(SIGTRAP)"),
    signal!("sys", libc::SIGSYS, signal::kill, "kill(SIGSYS)"),
    signal!("xcpu", libc::SIGXCPU, signal::kill, "kill(SIGXCPU)"),
    signal!("bus", libc::SIGBUS, signal::tgkill, "tgkill(SIGBUS) of a thread"),
    signal!("abrt-wide", libc::SIGABRT, signal::wide, "kill(SIGABRT), with more bits set above its 32"),
    signal!("abrt-pidfd", libc::SIGABRT, signal::pidfd, "pidfd_send_signal(SIGABRT)"),
    signal!("abrt-queue", libc::SIGABRT, signal::queue, "rt_sigqueueinfo(SIGABRT)"),
    signal!("abrt-sigio", libc::SIGABRT, signal::sigio, "F_SETOWN and F_SETSIG: the kernel sends SIGABRT"),
];
