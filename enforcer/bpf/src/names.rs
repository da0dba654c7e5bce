//! Names of files as numbers, to be compared in one step; and what a file of the guards' is found by.

use crate::front::{Front, Pointer};
use crate::maps::offset;

/// A name as a number: see [`crate::open::named`].
pub type Name = u128;

/// The name of a directory entry.
#[inline(always)]
pub fn of_entry<F: Front>(entry: Pointer) -> Option<[u8; 16]> {
    crate::open::text(F::read(entry, offset!(dentry_name)?)?)
}

/// The file system of an inode: its structure, and which kind it is.
#[inline(always)]
pub fn file_system<F: Front>(inode: Pointer) -> Option<(Pointer, u64)> {
    let superblock: Pointer = F::read(inode, offset!(inode_sb)?)?;
    let magic = F::read::<u64>(superblock, offset!(sb_magic)?)?;
    Some((superblock, magic))
}

/// The device of a file system.
#[inline(always)]
pub fn device<F: Front>(superblock: Pointer) -> Option<u64> {
    F::read::<u32>(superblock, offset!(sb_dev)?).map(u64::from)
}
