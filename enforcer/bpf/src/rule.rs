//! The one way from a hook to a ruling: identity, scope, mode, count, record.

use aya_ebpf::helpers::generated::{
    bpf_get_current_ancestor_cgroup_id, bpf_get_current_cgroup_id, bpf_ktime_get_boot_ns,
};
use aya_ebpf::helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_uid_gid};
use enforcer_abi::{Guard, Mode, Record, Ruling, Scope, Tag, Vector, concerns, decide, role};

use crate::front::Front;
use crate::identity;
use crate::maps::{ANSWERED, COUNTS, MODES, RECORDS, setting};
use crate::syscalls;

/// What a refusal is in the kernel's words.
const EPERM: i32 = -1;
/// Where in [`COUNTS`] the three numbers of a vector are.
const TOLD: usize = 0;
const REFUSED: usize = 1;
pub const LOST: usize = 2;

/// To whom or what an access is, and what more is to be told of it.
#[derive(Clone, Copy)]
pub struct Object {
    /// Its tag.
    pub tag: Tag,
    /// Its process, or 0.
    pub pid: u32,
    /// What the hook has to say more.
    pub detail: u64,
    /// Its name, or zeros.
    pub name: [u8; 48],
}

impl Object {
    /// A task or a file of it.
    #[inline(always)]
    pub const fn of(tag: Tag, pid: u32) -> Self {
        Self { tag, pid, detail: 0, name: [0; 48] }
    }
}

/// Whether something is told of a refusal.
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum Voice {
    /// It is.
    Aloud,
    /// It happens all day in innocence, as in a listing of processes.
    Silent,
}

/// What a hook answers: 0, or the refusal.
#[inline(always)]
pub fn ruled<F: Front>(vector: Vector, object: &Object, voice: Voice) -> i32 {
    let subject = identity::current();
    if !concerns(vector.guard(), subject, object.tag) {
        return 0;
    }
    against::<F>(vector, subject, object, voice)
}

/// What is done about an access that the policy is against; rare, and so not inlined into every hook.
#[inline(always)]
pub fn against<F: Front>(vector: Vector, subject: Tag, object: &Object, voice: Voice) -> i32 {
    against_at_most::<F>(vector, Mode::Enforce, subject, object, voice)
}

/// Whether what the policy is against is refused to the caller.
#[inline(always)]
pub fn is_enforced(vector: Vector) -> bool {
    decide(mode(vector), scope()) == Ruling::Deny
}

/// The same with a mode that is not exceeded, whatever the vector's.
#[inline(always)]
pub fn against_at_most<F: Front>(
    vector: Vector,
    most: Mode,
    subject: Tag,
    object: &Object,
    voice: Voice,
) -> i32 {
    let ruling = match decide(mode(vector).min(most), scope()) {
        // Whom we protect is not killed for what it does itself, and the enforcer is not for looking around.
        Ruling::Deny
            if !F::REFUSES && (setting!(reactive) == 0 || inside(vector) || subject.is(role::ENFORCER)) =>
        {
            Ruling::Tell
        }
        ruling => ruling,
    };
    if ruling == Ruling::Allow {
        return 0;
    }
    if subject.is(role::CANARY | role::DECOY) {
        // Its attacks are answered as anybody's, counted apart, and not told.
        answered(vector);
    } else if voice == Voice::Aloud {
        tell::<F>(vector, subject, object, ruling);
    }
    if ruling == Ruling::Deny { EPERM } else { 0 }
}

#[inline(always)]
const fn inside(vector: Vector) -> bool {
    matches!(vector.guard(), Guard::Inside)
}

/// The vector's mode; without one, the strictest.
#[inline(always)]
fn mode(vector: Vector) -> Mode {
    MODES.get(u32::from(vector.number())).map_or(Mode::Enforce, |mode| Mode::of(*mode))
}

#[inline(always)]
fn scope() -> Scope {
    let cgroup = setting!(scope_cgroup);
    if cgroup == 0 {
        return Scope::Within;
    }
    let level = setting!(scope_level);
    // SAFETY: the helper looks at nothing but the current task.
    let ours = unsafe { bpf_get_current_ancestor_cgroup_id(level as i32) };
    if ours == cgroup { Scope::Within } else { Scope::Without }
}

/// An attack of the canary's was seen.
#[inline(always)]
pub fn answered(vector: Vector) {
    if let Some(count) = ANSWERED.get_ptr_mut(u32::from(vector.number())) {
        // SAFETY: this processor's own number.
        unsafe { *count = (*count).wrapping_add(1) };
    }
}

/// Counts, and leaves a record for the loader.
#[inline(always)]
pub fn tell<F: Front>(vector: Vector, subject: Tag, object: &Object, ruling: Ruling) {
    let counts = COUNTS.get_ptr_mut(u32::from(vector.number()));
    let count = |which: usize| {
        if let Some(counts) = counts {
            // SAFETY: this processor's own numbers.
            unsafe { (*counts)[which] = (*counts)[which].wrapping_add(1) };
        }
    };
    count(if ruling == Ruling::Deny { REFUSED } else { TOLD });
    let Some(mut entry) = RECORDS.reserve::<Record>(0) else {
        count(LOST);
        return;
    };
    let ids = bpf_get_current_pid_tgid();
    entry.write(Record {
        // SAFETY: helpers without arguments.
        at: unsafe { bpf_ktime_get_boot_ns() },
        // SAFETY: likewise.
        cgroup: unsafe { bpf_get_current_cgroup_id() },
        object_group: object.tag.group,
        subject_group: subject.group,
        detail: object.detail,
        pid: (ids >> 32) as u32,
        tid: ids as u32,
        uid: bpf_get_current_uid_gid() as u32,
        object_pid: object.pid,
        vector: vector.number(),
        tier: F::tier(),
        ruling: ruling as u8,
        syscall: syscalls::current(),
        comm: bpf_get_current_comm().unwrap_or_default(),
        name: object.name,
    });
    entry.submit(0);
}
