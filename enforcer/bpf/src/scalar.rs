//! System calls that name a process by its number: at their entry nothing is resolved yet, and numbers are all that is needed.
//!
//! Two fronts: a kprobe that overrides the result, where the kernel lets it, which also stops a tracer that was there before;
//! and a tracepoint that kills, the last resort. Calls through io_uring, by pidfd, or by the numbers of another architecture are
//! not seen here. A caller in another name space of processes means other processes by its numbers, and is let go.

use aya_ebpf::helpers::bpf_probe_read_user;
use aya_ebpf::helpers::generated::{
    bpf_get_attach_cookie, bpf_get_current_task_btf, bpf_override_return, bpf_send_signal,
};
use enforcer_abi::{Tag, Vector};

use crate::front::{Front, Overriding, Pointer, Typed, numbered, probe, trace};
use crate::maps::offset;
use crate::process::dumps_core;
use crate::rule::{Object, Voice, ruled};
use crate::syscalls;

/// signal(7).
const KILL: u32 = 9;
/// ptrace(2): of a child, by itself.
const PTRACE_TRACEME: u64 = 0;
/// What a refusal is in the kernel's words.
const EPERM: i64 = -1;
const ENOSYS: i64 = -38;
/// `CLONE_NEWUSER` (clone(2)).
const NEW_USER: u64 = 0x1000_0000;

trace!(sys_enter, false, entered);

/// `sys_enter(registers, number)`.
#[inline(always)]
fn entered<F: Front>(front: &F) -> i32 {
    let call = syscalls::native(front.number(1) as i32);
    if asks(call) && judged::<F>(call, &arguments::<F>(front.pointer(0))) != 0 {
        // SAFETY: a number.
        unsafe { bpf_send_signal(KILL) };
    }
    0
}

/// At the entry of a system call, whose one argument is its registers.
#[unsafe(no_mangle)]
#[unsafe(link_section = "kprobe/override_call")]
pub fn override_call(ctx: *mut core::ffi::c_void) -> u32 {
    let context = aya_ebpf::programs::ProbeContext::new(ctx);
    let registers: u64 = context.arg(0).unwrap_or(0);
    // Not by the number in the registers, which is the caller's word: x32 has the same functions by others.
    // SAFETY: the context is that of this program.
    let call = unsafe { bpf_get_attach_cookie(ctx.cast()) } as i32;
    let arguments = arguments::<Overriding>(registers as Pointer);
    let answer = match itself(call, &arguments) {
        0 if asks(call) && judged::<Overriding>(call, &arguments) != 0 => EPERM,
        answer => answer,
    };
    if answer != 0 {
        // SAFETY: the context is that of this call.
        unsafe { bpf_override_return(ctx.cast(), answer as u64) };
    }
    0
}

/// What a protected process may not do itself is answered so; 0: it may.
#[inline(always)]
fn itself(call: i32, arguments: &[u64; 3]) -> i64 {
    let (vector, voice, answer) = match call {
        syscalls::IO_URING_SETUP => (Vector::IoUring, Voice::Aloud, EPERM),
        syscalls::UNSHARE | syscalls::CLONE if arguments[0] & NEW_USER != 0 => {
            (Vector::UserNamespace, Voice::Aloud, EPERM)
        }
        syscalls::CLONE3 if asked(arguments[0]) & NEW_USER != 0 => {
            (Vector::UserNamespace, Voice::Aloud, EPERM)
        }
        // Another thread may change what it asks for, which lies in its memory; without this one, programs take the other.
        syscalls::CLONE3 => (Vector::UserNamespace, Voice::Silent, ENOSYS),
        _ => return 0,
    };
    if ruled::<Overriding>(vector, &Object::of(Tag::NONE, 0), voice) == 0 { 0 } else { answer }
}

/// `clone_args.flags` (clone(2)).
#[inline(always)]
fn asked(arguments: u64) -> u64 {
    // SAFETY: the helper faults for nobody.
    unsafe { bpf_probe_read_user(arguments as *const u64) }.unwrap_or(0)
}

/// The first three arguments of a system call.
#[inline(always)]
fn arguments<F: Front>(registers: Pointer) -> [u64; 3] {
    let read = |at: Option<usize>| at.and_then(|at| F::read::<u64>(registers, at)).unwrap_or(0);
    match offset!(regs_row) {
        Some(row) => [read(Some(row)), read(Some(row + 8)), read(Some(row + 16))],
        None => [read(offset!(regs_di)), read(offset!(regs_si)), read(offset!(regs_dx))],
    }
}

/// Whether a system call may be about a process by its number.
#[inline(always)]
fn asks(call: i32) -> bool {
    matches!(
        call,
        syscalls::PTRACE
            | syscalls::PROCESS_VM_READV
            | syscalls::PROCESS_VM_WRITEV
            | syscalls::KCMP
            | syscalls::GET_ROBUST_LIST
            | syscalls::MOVE_PAGES
            | syscalls::MIGRATE_PAGES
            | syscalls::PERF_EVENT_OPEN
            | syscalls::PRLIMIT64
            | syscalls::SCHED_SETPARAM
            | syscalls::SCHED_SETSCHEDULER
            | syscalls::SCHED_SETAFFINITY
            | syscalls::SCHED_SETATTR
            | syscalls::SETPRIORITY
            | syscalls::IOPRIO_SET
            | syscalls::KILL
            | syscalls::TKILL
            | syscalls::TGKILL
            | syscalls::RT_SIGQUEUEINFO
            | syscalls::RT_TGSIGQUEUEINFO
    )
}

/// Judges a system call by its number and its arguments.
#[inline(always)]
fn judged<F: Front>(call: i32, arguments: &[u64; 3]) -> i32 {
    let Some((vector, pid)) = meant(call, arguments) else { return 0 };
    let tag = numbered(pid);
    if tag == Tag::NONE || !first_name_space() {
        return 0;
    }
    ruled::<F>(vector, &Object::of(tag, pid), Voice::Aloud)
}

/// What it is, and of which process.
#[inline(always)]
fn meant(call: i32, &[first, second, third]: &[u64; 3]) -> Option<(Vector, u32)> {
    let (vector, number) = match call {
        syscalls::PTRACE if first != PTRACE_TRACEME => (Vector::Ptrace, second),
        syscalls::PROCESS_VM_READV | syscalls::PROCESS_VM_WRITEV => (Vector::ProcessVm, first),
        syscalls::KCMP if numbered(first as u32) == Tag::NONE => (Vector::ProcessInspect, second),
        syscalls::KCMP | syscalls::GET_ROBUST_LIST | syscalls::MOVE_PAGES | syscalls::MIGRATE_PAGES => {
            (Vector::ProcessInspect, first)
        }
        syscalls::PERF_EVENT_OPEN => (Vector::PerfTask, second),
        // Without new limits it only reads.
        syscalls::PRLIMIT64 if third != 0 => (Vector::TaskTune, first),
        syscalls::SCHED_SETPARAM
        | syscalls::SCHED_SETSCHEDULER
        | syscalls::SCHED_SETAFFINITY
        | syscalls::SCHED_SETATTR => (Vector::TaskTune, first),
        // PRIO_PROCESS and IOPRIO_WHO_PROCESS.
        syscalls::SETPRIORITY if first as u32 == 0 => (Vector::TaskTune, second),
        syscalls::IOPRIO_SET if first as u32 == 1 => (Vector::TaskTune, second),
        // A group, by the process that it is called by.
        syscalls::KILL if dumps_core(second as u32) => {
            (Vector::SignalCore, u64::from((first as i32).unsigned_abs()))
        }
        syscalls::TKILL | syscalls::RT_SIGQUEUEINFO if dumps_core(second as u32) => {
            (Vector::SignalCore, first)
        }
        syscalls::TGKILL | syscalls::RT_TGSIGQUEUEINFO if dumps_core(third as u32) => {
            (Vector::SignalCore, second)
        }
        _ => return None,
    };
    Some((vector, number as u32))
}

/// Whether the caller's numbers of processes are ours.
#[inline(always)]
fn first_name_space() -> bool {
    let level = || {
        // SAFETY: the current task is always there.
        let task = unsafe { bpf_get_current_task_btf() } as Pointer;
        let pid = Typed::read::<Pointer>(task, offset!(task_thread_pid)?)?;
        probe::<u32>(pid, offset!(pid_level)?)
    };
    level() == Some(0)
}
