//! What a hook costs before it lets somebody through: identity of both sides, and the policy; and what a record costs when it does
//! not. For the benchmarks alone.
//!
//! The kernel of a benchmark may not load programs for security hooks; the same work is done at the entry of a system call, many
//! times over, and the same loop without it is the floor.

use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::bpf_get_current_task_btf;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use enforcer_abi::{Guard, Record, Ruling, Vector, concerns};

use crate::front::{Pointer, Traced, stored};
use crate::identity;
use crate::maps::{COUNTS, RECORDS, setting};
use crate::rule::{LOST, Object, tell};

/// How often in one system call; the benchmark knows it, too.
const TIMES: u32 = 64;

#[inline(always)]
fn ours() -> bool {
    (bpf_get_current_pid_tgid() >> 32) as u32 == setting!(loader)
}

/// As a hook on another process does it.
#[btf_tracepoint(function = "sys_enter")]
pub fn cost_of_policy(_ctx: BtfTracePointContext) -> i32 {
    let mut against = 0;
    if ours() {
        for _ in 0..TIMES {
            let subject = identity::current();
            // SAFETY: the current task is always there.
            let object = stored(unsafe { bpf_get_current_task_btf() } as Pointer);
            against += i32::from(concerns(Guard::Process, subject, object));
        }
    }
    against
}

/// One lookup of a tag that is not there: what no policy that knows tasks can do without.
#[btf_tracepoint(function = "sys_enter")]
pub fn cost_of_lookup(_ctx: BtfTracePointContext) -> i32 {
    let mut against = 0;
    if ours() {
        for _ in 0..TIMES {
            against += i32::from(identity::current().roles != 0);
        }
    }
    against
}

/// Nothing of it.
#[btf_tracepoint(function = "sys_enter")]
pub fn cost_of_nothing(_ctx: BtfTracePointContext) -> i32 {
    i32::from(ours())
}

/// Records, as a refusal leaves them.
#[btf_tracepoint(function = "sys_enter")]
pub fn cost_of_records(_ctx: BtfTracePointContext) -> i32 {
    if ours() {
        let subject = identity::current();
        for _ in 0..TIMES {
            tell::<Traced<'_, false>>(Vector::PidfdGetfd, subject, &Object::of(subject, 0), Ruling::Deny);
        }
    }
    0
}

/// As many bytes that say nothing: what no program that tells something can do without.
#[btf_tracepoint(function = "sys_enter")]
pub fn cost_of_output(_ctx: BtfTracePointContext) -> i32 {
    if ours() {
        for _ in 0..TIMES {
            if RECORDS.output::<[u8; Record::SIZE]>([0; Record::SIZE], 0).is_err()
                && let Some(counts) = COUNTS.get_ptr_mut(0)
            {
                // SAFETY: this processor's own numbers.
                unsafe { (*counts)[LOST] = (*counts)[LOST].wrapping_add(1) };
            }
        }
    }
    0
}
