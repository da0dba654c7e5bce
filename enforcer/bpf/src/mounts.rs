//! Mounts. What is in a file system is guarded by what it is, through whichever mount; so nearly all mounts are nobody's
//! business, and runtimes make them all day. Left are: what hides a protected process or the enforcer's pins from those who look
//! for them, what makes the pins go away, and file systems that show the whole kernel, made anew.

use enforcer_abi::{Part, Tag, Vector, role};

use crate::front::{Front, Pointer, hook, numbered, probe};
use crate::identity;
use crate::kinds::{DEBUGFS, PROC, TRACEFS};
use crate::maps::offset;
use crate::names;
use crate::node::{guarded, thing};
use crate::own::{self, own};
use crate::procfs;
use crate::rule::Object;

hook!(sb_mount, 5, mount);
hook!(sb_kern_mount, 1, made);
hook!(sb_remount, 2, remount);
hook!(sb_umount, 2, unmount);
hook!(move_mount, 2, moved);

/// `MS_BIND` (linux/mount.h).
const BIND: u64 = 4096;

/// `sb_mount(device, path, kind, flags, data)`.
#[inline(always)]
fn mount<F: Front>(front: &F) -> i32 {
    let ruling = covered::<F>(front.pointer(1));
    if ruling != 0 || front.argument(3) & BIND == 0 {
        return ruling;
    }
    match named_process(front.pointer(0)) {
        Some((tag, pid)) if protected(tag) && first_numbers() => mounted::<F>(tag, pid),
        _ => 0,
    }
}

/// `move_mount(from, to)`.
#[inline(always)]
fn moved<F: Front>(front: &F) -> i32 {
    let from = entry::<F>(front.pointer(0)).and_then(inode::<F>);
    if let Some((tag, pid)) = from.and_then(owner::<F>) {
        if protected(tag) {
            return mounted::<F>(tag, pid);
        }
    }
    if offset!(path_mnt).and_then(|at| F::read::<Pointer>(front.pointer(0), at)).is_some_and(holds_pins::<F>)
    {
        return own::<F>(Vector::OwnPin, &thing(0));
    }
    covered::<F>(front.pointer(1))
}

/// Something is mounted over what is there: over a protected process's files, or over our pins.
#[inline(always)]
fn covered<F: Front>(path: Pointer) -> i32 {
    let Some(entry) = entry::<F>(path) else { return 0 };
    let Some(inode) = inode::<F>(entry) else { return 0 };
    if own::pins::<F>(inode) {
        return if own::ours::<F>(entry) { own::<F>(Vector::OwnPin, &thing(0)) } else { 0 };
    }
    match owner::<F>(inode) {
        Some((tag, pid)) if protected(tag) => mounted::<F>(tag, pid),
        _ => 0,
    }
}

#[inline(always)]
fn entry<F: Front>(path: Pointer) -> Option<Pointer> {
    F::read(path, offset!(path_dentry)?)
}

#[inline(always)]
fn inode<F: Front>(entry: Pointer) -> Option<Pointer> {
    F::read(entry, offset!(dentry_inode)?)
}

/// Whose inode of procfs it is.
#[inline(always)]
fn owner<F: Front>(inode: Pointer) -> Option<(Tag, u32)> {
    if crate::open::magic::<F>(inode) == Some(PROC) { procfs::owner(inode) } else { None }
}

#[inline(always)]
fn protected(tag: Tag) -> bool {
    tag.is(role::PROTECTED | role::ENFORCER | role::DECOY) && !identity::current().with(tag)
}

#[inline(always)]
fn mounted<F: Front>(tag: Tag, pid: u32) -> i32 {
    guarded::<F>(Vector::Mount, &Object::of(tag, pid))
}

/// The process of `/proc/NUMBER`, where a path begins so. A path can be written in many ways: this catches who makes no effort.
#[inline(always)]
fn named_process(path: Pointer) -> Option<(Tag, u32)> {
    let text: [u8; 14] = probe(path, 0)?;
    if text[..6] != *b"/proc/" {
        return None;
    }
    let mut number = 0_u32;
    for digit in &text[6..] {
        if !digit.is_ascii_digit() {
            break;
        }
        number = number.wrapping_mul(10).wrapping_add(u32::from(digit - b'0'));
    }
    (number != 0).then(|| (numbered(number), number))
}

/// Whether the caller counts processes as the whole node does. A container with numbers of its own sees its own alone in a
/// procfs that it mounts.
#[inline(always)]
fn first_numbers() -> bool {
    let level = || {
        // SAFETY: the current task is always there.
        let task = unsafe { aya_ebpf::helpers::generated::bpf_get_current_task_btf() } as Pointer;
        let pid: Pointer = probe(task, offset!(task_thread_pid)?)?;
        probe::<u32>(pid, offset!(pid_level)?)
    };
    level() == Some(0)
}

/// `sb_kern_mount(superblock)`: a file system is made for a mount, by `mount(2)` or by `fsconfig(2)`.
#[inline(always)]
fn made<F: Front>(front: &F) -> i32 {
    shows_all::<F>(front.pointer(0))
}

/// `sb_remount(superblock, options)`.
#[inline(always)]
fn remount<F: Front>(front: &F) -> i32 {
    let superblock = front.pointer(0);
    if names::device::<F>(superblock).is_some_and(|device| own::is(Part::FileSystem, device)) {
        return own::<F>(Vector::OwnPin, &thing(0));
    }
    shows_all::<F>(superblock)
}

#[inline(always)]
fn shows_all<F: Front>(superblock: Pointer) -> i32 {
    let magic = offset!(sb_magic).and_then(|at| F::read::<u64>(superblock, at)).unwrap_or(0);
    match magic {
        TRACEFS | DEBUGFS => guarded::<F>(Vector::Mount, &thing(magic)),
        PROC if first_numbers() => guarded::<F>(Vector::Mount, &thing(magic)),
        _ => 0,
    }
}

/// `sb_umount(mount, flags)`: with the last mount of it, the file system goes, and all its pins. With a mount, all go that
/// are below it, and where it has peers, theirs.
#[inline(always)]
fn unmount<F: Front>(front: &F) -> i32 {
    if holds_pins::<F>(front.pointer(0)) { own::<F>(Vector::OwnPin, &thing(1)) } else { 0 }
}

#[inline(always)]
fn holds_pins<F: Front>(mount: Pointer) -> bool {
    let superblock = offset!(vfsmount_sb).and_then(|at| F::read::<Pointer>(mount, at));
    if superblock.and_then(names::device::<F>).is_some_and(|device| own::is(Part::FileSystem, device)) {
        return true;
    }
    let numbers = || {
        let whole = mount.wrapping_byte_sub(offset!(mount_mnt)?);
        Some((probe::<u32>(whole, offset!(mount_id)?)?, probe::<u32>(whole, offset!(mount_group)?)?))
    };
    let Some((number, peers)) = numbers() else { return false };
    own::is(Part::Mount, u64::from(number)) || (peers != 0 && own::is(Part::Peers, u64::from(peers)))
}
