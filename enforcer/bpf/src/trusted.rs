//! Which programs are trusted, looked at when they are executed: by the file, as it was when its digest was taken. It is not
//! inherited by what they execute, and it is by their forks. Nobody is trusted who is traced when it starts, or, but for
//! entries that say so, into whom libraries are loaded: each would put another's will into it. And whoever is trusted is not
//! taken over by a debugger's rights later on.
//!
//! The enforcer's own program is known in the same way, so that its next life may take over from its last; and there, nobody may
//! filter its system calls either.
//!
//! It is decided when the program is all there: until then its memory, its arguments and who traces it can still change. So from
//! before its memory is there until then, it is kept from others without having a right.

use aya_ebpf::bindings::{BPF_LOCAL_STORAGE_GET_F_CREATE, task_struct};
use aya_ebpf::helpers::bpf_get_current_uid_gid;
use aya_ebpf::helpers::generated::{
    bpf_get_current_ancestor_cgroup_id, bpf_get_current_task_btf, bpf_send_signal, bpf_task_storage_get,
};
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use enforcer_abi::{Known, Place, Program, State, Tag, Trust, Vector, role, trust};

use crate::front::{Front, Pointer, Typed, hook, stored};
use crate::maps::{ALLOWED, TAGS, TRUSTED, WITHIN, offset, setting};
use crate::process::{is_measured, process};
use crate::rule::Object;
use crate::share;

hook!(bprm_check_security, 1, becomes);

/// When its tag cannot be written: as execve(2) says that there is no room.
const EAGAIN: i32 = -11;
/// Of the signal.
const KILL: u32 = 9;
/// How deep a control group may lie that a program has to be started in.
const DEPTH: i32 = 12;
/// `AT_BASE`: where the loader of a program is, if it has one (getauxval(3)).
const BASE: u64 = 7;

/// Whether a task may do what a guard of the node is against.
#[inline(always)]
pub fn allowed(subject: Tag, vector: Vector) -> bool {
    if subject.is(role::ENFORCER) {
        return true;
    }
    if listed(subject, vector) {
        return true;
    }
    // A thread that was there before the list was told is known by its process.
    let process = (aya_ebpf::helpers::bpf_get_current_pid_tgid() >> 32) as u32;
    listed(crate::front::numbered(process), vector)
}

/// Likewise by the tag alone.
#[inline(always)]
pub fn listed(subject: Tag, vector: Vector) -> bool {
    if subject.is(role::ENFORCER) {
        return true;
    }
    if !subject.is(role::TRUSTED) {
        return false;
    }
    let vectors = ALLOWED.get(subject.entry()).copied().unwrap_or(0);
    vectors & (1 << vector.number()) != 0
}

/// `bprm_check_security(bprm)`: a program is about to be executed, and nothing of it is in memory yet. A script is looked at
/// first, and then its interpreter. An execution that fails from here on leaves the mark, and who bears it is kept from others
/// without need.
#[inline(always)]
pub fn becomes<F: Front>(front: &F) -> i32 {
    let becoming = executed(front.pointer(0)).map_or(0, |found| next(&found));
    // SAFETY: the current task is always there.
    let task = unsafe { bpf_get_current_task_btf() };
    if stored(task as Pointer).becoming == becoming {
        return 0;
    }
    let Some(place) = place(task) else { return EAGAIN };
    // SAFETY: of the map's own type, and this task's, which is here.
    let tag = unsafe {
        (*place).becoming = becoming;
        *place
    };
    known(task as Pointer, tag);
    0
}

/// `sched_process_exec(task, old_pid, bprm)`: another program from here on.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn trusted_exec(ctx: BtfTracePointContext) -> i32 {
    let task: *mut task_struct = ctx.arg(0);
    // By number, too, where its storage is busy: who had trust must not keep it unseen.
    let before = Typed::tag(task as Pointer);
    // Who was not kept from others all the while may have been reached: known only since it was looked at, or tagged anew.
    let kept = |found: &Trust| setting!(typed) == 0 || before.next() == next(found);
    let roles = match executed(ctx.arg::<Pointer>(2)).filter(kept) {
        Some(found) => roles(before, &found, task as Pointer),
        None if before.is(role::CHILDREN) && stays(before) && alone(task as Pointer) => before.roles,
        None => before.roles & !(role::OF_TRUST | role::ENFORCER),
    };
    if roles != before.roles || before.next() != 0 {
        // What the enforcer executes, and is not the enforcer, is no neighbour of its, either.
        let lost = before.is(role::ENFORCER) && roles & role::ENFORCER == 0;
        let mut group = if lost { 0 } else { before.group };
        if roles & role::ENFORCER != 0 && group == 0 {
            // Its own files of procfs are its group's. No other group is made at the same nanosecond.
            // SAFETY: a helper without arguments.
            group = unsafe { aya_ebpf::helpers::generated::bpf_ktime_get_boot_ns() };
        }
        set(task, Tag { group, roles, becoming: 0 });
    }
    0
}

#[inline(always)]
fn roles(before: Tag, found: &Trust, task: Pointer) -> u32 {
    let rest = before.roles & !(role::OF_TRUST | role::ENFORCER);
    if found.flags & trust::ENFORCER != 0 {
        // Whose neighbours may reach into it is not its own master; nor is who may be told what to do by others than root.
        let masterless = before.is(role::ENFORCER) || (before.group == 0 && !before.is(role::PROTECTED));
        let whole = loader(task) == Some(0) && bpf_get_current_uid_gid() as u32 == 0;
        let fit = masterless && whole && alone(task) && unfiltered(task);
        return if fit { rest | role::ENFORCER } else { rest };
    }
    let whole = found.flags & trust::MAY_LOAD != 0 || loader(task) == Some(0);
    if !whole || !alone(task) || (found.cgroup != 0 && !below(found.cgroup)) {
        return rest;
    }
    let children = if found.flags & trust::CHILDREN != 0 { role::CHILDREN } else { 0 };
    rest | role::TRUSTED | children | found.entry << role::ENTRY
}

/// Whether what a trusted runtime executes is still its own: a container is put into a control group of its own before its
/// program is executed.
#[inline(always)]
fn stays(before: Tag) -> bool {
    let cgroup = WITHIN.get(before.entry()).copied().unwrap_or(0);
    cgroup != 0 && below(cgroup)
}

/// Somebody is about to change a process, or to take from it: what a trusted one may, its debugger may.
#[inline(always)]
pub fn taken<F: Front>(object: &Object) -> i32 {
    if !object.tag.is_kept_from(crate::identity::current().entry()) {
        return 0;
    }
    crate::node::guarded::<F>(Vector::TrustedProcess, object)
}

/// A file is opened for writing that is known, or about to be, by its place, size and time of change: not each way to write changes that time, and
/// who turns the clock sets it. Where it is not refused, or was changed before, it is known no more.
#[inline(always)]
pub fn rewritten<F: Front>(file: Pointer, inode: Pointer) -> i32 {
    let Some(program) = program(inode) else { return 0 };
    let Some(known) = known_at(program.place) else { return 0 };
    let refused = if known.state == program.state { kept_as_it_is::<F>(file, &known.trust) } else { 0 };
    if refused == 0 {
        let _gone = TRUSTED.remove(program.place);
    }
    refused
}

#[inline(always)]
fn kept_as_it_is<F: Front>(file: Pointer, found: &Trust) -> i32 {
    let name = offset!(file_dentry).and_then(|at| F::read::<Pointer>(file, at));
    let object = crate::node::called(0, &name.and_then(crate::names::of_entry::<F>).unwrap_or_default());
    if found.flags & trust::ENFORCER != 0 {
        crate::own::own::<F>(Vector::OwnProgram, &object)
    } else {
        crate::node::guarded::<F>(Vector::TrustedProcess, &object)
    }
}

/// Whether nobody traces the task, and nobody's counters look at it.
#[inline(always)]
fn alone(task: Pointer) -> bool {
    let untraced = offset!(task_ptrace).and_then(|at| Typed::read::<u32>(task, at)) == Some(0);
    untraced && !is_measured(task)
}

/// Whether nobody decides what its system calls answer: a filter that whoever starts it puts on it says that there is no
/// enforcer, or hands it another's files.
#[inline(always)]
fn unfiltered(task: Pointer) -> bool {
    let Some(at) = offset!(task_filter) else { return true };
    crate::front::probe::<Pointer>(task, at).is_some_and(|filter| filter.is_null())
}

/// Where the program's loader is, by what the kernel tells the program.
#[inline(always)]
fn loader(task: Pointer) -> Option<u64> {
    let memory: Pointer = Typed::read(task, offset!(task_mm)?)?;
    let at = offset!(mm_saved_auxv)?;
    // Pairs of a kind and a value; x86-64 and aarch64 have the kind that is looked for among the first sixteen.
    for pair in 0..20_usize {
        let kind: u64 = crate::front::probe(memory, at + pair * 16)?;
        if kind == BASE {
            return crate::front::probe(memory, at + pair * 16 + 8);
        }
    }
    None
}

/// Whether the caller is in a control group, or in one below it.
#[inline(always)]
fn below(group: u64) -> bool {
    for level in 0..DEPTH {
        // SAFETY: the helper looks at nothing but the current task.
        if unsafe { bpf_get_current_ancestor_cgroup_id(level) } == group {
            return true;
        }
    }
    false
}

/// What is known of the file that is executed, as it is now.
#[inline(always)]
fn executed(bprm: Pointer) -> Option<Trust> {
    let file: Pointer = Typed::read(bprm, offset!(bprm_file)?)?;
    known_by(Typed::read(file, offset!(file_inode)?)?)
}

#[inline(always)]
fn known_by(inode: Pointer) -> Option<Trust> {
    let program = program(inode)?;
    let known = known_at(program.place)?;
    let is = known.state == program.state && known.trust.flags & trust::PENDING == 0;
    if is { Some(known.trust) } else { None }
}

#[inline(always)]
fn known_at(place: Place) -> Option<Known> {
    // SAFETY: read once, and copied.
    unsafe { TRUSTED.get(place) }.copied()
}

/// The roles that it gives: a mark beforehand.
#[inline(always)]
const fn next(found: &Trust) -> u32 {
    if found.flags & trust::ENFORCER != 0 {
        role::ENFORCER
    } else {
        role::TRUSTED | found.entry << role::ENTRY
    }
}

/// A file as it is now.
#[inline(always)]
fn program(inode: Pointer) -> Option<Program> {
    let (superblock, kind) = crate::names::file_system::<Typed<'_>>(inode)?;
    let (seconds, nanoseconds) = changed(inode)?;
    let device = crate::names::device::<Typed<'_>>(superblock)?;
    let place = Place { device, kind, inode: Typed::read(inode, offset!(inode_ino)?)? };
    let size = Typed::read(inode, offset!(inode_size)?)?;
    // Newer kernels keep a flag in the uppermost bit.
    let nanoseconds = u64::from(nanoseconds & 0x7fff_ffff);
    Some(Program { place, state: State { size, seconds, nanoseconds } })
}

/// When an inode was changed last; each kernel keeps it elsewhere.
#[inline(always)]
fn changed(inode: Pointer) -> Option<(u64, u32)> {
    if let Some(at) = offset!(inode_ctime_sec) {
        return Some((Typed::read(inode, at)?, Typed::read(inode, offset!(inode_ctime_nsec)?)?));
    }
    let at = offset!(inode_ctime).or(offset!(inode_ctime_hidden))?;
    Some((crate::front::probe(inode, at)?, crate::front::probe(inode, at + 8)?))
}

#[inline(always)]
fn set(task: *mut task_struct, tag: Tag) {
    match place(task) {
        // SAFETY: of the map's own type. A process that executes has one task.
        Some(place) => unsafe { *place = tag },
        // Busy: it would keep what it has.
        None => {
            // SAFETY: a number.
            unsafe { bpf_send_signal(KILL) };
        }
    }
    known(task as Pointer, tag);
}

/// Where a task's tag is, made if there is none.
#[inline(always)]
fn place(task: *mut task_struct) -> Option<*mut Tag> {
    let mut none = Tag::NONE;
    // SAFETY: the verifier checks that it is a task; the value is copied.
    let place = unsafe {
        bpf_task_storage_get(
            TAGS.pointer(),
            task,
            (&raw mut none).cast(),
            u64::from(BPF_LOCAL_STORAGE_GET_F_CREATE),
        )
    };
    if place.is_null() { None } else { Some(place.cast()) }
}

/// Its process is known by number, too.
#[inline(always)]
fn known(task: Pointer, tag: Tag) {
    let number = process::<Typed<'_>>(task);
    if tag == Tag::NONE {
        share::leave(number);
    } else {
        share::enter(number, tag);
    }
}
