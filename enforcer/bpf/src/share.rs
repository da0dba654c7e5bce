//! Shares: the tables in which protected processes are known, and what they made, have so many entries, and no group takes
//! another's.
//!
//! Counted is exactly what is in a table: an entry counts when it comes and when it goes, once, however many enforcers look on
//! (one takes over from another). A group without room forks no more, and makes nothing more; see `enforcer_abi::share`.

use enforcer_abi::share::{Share, Table, may_grow};
use enforcer_abi::{Tag, Vector};

use crate::front::Front;
use crate::maps::{FILL, MADE, Made, PIDS, SHARES, setting};
use crate::rule::{Object, Voice, ruled};

/// `BPF_NOEXIST` (linux/bpf.h).
const NEW: u64 = 1;
/// Forks that may be on their way at once, between the question and the entry.
const ON_THE_WAY: i64 = 64;

/// Whether a group that wants one more is refused it.
#[inline(always)]
pub fn refused<F: Front>(table: Table, tag: Tag) -> bool {
    let slack = if matches!(table, Table::Tasks) { ON_THE_WAY } else { 0 };
    if room(table, tag.group, slack) {
        return false;
    }
    let object = Object { detail: u64::from(table.number()), ..Object::of(tag, 0) };
    ruled::<F>(Vector::GroupShare, &object, Voice::Aloud) != 0
}

/// Enters a process or a thread by its number. Without room it is not known by it; its tag it has all the same.
#[inline(always)]
pub fn enter(pid: u32, tag: Tag) {
    let entry = Tag { becoming: tag.becoming | Tag::COUNTED, ..tag };
    // SAFETY: read once, and copied.
    let before = unsafe { PIDS.get(pid) }.copied();
    match before {
        Some(before) if before.becoming & Tag::COUNTED != 0 => {
            if before.group != tag.group {
                add(Table::Tasks, before.group, -1);
                add(Table::Tasks, tag.group, 1);
            }
            let _there = PIDS.insert(pid, entry, 0);
        }
        _ if room(Table::Tasks, tag.group, 0) => {
            if PIDS.insert(pid, entry, 0).is_ok() {
                add(Table::Tasks, tag.group, 1);
            }
        }
        _ => {}
    }
}

/// Nobody is known by this number any more.
#[inline(always)]
pub fn leave(pid: u32) {
    // SAFETY: read once, and copied.
    let Some(before) = unsafe { PIDS.get(pid) }.copied() else { return };
    if PIDS.remove(pid).is_ok() && before.becoming & Tag::COUNTED != 0 {
        add(Table::Tasks, before.group, -1);
    }
}

/// Remembers who made what is at this address. Whether it is remembered.
#[inline(always)]
pub fn made(address: u64, made: Made) -> bool {
    // The address was another's, of which the end was not seen.
    unmade(address);
    let remembered = MADE.insert(address, made, 0).is_ok();
    if remembered {
        add(Table::Made, made.tag.group, 1);
    }
    remembered
}

/// It is no more.
#[inline(always)]
pub fn unmade(address: u64) {
    // SAFETY: read once, and copied.
    let Some(before) = unsafe { MADE.get(address) }.copied() else { return };
    if MADE.remove(address).is_ok() {
        add(Table::Made, before.tag.group, -1);
    }
}

#[inline(always)]
fn room(table: Table, group: u64, slack: i64) -> bool {
    // SAFETY: read once, and copied; a count that is a moment old does.
    let own = unsafe { SHARES.get(group) }.copied().unwrap_or_default();
    let total = FILL.get(table.number()).copied().unwrap_or(0);
    let (own, share) = match table {
        Table::Tasks => (own.tasks, setting!(share)),
        Table::Made => (own.made, enforcer_abi::share::MADE),
    };
    may_grow(own.wrapping_add(slack), total.wrapping_add(slack), share)
}

#[inline(always)]
fn add(table: Table, group: u64, more: i64) {
    if let Some(total) = FILL.get_ptr_mut(table.number()) {
        atomically(total, more);
    }
    if SHARES.get_ptr(group).is_none() {
        // Another processor may be first: then it is there, too.
        let _there = SHARES.insert(group, Share::default(), NEW);
    }
    let Some(share) = SHARES.get_ptr_mut(group) else { return };
    // SAFETY: fields of an element of the map; only their addresses are taken.
    let place = unsafe {
        match table {
            Table::Tasks => &raw mut (*share).tasks,
            Table::Made => &raw mut (*share).made,
        }
    };
    atomically(place, more);
    // SAFETY: an element of the map.
    let left = unsafe { *share };
    if more < 0 && left.tasks <= 0 && left.made <= 0 {
        let _absent = SHARES.remove(group);
    }
}

/// Adds to a count that other processors add to as well.
#[inline(always)]
pub fn atomically(place: *mut i64, more: i64) {
    // SAFETY: one instruction, on eight bytes of a map that the verifier knows.
    unsafe {
        core::arch::asm!(
            "lock *(u64 *)({place} + 0) += {more}",
            place = in(reg) place,
            more = in(reg) more,
        );
    }
}
