//! System V shared memory: what a protected process made, only its group attaches.
//!
//! The kernel knows the maker's user alone, so makers are remembered by the segment's address until it is freed.

use enforcer_abi::share::Table;
use enforcer_abi::{Tag, Vector, role};

use crate::front::{Front, hook, void_hook};
use crate::identity;
use crate::maps::{MADE, Made};
use crate::rule::{Object, Voice, ruled};
use crate::share;

/// When nobody could be remembered any more, or its group has made its share: as shmget(2) says that there is no room.
const ENOSPC: i32 = -28;

hook!(shm_alloc_security, 1, made);
hook!(shm_shmat, 3, attached);
void_hook!(shm_free_security, freed);

/// `shm_alloc_security(segment)`.
#[inline(always)]
pub fn made<F: Front>(front: &F) -> i32 {
    let tag = identity::current();
    if !tag.is(role::PROTECTED | role::DECOY) {
        return 0;
    }
    let made = Made { tag, number: 0 };
    if share::refused::<F>(Table::Made, tag) || !share::made(front.argument(0), made) { ENOSPC } else { 0 }
}

/// `shm_shmat(segment, address, flags)`.
#[inline(always)]
pub fn attached<F: Front>(front: &F) -> i32 {
    // SAFETY: read once; a segment that is in use is not forgotten meanwhile.
    let tag = unsafe { MADE.get(front.argument(0)) }.map_or(Tag::NONE, |made| made.tag);
    ruled::<F>(Vector::SharedMemory, &Object::of(tag, 0), Voice::Aloud)
}

/// `shm_free_security(segment)`: the address is free.
#[inline(always)]
pub fn freed<F: Front>(front: &F) -> i32 {
    share::unmade(front.argument(0));
    0
}
