//! What a protected process may not do itself, whoever made it do so: calls that no filter sees, its pages in another's hands,
//! opening itself to others, and leaving a core.

use aya_ebpf::helpers::generated::{bpf_get_current_task_btf, bpf_send_signal};
use enforcer_abi::{Tag, Vector};

use crate::front::{Front, Pointer, Typed, hook, trace};
use crate::identity;
use crate::maps::offset;
use crate::open::{named, text, word};
use crate::rule::{Object, Voice, ruled};
use crate::{process, secret};

/// `PF_DUMPCORE` (linux/sched.h).
const DUMPS_CORE: u32 = 0x200;
/// signal(7).
const KILL: u32 = 9;
/// prctl(2).
const PR_SET_DUMPABLE: u32 = 4;
const PR_SET_PTRACER: u32 = 0x5961_6d61;

const IO_URING: u128 = named("[io_uring]");
const USERFAULTFD: u128 = named("[userfaultfd]");
const SECRETMEM: u128 = named("[secretmem]");

hook!(inode_init_security_anon, 3, made);
hook!(uring_sqpoll, 0, ring);
hook!(uring_override_creds, 1, ring);
hook!(uring_allowed, 0, ring);
hook!(task_prctl, 5, control);
hook!(userns_create, 1, user_namespace);
trace!(signal_deliver, true, dies);

/// `inode_init_security_anon(inode, name, context)`: a file without a file system is made, which secret memory is, too.
#[inline(always)]
pub fn made<F: Front>(front: &F) -> i32 {
    let subject = identity::current();
    if subject == Tag::NONE {
        return 0;
    }
    let name = offset!(qstr_name).and_then(|at| F::read::<Pointer>(front.pointer(1), at)).and_then(text);
    match word(&name.unwrap_or_default()) {
        IO_URING => done::<F>(Vector::IoUring),
        USERFAULTFD => done::<F>(Vector::Userfaultfd),
        SECRETMEM => secret::made::<F>(front.pointer(0), subject),
        _ => 0,
    }
}

/// `uring_sqpoll()`, `uring_override_creds(credentials)`, `uring_allowed()`.
#[inline(always)]
pub fn ring<F: Front>(_: &F) -> i32 {
    done::<F>(Vector::IoUring)
}

/// `task_prctl(option, second, third, fourth, fifth)`. Zero is "not ours": the kernel's own default follows it in both kinds.
#[inline(always)]
pub fn control<F: Front>(front: &F) -> i32 {
    let (option, value) = (front.number(0), front.argument(1));
    // To close itself is anybody's right: dumpable 0, no tracer.
    let opens = (option == PR_SET_DUMPABLE || option == PR_SET_PTRACER) && value != 0;
    if !opens {
        return 0;
    }
    // The wrapper tries it on itself at every start, to say what it withstands: that is no event.
    let keeps = identity::current().is(enforcer_abi::role::KEEPER);
    let voice = if keeps { Voice::Silent } else { Voice::Aloud };
    ruled::<F>(Vector::Dumpable, &Object::of(Tag::NONE, 0), voice)
}

/// `userns_create(credentials)`.
#[inline(always)]
pub fn user_namespace<F: Front>(_: &F) -> i32 {
    done::<F>(Vector::UserNamespace)
}

#[inline(always)]
fn done<F: Front>(vector: Vector) -> i32 {
    ruled::<F>(vector, &Object::of(Tag::NONE, 0), Voice::Aloud)
}

/// Whether the current task writes a core.
#[inline(always)]
pub fn dumping() -> bool {
    let Some(at) = offset!(task_flags) else { return false };
    // SAFETY: the current task is always there.
    let task = unsafe { bpf_get_current_task_btf() } as Pointer;
    Typed::read::<u32>(task, at).is_some_and(|flags| flags & DUMPS_CORE != 0)
}

/// `signal_deliver(signal, info, action)`: before it is acted upon. Whom it would end with a core dies without one.
#[inline(always)]
fn dies<F: Front>(front: &F) -> i32 {
    let signal = front.number(0);
    if !process::dumps_core(signal) || !identity::current().is(enforcer_abi::role::PROTECTED) {
        return 0;
    }
    let handler = offset!(action_handler).and_then(|at| F::read::<u64>(front.pointer(2), at));
    // It has a handler, or ignores it; or its memory is closed, so that there is no core, and it dies of what it died of.
    if handler.is_some_and(|handler| handler != 0) || closed() {
        return 0;
    }
    let object = Object { detail: signal.into(), ..Object::of(Tag::NONE, 0) };
    if ruled::<F>(Vector::CoreDump, &object, Voice::Aloud) != 0 {
        // SAFETY: a number. The dump finds the process ending, and does not begin.
        unsafe { bpf_send_signal(KILL) };
    }
    0
}

/// Whether the current task's memory may not be dumped: `SUID_DUMP_DISABLE`.
#[inline(always)]
fn closed() -> bool {
    let (Some(memory), Some(flags)) = (offset!(task_mm), offset!(mm_flags)) else { return false };
    // SAFETY: the current task is always there.
    let task = unsafe { bpf_get_current_task_btf() } as Pointer;
    let memory = Typed::read::<Pointer>(task, memory);
    memory.and_then(|memory| Typed::read::<u64>(memory, flags)).is_some_and(|flags| flags & 3 == 0)
}
