//! Every file that is opened: which rule it is for, by its file system. Nearly all end here, after three steps.

use enforcer_abi::{Tag, Vector};

use crate::front::{Front, Pointer, hook};
use crate::kinds::{CGROUP, CGROUP2, PROC, WRITE};
use crate::maps::offset;
use crate::rule::{Object, Voice, ruled};
use crate::{cgroupfs, inside, procfs};

hook!(file_open, 1, opened);

/// `file_open(file)`.
#[inline(always)]
pub fn opened<F: Front>(front: &F) -> i32 {
    let file = front.pointer(0);
    if inside::dumping() {
        // A core that is being written, to a file or to a pipe.
        return ruled::<F>(Vector::CoreDump, &Object::of(Tag::NONE, 0), Voice::Aloud);
    }
    match (inode::<F>(file), file_system::<F>(file)) {
        (Some(inode), Some(PROC)) => procfs::opened::<F>(file, inode),
        (Some(_), Some(CGROUP2 | CGROUP)) => cgroupfs::opened::<F>(file),
        _ => 0,
    }
}

/// The inode of an open file.
#[inline(always)]
pub fn inode<F: Front>(file: Pointer) -> Option<Pointer> {
    F::read(file, offset!(file_inode)?)
}

/// Its file system, by its number.
#[inline(always)]
pub fn file_system<F: Front>(file: Pointer) -> Option<u64> {
    magic::<F>(inode::<F>(file)?)
}

/// The file system of an inode, by its number.
#[inline(always)]
pub fn magic<F: Front>(inode: Pointer) -> Option<u64> {
    let superblock: Pointer = F::read(inode, offset!(inode_sb)?)?;
    F::read(superblock, offset!(sb_magic)?)
}

/// Whether it is open for writing; what cannot be read is.
#[inline(always)]
pub fn writes<F: Front>(file: Pointer) -> bool {
    offset!(file_mode).and_then(|at| F::read::<u32>(file, at)).is_none_or(|mode| mode & WRITE != 0)
}

/// The directory that it lies in.
#[inline(always)]
pub fn parent<F: Front>(file: Pointer) -> Option<Pointer> {
    let entry: Pointer = F::read(file, offset!(file_dentry)?)?;
    F::read(entry, offset!(dentry_parent)?)
}

/// The first sixteen bytes of its name.
#[inline(always)]
pub fn name<F: Front>(file: Pointer) -> Option<[u8; 16]> {
    let entry: Pointer = F::read(file, offset!(file_dentry)?)?;
    let name: Pointer = F::read(entry, offset!(dentry_name)?)?;
    text(name)
}

/// The first fifteen characters of a text in the kernel, and zeros. A longer one cannot be taken for a shorter: no name that
/// rules compare it with has fifteen.
#[inline(always)]
pub fn text(at: Pointer) -> Option<[u8; 16]> {
    let mut bytes = [0_u8; 16];
    // SAFETY: into our own bytes, at most as many as they are.
    let read =
        unsafe { aya_ebpf::helpers::generated::bpf_probe_read_kernel_str(bytes.as_mut_ptr().cast(), 16, at) };
    (read > 0).then_some(bytes)
}

/// A name as one number, to be compared in one step.
#[inline(always)]
pub const fn word(name: &[u8; 16]) -> u128 {
    u128::from_le_bytes(*name)
}

/// A name in that form.
pub const fn named(name: &str) -> u128 {
    let name = name.as_bytes();
    assert!(name.len() < 15, "longer names are cut off");
    let mut bytes = [0_u8; 16];
    let mut at = 0;
    while at < name.len() {
        bytes[at] = name[at];
        at += 1;
    }
    word(&bytes)
}
