//! Secret memory as a descriptor (`memfd_secret`): it does not leave the group that made it, over whatever socket, and who has
//! got it by other ways cannot map it.
//!
//! Its files have no owner in the kernel's eyes, so makers are remembered by the inode's address, and by its number, should the
//! address be used again.

use enforcer_abi::share::Table;
use enforcer_abi::{Tag, Vector, role};

use crate::front::{Front, Pointer, hook, probe, uneven_hook, void_hook};
use crate::identity;
use crate::kinds::SECRETMEM;
use crate::maps::{MADE, Made, offset};
use crate::open::{inode, magic};
use crate::rule::{Object, Voice, ruled};
use crate::share;

/// When nobody could be remembered any more, or its group has made its share: as `memfd_secret` says that there is no memory.
const ENOMEM: i32 = -12;

hook!(file_receive, 1, received);
uneven_hook!(mmap_file, mapped);
void_hook!(inode_free_security, freed);

/// A protected process makes one.
#[inline(always)]
pub fn made<F: Front>(inode: Pointer, maker: Tag) -> i32 {
    if !maker.is(role::PROTECTED | role::DECOY) {
        return 0;
    }
    let number = number::<F>(inode).unwrap_or(0);
    remembered::<F>(inode, Made { tag: maker, number })
}

#[inline(always)]
fn remembered<F: Front>(inode: Pointer, made: Made) -> i32 {
    if share::refused::<F>(Table::Made, made.tag) || !share::made(inode as u64, made) { ENOMEM } else { 0 }
}

/// `file_receive(file)`: a descriptor arrives, over a socket or by `pidfd_getfd`.
#[inline(always)]
pub fn received<F: Front>(front: &F) -> i32 {
    let Some(inode) = inode::<F>(front.pointer(0)) else { return 0 };
    if magic::<F>(inode) != Some(SECRETMEM) {
        return 0;
    }
    judged::<F>(inode, number::<F>(inode))
}

/// `mmap_file(file, ...)`: a mapping without a file has none here, which only a careful read bears.
#[inline(always)]
pub fn mapped<F: Front>(front: &F) -> i32 {
    let Some(inode) = offset!(file_inode).and_then(|at| probe::<Pointer>(front.pointer(0), at)) else {
        return 0;
    };
    let superblock = offset!(inode_sb).and_then(|at| probe::<Pointer>(inode, at));
    let magic = offset!(sb_magic).and_then(|at| probe::<u64>(superblock?, at));
    if magic != Some(SECRETMEM) {
        return 0;
    }
    let number = offset!(inode_ino).and_then(|at| probe::<u64>(inode, at));
    let subject = identity::current();
    if maker(inode, number).is_none() && subject.is(role::PROTECTED | role::DECOY) {
        // Made before it was protected, or on a kernel that does not tell of the making: who maps it first is its maker.
        return remembered::<F>(inode, Made { tag: subject, number: number.unwrap_or(0) });
    }
    judged::<F>(inode, number)
}

#[inline(always)]
fn judged<F: Front>(inode: Pointer, number: Option<u64>) -> i32 {
    match maker(inode, number) {
        Some(tag) => ruled::<F>(Vector::SecretReceive, &Object::of(tag, 0), Voice::Aloud),
        None => 0,
    }
}

/// Who made it; `None`: nobody protected.
#[inline(always)]
fn maker(inode: Pointer, number: Option<u64>) -> Option<Tag> {
    // SAFETY: read once; an inode that is in use is not forgotten meanwhile.
    let made = unsafe { MADE.get(inode as u64) }?;
    (number == Some(made.number)).then_some(made.tag)
}

#[inline(always)]
fn number<F: Front>(inode: Pointer) -> Option<u64> {
    F::read(inode, offset!(inode_ino)?)
}

/// `inode_free_security(inode)`: the address is free.
#[inline(always)]
pub fn freed<F: Front>(front: &F) -> i32 {
    let inode = front.pointer(0);
    if magic::<F>(inode) == Some(SECRETMEM) {
        share::unmade(inode as u64);
    }
    0
}
