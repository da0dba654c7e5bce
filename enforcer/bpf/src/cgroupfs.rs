//! Files of control groups: who is moved into one in which a protected process lives, or out of it.
//!
//! Nothing rests on control groups: trust goes by tags alone. It keeps strangers from a container's limits and accounts.
//! Moving a process *out* names it in the bytes that are written, elsewhere: no hook sees that before it has happened, so it
//! is told (and, where so set, killed) afterwards.

use aya_ebpf::helpers::generated::bpf_send_signal;
use enforcer_abi::{Tag, Vector};

use crate::crowd;
use crate::front::{Front, Pointer, trace};
use crate::maps::offset;
use crate::open::{name, named, parent, word, writes};
use crate::rule::{Object, Voice, ruled};

const PROCS: u128 = named("cgroup.procs");
const THREADS: u128 = named("cgroup.threads");
const TASKS: u128 = named("tasks");
/// signal(7).
const KILL: u32 = 9;

trace!(cgroup_attach_task, false, moved);

/// A file of a control group is opened.
#[inline(always)]
pub fn opened<F: Front>(file: Pointer) -> i32 {
    if !writes::<F>(file) {
        return 0;
    }
    let Some(name) = name::<F>(file) else { return 0 };
    if !matches!(word(&name), PROCS | THREADS | TASKS) {
        return 0;
    }
    let Some(cgroup) = number::<F>(file) else { return 0 };
    let mut object = crowd::inhabitant(cgroup);
    object.name[..16].copy_from_slice(&name);
    ruled::<F>(Vector::CgroupMove, &object, Voice::Aloud)
}

/// The control group that a file of it is about: the number of its directory is its own.
#[inline(always)]
fn number<F: Front>(file: Pointer) -> Option<u64> {
    let inode: Pointer = F::read(parent::<F>(file)?, offset!(dentry_inode)?)?;
    F::read(inode, offset!(inode_ino)?)
}

/// `cgroup_attach_task(group, path, task, threadgroup)`: it has happened.
#[inline(always)]
fn moved<F: Front>(front: &F) -> i32 {
    let task = front.pointer(2);
    let tag = F::tag(task).now();
    if tag == Tag::NONE {
        return 0;
    }
    let pid = crate::process::process::<F>(task);
    crowd::settle::<F>(task, pid, tag);
    let detail = crowd::of::<F>(task).unwrap_or(0);
    if ruled::<F>(Vector::CgroupMove, &Object { detail, ..Object::of(tag, pid) }, Voice::Aloud) != 0 {
        // SAFETY: a number.
        unsafe { bpf_send_signal(KILL) };
    }
    0
}
