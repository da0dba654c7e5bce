//! The kernel's switches, guarded by a program of the root control group: it needs no trampoline, so it goes on when somebody
//! switches those off, and that switch is the first that it guards.
//!
//! Fewer helpers are there than elsewhere, in 5.15 above all: who calls is read from the task.

use aya_ebpf::bindings::bpf_sysctl;
use aya_ebpf::helpers::generated::{
    bpf_get_current_cgroup_id, bpf_get_current_task, bpf_get_current_uid_gid, bpf_ktime_get_boot_ns,
    bpf_sysctl_get_name,
};
use enforcer_abi::{Mode, Record, Ruling, Scope, Tag, Tier, Vector, decide, role};

use crate::front::{Pointer, numbered, probe};
use crate::maps::{COUNTS, MODES, RECORDS, offset};
use crate::rule;
use crate::trusted;

/// What a program of this kind answers.
const ALLOW: i32 = 1;
const REFUSE: i32 = 0;

/// A switch of `/proc/sys` is read or written.
#[unsafe(no_mangle)]
#[unsafe(link_section = "cgroup/sysctl")]
pub fn switches(ctx: *mut bpf_sysctl) -> i32 {
    // SAFETY: the kernel's own context.
    if unsafe { (*ctx).write } == 0 {
        return ALLOW;
    }
    let mut name: Name = [0; 6];
    // SAFETY: into our own bytes, at most as many as they are. A name that does not fit is cut off, and is none of ours.
    unsafe { bpf_sysctl_get_name(ctx, name.as_mut_ptr().cast(), 48, 0) };
    let Some(vector) = guarded(&name) else { return ALLOW };
    let caller = Caller::here();
    // The enforcer neither: it writes no switch, and root says where what it prints goes.
    let free =
        vector == Vector::Sysctl && !caller.tag.is(role::ENFORCER) && trusted::listed(caller.tag, vector);
    if free {
        return ALLOW;
    }
    let mode = MODES.get(u32::from(vector.number())).map_or(Mode::Enforce, |mode| Mode::of(*mode));
    // The scope is the control group that this is attached to.
    let ruling = decide(mode, Scope::Within);
    if ruling == Ruling::Allow {
        return ALLOW;
    }
    if caller.tag.is(role::CANARY | role::DECOY) {
        rule::answered(vector);
    } else {
        tell(vector, ruling, &caller, &name);
    }
    if ruling == Ruling::Deny { REFUSE } else { ALLOW }
}

/// Which vector a switch is, by its name below `/proc/sys`.
#[inline(always)]
fn guarded(name: &Name) -> Option<Vector> {
    const SWITCHES: Name = named("kernel/ftrace_enabled");
    if is(name, &SWITCHES) {
        return Some(Vector::HookSwitch);
    }
    LISTED.iter().any(|listed| is(name, listed)).then_some(Vector::Sysctl)
}

/// What hands out cores, has the kernel run programs, or takes away what keeps others from its secrets.
const LISTED: [Name; 18] = [
    named("kernel/core_pattern"),
    named("kernel/core_pipe_limit"),
    named("kernel/core_uses_pid"),
    named("fs/suid_dumpable"),
    named("kernel/modprobe"),
    named("kernel/hotplug"),
    named("kernel/poweroff_cmd"),
    named("kernel/usermodehelper/bset"),
    named("kernel/usermodehelper/inheritable"),
    named("kernel/sysrq"),
    named("kernel/kptr_restrict"),
    named("kernel/dmesg_restrict"),
    named("kernel/perf_event_paranoid"),
    named("kernel/unprivileged_bpf_disabled"),
    named("kernel/yama/ptrace_scope"),
    named("kernel/randomize_va_space"),
    named("vm/mmap_min_addr"),
    named("vm/unprivileged_userfaultfd"),
];

/// A name as six words, the rest zeros.
type Name = [u64; 6];

const fn named(name: &str) -> Name {
    let name = name.as_bytes();
    let mut words = [0_u64; 6];
    let mut at = 0;
    while at < name.len() {
        words[at / 8] |= (name[at] as u64) << (at % 8 * 8);
        at += 1;
    }
    words
}

/// In one step: a branch for each word would be a path for each, and Linux 5.15 follows a million steps and no more.
#[inline(always)]
fn is(name: &Name, wanted: &Name) -> bool {
    let mut all = 0;
    for word in 0..6 {
        all |= difference(name[word], wanted[word]);
    }
    all == 0
}

/// Written down, or the compiler would make branches of it.
#[inline(always)]
fn difference(left: u64, right: u64) -> u64 {
    let mut both = left;
    // SAFETY: one instruction, on numbers.
    unsafe {
        core::arch::asm!("{both} ^= {right}", both = inout(reg) both, right = in(reg) right, options(pure, nomem, nostack));
    }
    both
}

struct Caller {
    task: Pointer,
    pid: u32,
    tid: u32,
    tag: Tag,
}

impl Caller {
    #[inline(always)]
    fn here() -> Self {
        // SAFETY: a helper without arguments.
        let task = unsafe { bpf_get_current_task() } as Pointer;
        let word = |at: Option<usize>| at.and_then(|at| probe::<u32>(task, at)).unwrap_or(0);
        let pid = word(offset!(task_tgid));
        Self { task, pid, tid: word(offset!(task_pid)), tag: numbered(pid) }
    }
}

#[inline(always)]
fn tell(vector: Vector, ruling: Ruling, caller: &Caller, name: &Name) {
    let counts = COUNTS.get_ptr_mut(u32::from(vector.number()));
    let count = |which: usize| {
        if let Some(counts) = counts {
            // SAFETY: this processor's own numbers.
            unsafe { (*counts)[which] = (*counts)[which].wrapping_add(1) };
        }
    };
    count(if ruling == Ruling::Deny { 1 } else { 0 });
    let Some(mut entry) = RECORDS.reserve::<Record>(0) else {
        count(2);
        return;
    };
    entry.write(Record {
        // SAFETY: helpers without arguments.
        at: unsafe { bpf_ktime_get_boot_ns() },
        // SAFETY: likewise.
        cgroup: unsafe { bpf_get_current_cgroup_id() },
        object_group: 0,
        subject_group: caller.tag.group,
        detail: 0,
        pid: caller.pid,
        tid: caller.tid,
        // SAFETY: likewise.
        uid: unsafe { bpf_get_current_uid_gid() } as u32,
        object_pid: 0,
        vector: vector.number(),
        // It refuses before anything happens, as LSM does.
        tier: Tier::Lsm as u8,
        ruling: ruling as u8,
        syscall: -1,
        comm: offset!(task_comm).and_then(|at| probe(caller.task, at)).unwrap_or_default(),
        // SAFETY: as many bytes, and any bytes are a name.
        name: unsafe { core::mem::transmute::<Name, [u8; 48]>(*name) },
    });
    entry.submit(0);
}
