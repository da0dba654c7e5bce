//! Files of procfs: what of a protected process an outsider may open. By name, and everything that is not named is closed.
//!
//! A runtime needs a few of them to look after a container; they say nothing about memory or descriptors. Every thread's
//! directory is its process's, and so is what lies in `net`.

use enforcer_abi::{Tag, Vector};

use crate::front::{Front, Pointer, hook, numbered, probe};
use crate::kinds::{KIND, PROC, REGULAR};
use crate::maps::offset;
use crate::open::{file_system, inode, name, named, parent, word, writes};
use crate::rule::{Object, Voice, ruled};

hook!(stale_file, 2, used);

/// A file of procfs is opened.
#[inline(always)]
pub fn opened<F: Front>(file: Pointer, inode: Pointer) -> i32 {
    // What lies in `net` is nobody's by itself.
    let owner = owner(inode).or_else(|| owner(directory::<F>(file)?));
    match owner {
        Some((tag, pid)) if tag != Tag::NONE => {
            let name = name::<F>(file).unwrap_or_default();
            match vector(word(&name), writes::<F>(file)) {
                Some(vector) => told::<F>(vector, tag, pid, &name),
                None => 0,
            }
        }
        _ => 0,
    }
}

/// `file_permission(file, mask)`: a file that was opened before the process was protected is used. Attached only while asked
/// for: a process that executes itself anew has a memory that no earlier file shows.
#[inline(always)]
fn used<F: Front>(front: &F) -> i32 {
    let file = front.pointer(0);
    if file_system::<F>(file) != Some(PROC) {
        return 0;
    }
    let Some((tag, pid)) = inode::<F>(file).and_then(owner) else { return 0 };
    let name = name::<F>(file).unwrap_or_default();
    if tag == Tag::NONE || vector(word(&name), writes::<F>(file)).is_none() {
        return 0;
    }
    told::<F>(Vector::StaleFile, tag, pid, &name)
}

#[inline(always)]
fn told<F: Front>(vector: Vector, tag: Tag, pid: u32, name: &[u8; 16]) -> i32 {
    let mut object = Object::of(tag, pid);
    object.name[..16].copy_from_slice(name);
    ruled::<F>(vector, &object, Voice::Aloud)
}

/// The process that a file of procfs is of, where an outsider may not have opened it.
#[inline(always)]
pub fn closed_file_of<F: Front>(file: Pointer) -> Option<u32> {
    if file_system::<F>(file) != Some(PROC) {
        return None;
    }
    let inode = inode::<F>(file)?;
    let kind: u16 = F::read(inode, offset!(inode_mode)?)?;
    let name = name::<F>(file).unwrap_or_default();
    // What is opened through a directory is asked for then.
    if kind & KIND != REGULAR || vector(word(&name), false).is_none() {
        return None;
    }
    Some(owner(inode)?.1)
}

/// What an outsider does who opens a file of this name; `None`: nothing that is closed.
#[inline(always)]
fn vector(name: u128, writes: bool) -> Option<Vector> {
    match name {
        MEM => Some(Vector::ProcMem),
        OOM_SCORE_ADJ => None,
        _ if writes => Some(Vector::ProcWrite),
        ENVIRON => Some(Vector::Environ),
        STAT | STATM | STATUS | CGROUP | OOM_SCORE | MOUNTINFO | MOUNTS | LIMITS | COMM | UID_MAP
        | GID_MAP => None,
        AUXV | MAPS | SMAPS | SMAPS_ROLLUP | NUMA_MAPS | PAGEMAP | MAP_FILES | STACK | SYSCALL | IO => {
            Some(Vector::ProcView)
        }
        _ => Some(Vector::ProcList),
    }
}

/// Whose inode of procfs it is: the tag and number of the process, where there is one.
#[inline(always)]
pub fn owner(inode: Pointer) -> Option<(Tag, u32)> {
    let outer = inode.wrapping_byte_sub(offset!(proc_inode_vfs_inode)?);
    let pid: Pointer = probe(outer, offset!(proc_inode_pid)?)?;
    if pid.is_null() {
        return None;
    }
    // The first task in the list of those with this number, and the process that it belongs to: a thread's directory, too.
    let link: Pointer = probe(pid, offset!(pid_tasks)?)?;
    if link.is_null() {
        return None;
    }
    let task = link.wrapping_byte_sub(offset!(task_pid_links)?);
    let tgid: u32 = probe(task, offset!(task_tgid)?)?;
    Some((numbered(tgid), tgid))
}

/// The inode of the directory that it lies in.
#[inline(always)]
fn directory<F: Front>(file: Pointer) -> Option<Pointer> {
    F::read(parent::<F>(file)?, offset!(dentry_inode)?)
}

const MEM: u128 = named("mem");
const ENVIRON: u128 = named("environ");
const OOM_SCORE_ADJ: u128 = named("oom_score_adj");
const STAT: u128 = named("stat");
const STATM: u128 = named("statm");
const STATUS: u128 = named("status");
const CGROUP: u128 = named("cgroup");
const OOM_SCORE: u128 = named("oom_score");
const MOUNTINFO: u128 = named("mountinfo");
const MOUNTS: u128 = named("mounts");
const LIMITS: u128 = named("limits");
const COMM: u128 = named("comm");
const UID_MAP: u128 = named("uid_map");
const GID_MAP: u128 = named("gid_map");
const AUXV: u128 = named("auxv");
const MAPS: u128 = named("maps");
const SMAPS: u128 = named("smaps");
const SMAPS_ROLLUP: u128 = named("smaps_rollup");
const NUMA_MAPS: u128 = named("numa_maps");
const PAGEMAP: u128 = named("pagemap");
const MAP_FILES: u128 = named("map_files");
const STACK: u128 = named("stack");
const SYSCALL: u128 = named("syscall");
const IO: u128 = named("io");
