//! What others do to a protected process: the checks of a debugger's rights, and what goes round them.

use aya_ebpf::bindings::task_struct;
use enforcer_abi::Vector;

use crate::front::{Front, Pointer, hook, numbered, probe};
use crate::maps::offset;
use crate::rule::{Object, Voice, ruled};
use crate::{crowd, syscalls, trusted};

/// `PTRACE_MODE_NOAUDIT`: asked in passing, by whoever lists processes.
const NO_AUDIT: u32 = 4;
/// `PTRACE_MODE_ATTACH`: to change it, or to take from it, and not only to look.
const ATTACH: u32 = 2;

hook!(ptrace_access_check, 2, access);
hook!(ptrace_traceme, 1, traceme);
hook!(task_kill, 4, kill);
// A signal that a file sends whenever something comes: with F_SETSIG any signal, to whom F_SETOWN says.
hook!(file_send_sigiotask, 3, kill);
hook!(task_movememory, 1, inspected);
hook!(task_setrlimit, 3, tuned);
hook!(task_setscheduler, 1, tuned);
hook!(task_setnice, 2, tuned);
hook!(task_setioprio, 2, tuned);
hook!(perf_event_alloc, 1, counted);

/// `ptrace_access_check(child, mode)`: nearly every way into another process asks here.
#[inline(always)]
pub fn access<F: Front>(front: &F) -> i32 {
    let silent = front.number(1) & NO_AUDIT != 0;
    if silent && !F::REFUSES {
        // Whoever lists processes asks this in passing, and is not killed for it.
        return 0;
    }
    let child = front.pointer(0);
    let object = Object::of(F::tag(child), process::<F>(child));
    let voice = if silent { Voice::Silent } else { Voice::Aloud };
    match ruled::<F>(asked(), &object, voice) {
        0 if !silent && front.number(1) & ATTACH != 0 => trusted::taken::<F>(&object),
        ruling => ruling,
    }
}

/// `task_movememory(task)`.
#[inline(always)]
pub fn inspected<F: Front>(front: &F) -> i32 {
    onto::<F>(front, Vector::ProcessInspect)
}

/// `task_setrlimit(task, ...)`, `task_setscheduler(task)`, `task_setnice(task, ...)`, `task_setioprio(task, ...)`.
#[inline(always)]
pub fn tuned<F: Front>(front: &F) -> i32 {
    onto::<F>(front, Vector::TaskTune)
}

#[inline(always)]
fn onto<F: Front>(front: &F, vector: Vector) -> i32 {
    let task = front.pointer(0);
    ruled::<F>(vector, &Object::of(F::tag(task), process::<F>(task)), Voice::Aloud)
}

/// `perf_event_alloc(event)`: of a task, where it has one, or of all that live in a control group, or below it.
#[inline(always)]
pub fn counted<F: Front>(front: &F) -> i32 {
    if let Some(cgroup) = counted_group::<F>(front.pointer(0)).filter(|cgroup| *cgroup != 0) {
        return ruled::<F>(Vector::PerfTask, &crowd::below(cgroup), Voice::Aloud);
    }
    let target = offset!(perf_event_target).and_then(|at| F::read::<Pointer>(front.pointer(0), at));
    // A task that is none reads as number 0.
    let Some(pid) = target.map(process::<F>) else { return 0 };
    ruled::<F>(Vector::PerfTask, &Object::of(numbered(pid), pid), Voice::Aloud)
}

#[inline(always)]
fn counted_group<F: Front>(event: Pointer) -> Option<u64> {
    let of: Pointer = F::read(event, offset!(perf_event_cgrp)?)?;
    let group: Pointer = F::read(of, offset!(perf_cgroup_group)?)?;
    let node: Pointer = F::read(group, offset!(cgroup_kn)?)?;
    F::read(node, offset!(kernfs_node_id)?)
}

/// Whether counters of perf look at a task: they stay over `execve`, and copy registers and stack, or write at probes. Without
/// the fields this kernel has no perf.
#[inline(always)]
pub fn is_measured(task: Pointer) -> bool {
    let (Some(lists), Some(events)) = (offset!(task_perf), offset!(perf_events)) else { return false };
    let some = |at: usize| {
        // No list is nothing to read.
        let list = probe::<Pointer>(task, at).filter(|list| !list.is_null());
        list.is_some_and(|list| probe::<u32>(list, events) != Some(0))
    };
    some(lists) || (offset!(perf_kinds).is_none() && some(lists + 8))
}

/// Which of the ways it is.
#[inline(always)]
fn asked() -> Vector {
    match syscalls::current() {
        syscalls::PTRACE => Vector::Ptrace,
        syscalls::PROCESS_VM_READV | syscalls::PROCESS_VM_WRITEV => Vector::ProcessVm,
        syscalls::KCMP
        | syscalls::PROCESS_MADVISE
        | syscalls::GET_ROBUST_LIST
        | syscalls::MOVE_PAGES
        | syscalls::MIGRATE_PAGES => Vector::ProcessInspect,
        syscalls::PIDFD_GETFD => Vector::PidfdGetfd,
        // Of all that ioctl(2) does, this is only asked for name spaces by pidfd.
        syscalls::SETNS | syscalls::IOCTL => Vector::Setns,
        // What has got so far is a link: the names of files are looked at first.
        syscalls::OPEN | syscalls::OPENAT | syscalls::OPENAT2 => Vector::DescriptorOpen,
        _ => Vector::ProcView,
    }
}

/// `ptrace_traceme(parent)`: the caller lets its parent in.
#[inline(always)]
pub fn traceme<F: Front>(front: &F) -> i32 {
    let parent = front.pointer(0);
    let subject = crate::identity::current();
    // Here the caller is whom it is done to.
    if !enforcer_abi::concerns(Vector::TraceMe.guard(), F::tag(parent), subject) {
        return 0;
    }
    crate::rule::against::<F>(
        Vector::TraceMe,
        subject,
        &Object::of(subject, process::<F>(parent)),
        Voice::Aloud,
    )
}

/// `task_kill(task, info, signal, cred)`, `file_send_sigiotask(task, owner, signal)`: 0 of the latter is SIGIO.
#[inline(always)]
pub fn kill<F: Front>(front: &F) -> i32 {
    let task = front.pointer(0);
    let signal = front.number(2);
    let tag = F::tag(task);
    let vector = if tag.is(enforcer_abi::role::ENFORCER) {
        // 0 only asks whether it is there.
        if signal == 0 {
            return 0;
        }
        Vector::OwnSignal
    } else if dumps_core(signal) {
        Vector::SignalCore
    } else {
        return 0;
    };
    let object = Object { detail: signal.into(), ..Object::of(tag, process::<F>(task)) };
    ruled::<F>(vector, &object, Voice::Aloud)
}

/// signal(7): QUIT, ILL, TRAP, ABRT, BUS, FPE, SEGV, XCPU, XFSZ, SYS.
#[inline(always)]
pub const fn dumps_core(signal: u32) -> bool {
    const CORE: u32 =
        1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 11 | 1 << 24 | 1 << 25 | 1 << 31;
    signal < 32 && CORE & (1 << signal) != 0
}

/// The process that a task belongs to.
#[inline(always)]
pub fn process<F: Front>(task: Pointer) -> u32 {
    let _typed: *const task_struct = task.cast();
    offset!(task_tgid).and_then(|at| F::read::<u32>(task, at)).unwrap_or(0)
}
