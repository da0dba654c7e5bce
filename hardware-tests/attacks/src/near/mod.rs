//! Attacks from nearby: from the victim's control group, and from a neighbour who is protected too.

mod group;
mod neighbour;

use crate::{Probe, flat};

/// All of them.
pub(crate) const PROBES: &[Probe] = &[
    Probe::new(
        "cgroup/move-out",
        "cgroup-move",
        "write V's number to another group's cgroup.procs",
        |stage| flat(group::move_out(stage)),
    )
    .spoils(),
    Probe::new(
        "cgroup/join",
        "cgroup-move",
        "write the attacker's number to the cgroup.procs of V's group",
        |stage| flat(group::join(stage)),
    ),
    Probe::new("cgroup/join-read", "proc-mem", "join V's group, and read V's memory", |stage| {
        flat(group::join_and_read(stage))
    }),
    Probe::new("cgroup/clone-into-read", "proc-mem", "clone3 into V's group, and read V's memory", |stage| {
        flat(group::clone_and_read(stage))
    }),
    Probe::new("cgroup/move-out-read", "proc-mem", "move V out, and read V's memory", |stage| {
        flat(group::move_out_and_read(stage))
    })
    .spoils(),
    Probe::new("neighbour/mem", "proc-mem", "another protected process reads V's memory", |stage| {
        flat(neighbour::mem(stage))
    }),
    Probe::new("neighbour/ptrace", "ptrace", "another protected process traces V", |stage| {
        flat(neighbour::ptrace(stage))
    }),
    Probe::new("neighbour/vm", "process-vm", "another protected process: process_vm_readv", |stage| {
        flat(neighbour::vm(stage))
    }),
    Probe::new("neighbour/getfd", "pidfd-getfd", "another protected process takes V's memfd", |stage| {
        flat(neighbour::getfd(stage))
    }),
];
