//! Attacks with a debugger's system calls: `ptrace`, memory by process number, and what tells one process from another.

mod inspect;
pub(crate) mod memory;
pub(crate) mod trace;

use crate::{Probe, flat};

/// All of them.
pub(crate) const PROBES: &[Probe] = &[
    Probe::new("ptrace/attach", "ptrace", "PTRACE_ATTACH, and PEEKDATA", |stage| {
        flat(trace::attach(stage.victim.pid(), &stage.victim))
    }),
    Probe::new("ptrace/seize", "ptrace", "PTRACE_SEIZE, INTERRUPT, and PEEKDATA", |stage| {
        flat(trace::seize(stage.victim.pid(), &stage.victim))
    }),
    Probe::new("ptrace/seize-thread", "ptrace", "the same of a thread of V", |stage| {
        flat(trace::seize(stage.victim.held().thread, &stage.victim))
    }),
    Probe::new("ptrace/seize-child", "ptrace", "the same of a child that V forked", |stage| {
        flat(trace::seize(stage.victim.held().child, &stage.victim))
    }),
    Probe::new("ptrace/attach-own-child", "ptrace", "PTRACE_ATTACH by V's own parent", |stage| {
        flat(trace::as_parent(stage))
    }),
    Probe::new("ptrace/seize-before", "ptrace", "PTRACE_SEIZE before V protects itself", |stage| {
        flat(trace::before(stage))
    }),
    Probe::new(
        "ptrace/seize-before-same-image",
        "ptrace",
        "the same of a V that is not executed anew",
        |stage| flat(trace::before_same_image(stage)),
    ),
    Probe::new("ptrace/traceme", "traceme", "V asks to be traced by a parent outside", |stage| {
        flat(trace::me(stage))
    }),
    Probe::new("vm/read", "process-vm", "process_vm_readv", |stage| {
        flat(memory::read(stage.victim.pid(), stage))
    }),
    Probe::new("vm/read-thread", "process-vm", "process_vm_readv of a thread's number", |stage| {
        flat(memory::read(stage.victim.held().thread, stage))
    }),
    Probe::new("vm/read-child", "process-vm", "process_vm_readv of a child that V forked", |stage| {
        flat(memory::read(stage.victim.held().child, stage))
    }),
    Probe::new("vm/read-secret", "process-vm", "process_vm_readv of memfd_secret", |stage| {
        flat(memory::read_secret(stage))
    }),
    Probe::new("vm/write", "process-vm", "process_vm_writev", |stage| flat(memory::write(stage))),
    Probe::new("inspect/madvise", "process-inspect", "process_madvise: page V's memory out", |stage| {
        flat(inspect::madvise(stage))
    }),
    Probe::new("inspect/kcmp", "process-inspect", "kcmp: what do V and its child share", |stage| {
        flat(inspect::kcmp(stage))
    }),
    Probe::new(
        "inspect/robust-list",
        "process-inspect",
        "get_robust_list: where V's thread keeps its locks",
        |stage| flat(inspect::robust_list(stage)),
    ),
    Probe::new("inspect/move-pages", "process-inspect", "move_pages: where V's pages are", |stage| {
        flat(inspect::move_pages(stage))
    }),
    Probe::new("inspect/migrate-pages", "process-inspect", "migrate_pages of V", |stage| {
        flat(inspect::migrate_pages(stage))
    }),
];
