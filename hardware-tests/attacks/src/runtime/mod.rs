//! What must go on working: what a container runtime, a node's agent and an administrator do with a protected process, and
//! what anybody does with processes that nobody protects.

mod others;
mod reading;
mod stopping;

use crate::{OPEN, Probe, flat};

macro_rules! read {
    ($name:literal) => {
        Probe::new(concat!("runtime/", $name), OPEN, concat!("read /proc/V/", $name), |stage| {
            flat(reading::read(stage, $name))
        })
    };
}

/// All of them.
pub(crate) const PROBES: &[Probe] = &[
    read!("stat"),
    read!("statm"),
    read!("status"),
    read!("cgroup"),
    read!("oom_score"),
    read!("oom_score_adj"),
    read!("mountinfo"),
    read!("mounts"),
    read!("limits"),
    read!("comm"),
    read!("uid_map"),
    read!("gid_map"),
    Probe::new("runtime/oom-score-adj-write", OPEN, "write /proc/V/oom_score_adj", |stage| {
        flat(reading::oom_score_adj(stage))
    }),
    Probe::new("runtime/ps", OPEN, "read stat and status of every process", |stage| {
        flat(reading::everybody(stage))
    }),
    Probe::new("runtime/thread-stat", OPEN, "read /proc/T/stat of a thread", |stage| {
        flat(reading::thread(stage))
    }),
    Probe::new("runtime/kill-0", OPEN, "kill(V, 0)", |stage| flat(stopping::exists(stage))),
    Probe::new("runtime/pidfd", OPEN, "wait for V with a pidfd", |stage| flat(stopping::pidfd(stage))),
    Probe::new("runtime/sigterm", OPEN, "SIGTERM ends V", |stage| flat(stopping::ends(stage, libc::SIGTERM))),
    Probe::new("runtime/sigkill", OPEN, "SIGKILL ends V", |stage| flat(stopping::ends(stage, libc::SIGKILL))),
    Probe::new("runtime/sigstop", OPEN, "SIGSTOP stops V, SIGCONT continues it", |stage| {
        flat(stopping::stops(stage))
    }),
    Probe::new("runtime/prlimit-read", OPEN, "read V's limits", |stage| flat(reading::limits(stage))),
    Probe::new("runtime/affinity-read", OPEN, "read V's processors and priority", |stage| {
        flat(reading::scheduling(stage))
    }),
    Probe::new("runtime/debug-others", OPEN, "trace a process that nobody protects", |stage| {
        flat(others::trace(stage))
    }),
    Probe::new("runtime/read-others", OPEN, "read a process that nobody protects", |stage| {
        flat(others::read(stage))
    }),
    Probe::new("runtime/tune-others", OPEN, "tune a process that nobody protects", |stage| {
        flat(others::tune(stage))
    }),
    Probe::new("runtime/own-group", OPEN, "V traces its own child", |stage| flat(others::own_child(stage)))
        .spoils(),
    Probe::new("runtime/spawn", OPEN, "a protected process executes a program", |stage| {
        flat(others::spawn(stage))
    }),
];
