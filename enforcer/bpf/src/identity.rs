//! Who a task is: its tag is inherited before the child can be seen, kept over `execve`, and gone with the task.

use aya_ebpf::bindings::{BPF_LOCAL_STORAGE_GET_F_CREATE, task_struct};
use aya_ebpf::helpers::generated::{bpf_get_current_task_btf, bpf_task_storage_get};
use aya_ebpf::macros::{btf_tracepoint, lsm};
use aya_ebpf::programs::{BtfTracePointContext, LsmContext};
use enforcer_abi::Tag;
use enforcer_abi::share::Table;

use crate::front::{Front as _, Pointer, Typed, numbered, stored};
use crate::maps::{TAGS, offset};
use crate::{crowd, share};

/// When its group has its share of processes: as fork(2) says that there is a limit.
const EAGAIN: i32 = -11;

/// The tag of who calls.
#[inline(always)]
pub fn current() -> Tag {
    // SAFETY: the current task is always there.
    stored(unsafe { bpf_get_current_task_btf() } as Pointer)
}

#[inline(always)]
fn inherit(child: *mut task_struct, tag: Tag) {
    let mut tag = tag;
    // SAFETY: the verifier checks that the child is a task; the value is copied.
    unsafe {
        bpf_task_storage_get(
            TAGS.pointer(),
            child,
            (&raw mut tag).cast(),
            u64::from(BPF_LOCAL_STORAGE_GET_F_CREATE),
        );
    }
}

/// A task is being made, and nobody can see it yet.
#[lsm(hook = "task_alloc")]
pub fn task_alloc(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(2);
    let tag = current().now();
    if earlier != 0 || tag == Tag::NONE {
        return earlier;
    }
    if share::refused::<Typed<'_>>(Table::Tasks, tag) {
        return EAGAIN;
    }
    inherit(ctx.arg(0), tag);
    0
}

/// It has its number now. Where there are no hooks of security, this is where it gets its tag, too.
#[btf_tracepoint(function = "sched_process_fork")]
pub fn forked(ctx: BtfTracePointContext) -> i32 {
    let tag = stored(ctx.arg::<*const task_struct>(0).cast()).now();
    let child: *mut task_struct = ctx.arg(1);
    if tag == Tag::NONE {
        // A number is free before who had it is: what is known by it now was another's.
        if let Some(pid) = offset!(task_pid).and_then(|at| Typed::read::<u32>(child as Pointer, at)) {
            forget(pid);
        }
        return 0;
    }
    inherit(child, tag);
    let Some(at) = offset!(task_tgid) else { return 0 };
    if let Some(tgid) = Typed::read::<u32>(child as Pointer, at) {
        share::enter(tgid, tag);
        crowd::settle::<Typed<'_>>(child as Pointer, tgid, tag);
    }
    // A thread has a number of its own, by which system calls may mean it.
    if let Some(pid) = offset!(task_pid).and_then(|at| Typed::read::<u32>(child as Pointer, at)) {
        share::enter(pid, tag);
    }
    0
}

/// A program has been executed: the first process of a group has been tagged by now, and counts from here on.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn executed(ctx: BtfTracePointContext) -> i32 {
    let task: Pointer = ctx.arg::<*const task_struct>(0).cast();
    let tag = stored(task).now();
    if tag != Tag::NONE
        && let Some(tgid) = offset!(task_tgid).and_then(|at| Typed::read::<u32>(task, at))
    {
        share::enter(tgid, tag);
        crowd::settle::<Typed<'_>>(task, tgid, tag);
    }
    0
}

/// A process has ended: its number is free.
#[btf_tracepoint(function = "sched_process_free")]
pub fn freed(ctx: BtfTracePointContext) -> i32 {
    let task: Pointer = ctx.arg::<*const task_struct>(0).cast();
    let (Some(tgid), Some(pid)) = (offset!(task_tgid), offset!(task_pid)) else { return 0 };
    let (tgid, pid) = (Typed::read::<u32>(task, tgid), Typed::read::<u32>(task, pid));
    // Numbers are chosen by whoever may: another process may have this one already, and what is known by it is that one's.
    let tag = stored(task);
    if let (Some(tgid), Some(pid)) = (tgid, pid)
        && tag != Tag::NONE
        && numbered(pid).group == tag.group
    {
        share::leave(pid);
        if tgid == pid {
            crowd::leave(tgid);
        }
    }
    0
}

/// Nothing is known by this number any more.
#[inline(always)]
fn forget(pid: u32) {
    if numbered(pid) != Tag::NONE {
        share::leave(pid);
        crowd::leave(pid);
    }
}

/// A task is moved to another control group. Where it is the enforcer, that group and those above are guarded from now on.
#[btf_tracepoint(function = "cgroup_attach_task")]
pub fn own_moved(ctx: BtfTracePointContext) -> i32 {
    let task: Pointer = ctx.arg::<*const task_struct>(2).cast();
    if stored(task).is(enforcer_abi::role::ENFORCER) {
        let _unread = crate::own::moved_to(ctx.arg::<Pointer>(0));
    }
    0
}
