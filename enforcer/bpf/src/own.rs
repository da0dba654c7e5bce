//! The enforcer's own parts: its maps, programs and links by their numbers, its pins, its control group.
//!
//! What is its own stands in the map `OWN`, which the loader fills. Only a task with the enforcer's tag may touch any of it.

use enforcer_abi::{Guard, Own, Part, Vector, concerns};

use crate::front::{Front, Pointer, hook, probe};
use crate::identity;
use crate::kinds::BPFFS;
use crate::maps::{OWN, offset};
use crate::names::{self, Name};
use crate::node::{Opened, called, thing};
use crate::open::named;
use crate::rule::{Object, Voice, against};

hook!(bpf_map, 2, map);
hook!(bpf_prog, 1, program);
hook!(inode_unlink, 2, unlink);
hook!(inode_rmdir, 2, unlink);
// A hook of LSM has no flags, the kernel's function has.
hook!(inode_rename__4, 4, rename);
hook!(inode_rename__5, 5, rename);

/// What a guard of the enforcer's own answers.
#[inline(always)]
pub fn own<F: Front>(vector: Vector, object: &Object) -> i32 {
    let subject = identity::current();
    if !concerns(Guard::Own, subject, object.tag) {
        return 0;
    }
    against::<F>(vector, subject, object, Voice::Aloud)
}

/// Whether this is a part of the enforcer.
#[inline(always)]
pub fn is(part: Part, number: u64) -> bool {
    // SAFETY: only whether it is there is looked at.
    unsafe { OWN.get(Own::new(part, number)) }.is_some()
}

/// `bpf_map(map, mode)`: a descriptor of a map is about to be made.
#[inline(always)]
fn map<F: Front>(front: &F) -> i32 {
    let map = front.pointer(0);
    let number = offset!(bpf_map_id).and_then(|at| F::read::<u32>(map, at)).map_or(0, u64::from);
    if is(Part::Map, number) { own::<F>(Vector::OwnMap, &thing(number)) } else { 0 }
}

/// `bpf_prog(program)`: likewise.
#[inline(always)]
fn program<F: Front>(front: &F) -> i32 {
    let number = program_number::<F>(front.pointer(0)).unwrap_or(0);
    if is(Part::Program, number) { own::<F>(Vector::OwnProgram, &thing(number)) } else { 0 }
}

#[inline(always)]
fn program_number<F: Front>(program: Pointer) -> Option<u64> {
    let more: Pointer = F::read(program, offset!(bpf_prog_aux)?)?;
    F::read::<u32>(more, offset!(bpf_prog_aux_id)?).map(u64::from)
}

/// linux/bpf.h: `BPF_OBJ_GET`, `BPF_LINK_GET_FD_BY_ID`.
const OBJECT_GET: u32 = 7;
const LINK_BY_NUMBER: u32 = 30;

/// What `bpf(2)` is asked for, beside loading. A link has no hook of its own.
#[inline(always)]
pub fn command<F: Front>(command: u32, attributes: Pointer) -> i32 {
    match command {
        LINK_BY_NUMBER => {
            let number = u64::from(probe::<u32>(attributes, 0).unwrap_or(0));
            if is(Part::Link, number) { own::<F>(Vector::OwnProgram, &thing(number)) } else { 0 }
        }
        OBJECT_GET => by_path::<F>(attributes),
        _ => 0,
    }
}

/// Where pins are, as everybody calls it: compared by words, the last one in part.
const PINS: [u64; 3] = words(b"/sys/fs/bpf/cloudtaser\0\0");

const fn words(text: &[u8; 24]) -> [u64; 3] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x] = *text;
    [
        u64::from_le_bytes([a, b, c, d, e, f, g, h]),
        u64::from_le_bytes([i, j, k, l, m, n, o, p]),
        u64::from_le_bytes([q, r, s, t, u, v, w, x]),
    ]
}

/// A link that is opened by the usual name of its pin. By another name it can be opened; it serves for nothing: links of
/// tracing and of LSM cannot be detached or changed by anybody.
#[inline(always)]
fn by_path<F: Front>(attributes: Pointer) -> i32 {
    let Some(path) = probe::<*const u8>(attributes, 0) else { return 0 };
    let mut name = [0_u64; 3];
    // SAFETY: into our own bytes, at most as many as they are.
    let read = unsafe {
        aya_ebpf::helpers::generated::bpf_probe_read_user_str(name.as_mut_ptr().cast(), 23, path.cast())
    };
    // At least the folder; what follows its name in the last word is a slash, or nothing.
    let differs = (name[0] ^ PINS[0]) | (name[1] ^ PINS[1]) | ((name[2] ^ PINS[2]) & 0x0000_ffff_ffff_ffff);
    if read < 22 || differs != 0 {
        return 0;
    }
    own::<F>(Vector::OwnPin, &thing(OBJECT_GET.into()))
}

/// `inode_unlink(folder, entry)`, `inode_rmdir(folder, entry)`.
#[inline(always)]
fn unlink<F: Front>(front: &F) -> i32 {
    pin::<F>(front.pointer(0), front.pointer(1))
}

/// `inode_rename(folder, entry, to, as)`: neither away, nor something else over it.
#[inline(always)]
fn rename<F: Front>(front: &F) -> i32 {
    pin::<F>(front.pointer(0), front.pointer(1))
}

/// The folder tells the file system; in bpffs, whose root has other folders too, ours has a name of its own.
#[inline(always)]
fn pin<F: Front>(folder: Pointer, entry: Pointer) -> i32 {
    if !pins::<F>(folder) {
        return 0;
    }
    let name = names::of_entry::<F>(entry).unwrap_or_default();
    if !ours::<F>(entry) {
        return 0;
    }
    own::<F>(Vector::OwnPin, &called(0, &name))
}

/// Whether an inode is in the file system of our pins.
#[inline(always)]
pub fn pins<F: Front>(inode: Pointer) -> bool {
    match names::file_system::<F>(inode) {
        Some((superblock, BPFFS)) => {
            names::device::<F>(superblock).is_some_and(|device| is(Part::FileSystem, device))
        }
        _ => false,
    }
}

/// Whether an entry is our folder, or in it, at most three deep. What is not there yet has no inode.
#[inline(always)]
pub fn ours<F: Front>(entry: Pointer) -> bool {
    let mut entry = entry;
    for _ in 0..4 {
        let inode = offset!(dentry_inode).and_then(|at| F::read::<Pointer>(entry, at));
        let number = inode.filter(|inode| !inode.is_null());
        let number = number.and_then(|inode| probe::<u64>(inode, offset!(inode_ino)?));
        if number.is_some_and(|number| is(Part::Pins, number)) {
            return true;
        }
        let parent = offset!(dentry_parent).and_then(|at| F::read::<Pointer>(entry, at));
        let Some(parent) = parent else { return true };
        entry = parent;
    }
    false
}

const KILL: Name = named("cgroup.kill");
const FREEZE: Name = named("cgroup.freeze");
const FREEZER: Name = named("freezer.state");
const MEMORY: Name = named("memory.max");
const MEMORY_HIGH: Name = named("memory.high");
const PROCESSOR: Name = named("cpu.max");
const WEIGHT: Name = named("cpu.weight");
const IDLE: Name = named("cpu.idle");
const PROCESSORS: Name = named("cpuset.cpus");
const PROCESSES: Name = named("pids.max");
const DEVICES: Name = named("io.max");

/// A file of a control group that is opened for writing: what kills or freezes the enforcer with everybody below; in its own
/// group what starves it; and in those above, where kubelet sets limits, likewise, but for who is trusted.
#[inline(always)]
pub fn cgroup_file<F: Front>(file: &Opened) -> i32 {
    let starves = match file.word() {
        KILL | FREEZE | FREEZER => false,
        MEMORY | MEMORY_HIGH | PROCESSOR | WEIGHT | IDLE | PROCESSORS | PROCESSES | DEVICES => true,
        _ => return 0,
    };
    let Some(number) = group::<F>(file).filter(|number| is(Part::Cgroup, *number)) else { return 0 };
    let object = called(number, &file.name);
    if starves && !is(Part::Home, number) {
        return crate::node::guarded::<F>(Vector::CgroupStarve, &object);
    }
    own::<F>(Vector::CgroupKill, &object)
}

/// The number of a control group is that of its folder's inode.
#[inline(always)]
fn group<F: Front>(file: &Opened) -> Option<u64> {
    let inode: Pointer = F::read(file.folder::<F>()?, offset!(dentry_inode)?)?;
    F::read(inode, offset!(inode_ino)?)
}

/// How many groups above one are guarded.
const ABOVE: usize = 12;

/// The enforcer loads a program: the control groups that it is in are known to the kernel better than to itself, who may see
/// its own as the topmost.
#[inline(always)]
pub fn at_home() {
    for level in 0..12 {
        // SAFETY: the helper looks at nothing but the current task.
        let number = unsafe { aya_ebpf::helpers::generated::bpf_get_current_ancestor_cgroup_id(level) };
        if number != 0 {
            // Full: what was there stays guarded.
            let _full = OWN.insert(Own::new(Part::Cgroup, number), 1, 0);
        }
    }
    // SAFETY: likewise.
    let number = unsafe { aya_ebpf::helpers::generated::bpf_get_current_cgroup_id() };
    let _full = OWN.insert(Own::new(Part::Home, number), 1, 0);
}

/// The enforcer was put into another control group, by somebody or by itself.
#[inline(always)]
pub fn moved_to(group: Pointer) -> Option<()> {
    let own = offset!(cgroup_self)?;
    let mut group = group;
    for level in 0..ABOVE {
        let node: Pointer = probe(group, offset!(cgroup_kn)?)?;
        let number: u64 = probe(node, offset!(kernfs_node_id)?)?;
        // Full: what was there stays guarded.
        let _full = OWN.insert(Own::new(Part::Cgroup, number), 1, 0);
        if level == 0 {
            let _full = OWN.insert(Own::new(Part::Home, number), 1, 0);
        }
        let parent: Pointer = probe(group, own + offset!(css_parent)?)?;
        if parent.is_null() {
            return Some(());
        }
        group = parent.wrapping_byte_sub(own);
    }
    Some(())
}
