//! Which system call a task is in: the same check of a debugger's rights stands behind a dozen of them.

use aya_ebpf::helpers::generated::{bpf_get_current_task_btf, bpf_task_pt_regs};

use crate::front::{Front as _, Pointer, Typed};
use crate::maps::offset;

/// Numbers of x86-64.
#[cfg(bpf_target_arch = "x86_64")]
mod table {
    pub const READ: i32 = 0;
    pub const OPEN: i32 = 2;
    pub const IOCTL: i32 = 16;
    pub const CLONE: i32 = 56;
    pub const KILL: i32 = 62;
    pub const RT_SIGQUEUEINFO: i32 = 129;
    pub const RT_TGSIGQUEUEINFO: i32 = 297;
    pub const PTRACE: i32 = 101;
    pub const SETPRIORITY: i32 = 141;
    pub const SCHED_SETPARAM: i32 = 142;
    pub const SCHED_SETSCHEDULER: i32 = 144;
    pub const TKILL: i32 = 200;
    pub const SCHED_SETAFFINITY: i32 = 203;
    pub const TGKILL: i32 = 234;
    /// Ours, and that of 32 bits: our 87 opens nothing.
    pub const SWAPON: [i32; 2] = [167, 87];
    pub const IOPRIO_SET: i32 = 251;
    pub const MIGRATE_PAGES: i32 = 256;
    pub const OPENAT: i32 = 257;
    pub const UNSHARE: i32 = 272;
    pub const GET_ROBUST_LIST: i32 = 274;
    pub const MOVE_PAGES: i32 = 279;
    pub const PERF_EVENT_OPEN: i32 = 298;
    pub const PRLIMIT64: i32 = 302;
    pub const SETNS: i32 = 308;
    pub const PROCESS_VM_READV: i32 = 310;
    pub const PROCESS_VM_WRITEV: i32 = 311;
    pub const KCMP: i32 = 312;
    pub const SCHED_SETATTR: i32 = 314;
}

/// Numbers of the generic table (asm-generic/unistd.h).
#[cfg(not(bpf_target_arch = "x86_64"))]
mod table {
    /// It has no `open`; and -1 is what no system call has.
    pub const OPEN: i32 = i32::MIN;
    pub const IOCTL: i32 = 29;
    pub const IOPRIO_SET: i32 = 30;
    pub const OPENAT: i32 = 56;
    pub const READ: i32 = 63;
    pub const UNSHARE: i32 = 97;
    pub const GET_ROBUST_LIST: i32 = 100;
    pub const PTRACE: i32 = 117;
    pub const SCHED_SETPARAM: i32 = 118;
    pub const SCHED_SETSCHEDULER: i32 = 119;
    pub const SCHED_SETAFFINITY: i32 = 122;
    pub const KILL: i32 = 129;
    pub const RT_SIGQUEUEINFO: i32 = 138;
    pub const RT_TGSIGQUEUEINFO: i32 = 240;
    pub const TKILL: i32 = 130;
    pub const TGKILL: i32 = 131;
    pub const SETPRIORITY: i32 = 140;
    /// Ours, and that of 32 bits: our 87 is for timers, which opens nothing.
    pub const SWAPON: [i32; 2] = [224, 87];
    pub const CLONE: i32 = 220;
    pub const MIGRATE_PAGES: i32 = 238;
    pub const MOVE_PAGES: i32 = 239;
    pub const PERF_EVENT_OPEN: i32 = 241;
    pub const PRLIMIT64: i32 = 261;
    pub const SETNS: i32 = 268;
    pub const PROCESS_VM_READV: i32 = 270;
    pub const PROCESS_VM_WRITEV: i32 = 271;
    pub const KCMP: i32 = 272;
    pub const SCHED_SETATTR: i32 = 274;
}

pub use table::*;
/// From 424 on all architectures have the same numbers.
pub const IO_URING_SETUP: i32 = 425;
pub const CLONE3: i32 = 435;
pub const PIDFD_GETFD: i32 = 438;
pub const OPENAT2: i32 = 437;
pub const PROCESS_MADVISE: i32 = 440;

/// The number of the system call that the current task is in, or -1.
#[inline(always)]
pub fn current() -> i32 {
    let Some(at) = offset!(regs_orig_ax).or(offset!(regs_syscallno)) else { return -1 };
    // SAFETY: the current task is always there, and so are its registers.
    let registers = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) };
    native(Typed::read::<i32>(registers as Pointer, at).unwrap_or(-1))
}

/// A number of x32's as that of 64 bits: the same calls, but for some that have others (`arch/x86/entry/syscalls/syscall_64.tbl`).
#[inline(always)]
pub fn native(number: i32) -> i32 {
    const X32: i32 = 1 << 30;
    if !cfg!(bpf_target_arch = "x86_64") || number < X32 {
        return number;
    }
    match number & !X32 {
        515 => 19,
        516 => 20,
        521 => 101,
        524 => 129,
        531 => 274,
        533 => 279,
        534 => 295,
        535 => 296,
        536 => 297,
        538 => 307,
        539 => 310,
        540 => 311,
        544 => 209,
        546 => 327,
        547 => 328,
        same => same,
    }
}
