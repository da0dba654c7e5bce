//! In which control groups protected processes live. A hint, and never a ground for trust: see `cgroupfs`.
//!
//! For each such group: whose processes, how many, and which groups are above it; so one look finds who lives in a group, and
//! who lives below one is found among the groups, not among all processes.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::{bpf_for_each_map_elem, bpf_probe_read_kernel};
use enforcer_abi::Tag;

use crate::front::{Front, Pointer, probe};
use crate::maps::{CROWDS, Crowd, HOMES, Home, LEVELS, offset};
use crate::rule::Object;

/// `BPF_NOEXIST` (linux/bpf.h).
const NEW: u64 = 1;
/// The number of the topmost control group in its file system.
const TOPMOST: u64 = 1;

/// Remembers in which control group a tagged process is.
#[inline(always)]
pub fn settle<F: Front>(task: Pointer, tgid: u32, tag: Tag) {
    let _unread = settled::<F>(task, tgid, tag);
}

#[inline(always)]
fn settled<F: Front>(task: Pointer, tgid: u32, tag: Tag) -> Option<()> {
    let group = group::<F>(task)?;
    let cgroup = number(group)?;
    // SAFETY: read once, and copied.
    let before = unsafe { HOMES.get(tgid) }.copied();
    if before.is_some_and(|before| before.cgroup == cgroup) {
        return Some(());
    }
    // Full: a hint is missing.
    HOMES.insert(tgid, Home { cgroup, tag }, 0).ok()?;
    if let Some(before) = before {
        gone(before.cgroup);
    }
    come(group, cgroup, tgid, tag);
    Some(())
}

/// It has ended.
#[inline(always)]
pub fn leave(tgid: u32) {
    // SAFETY: read once, and copied.
    let Some(home) = unsafe { HOMES.get(tgid) }.copied() else { return };
    if HOMES.remove(tgid).is_ok() {
        gone(home.cgroup);
    }
}

#[inline(always)]
fn come(group: Pointer, cgroup: u64, pid: u32, tag: Tag) {
    if CROWDS.get_ptr(cgroup).is_none() {
        let crowd = Crowd { tag, pid, reserved: 0, count: 0, above: above(group) };
        let _there = CROWDS.insert(cgroup, crowd, NEW);
    }
    let Some(crowd) = CROWDS.get_ptr_mut(cgroup) else { return };
    // SAFETY: an element of the map; of several groups in it none is everybody's.
    unsafe {
        if (*crowd).tag.group != tag.group {
            (*crowd).tag.group = 0;
        }
        crate::share::atomically(&raw mut (*crowd).count, 1);
    }
}

#[inline(always)]
fn gone(cgroup: u64) {
    let Some(crowd) = CROWDS.get_ptr_mut(cgroup) else { return };
    // SAFETY: an element of the map.
    let left = unsafe {
        crate::share::atomically(&raw mut (*crowd).count, -1);
        (*crowd).count
    };
    if left <= 0 {
        let _absent = CROWDS.remove(cgroup);
    }
}

/// The control group that a task is in, by its number.
#[inline(always)]
pub fn of<F: Front>(task: Pointer) -> Option<u64> {
    number(group::<F>(task)?)
}

#[inline(always)]
fn group<F: Front>(task: Pointer) -> Option<Pointer> {
    let set: Pointer = F::read(task, offset!(task_cgroups)?)?;
    F::read(set, offset!(css_set_dfl_cgrp)?)
}

#[inline(always)]
fn number(group: Pointer) -> Option<u64> {
    let node: Pointer = probe(group, offset!(cgroup_kn)?)?;
    probe(node, offset!(kernfs_node_id)?)
}

/// The groups above one. Numbers are read without asking whether that went well, or each would be two paths for those that come
/// after: what cannot be read is 0.
#[inline(always)]
fn above(group: Pointer) -> [u64; LEVELS] {
    let mut numbers = [0; LEVELS];
    let (Some(own), Some(up)) = (offset!(cgroup_self), offset!(css_parent)) else { return numbers };
    let (Some(node), Some(id)) = (offset!(cgroup_kn), offset!(kernfs_node_id)) else { return numbers };
    let mut group = group;
    for place in &mut numbers {
        let Some(parent) = probe::<Pointer>(group, own + up).filter(|parent| !parent.is_null()) else {
            break;
        };
        group = parent.wrapping_byte_sub(own);
        let mut of = 0_u64;
        copied(&mut of, group.wrapping_byte_add(node));
        copied(place, (of as Pointer).wrapping_byte_add(id));
    }
    numbers
}

#[inline(always)]
fn copied(to: &mut u64, from: Pointer) {
    // SAFETY: eight bytes, into eight; the helper faults for nobody.
    unsafe { bpf_probe_read_kernel((&raw mut *to).cast(), 8, from) };
}

/// A protected process that lives in a control group; without a tag: none does.
#[inline(always)]
pub fn inhabitant(cgroup: u64) -> Object {
    // SAFETY: read once.
    let crowd = unsafe { CROWDS.get(cgroup) };
    let (tag, pid) = crowd.map_or((Tag::NONE, 0), |crowd| (crowd.tag, crowd.pid));
    Object { detail: cgroup, ..Object::of(tag, pid) }
}

/// A protected process that lives in a control group, or below it. Walks the groups that there are: for what is rare.
#[inline(always)]
pub fn below(cgroup: u64) -> Object {
    let here = inhabitant(cgroup);
    // What all of the machine does is another guard's.
    if here.tag != Tag::NONE || cgroup == TOPMOST {
        return here;
    }
    let mut search = Search { cgroup, tag: Tag::NONE, pid: 0 };
    // SAFETY: the map and the function are what the helper takes, and the search outlives the call.
    unsafe {
        bpf_for_each_map_elem(
            (&raw const CROWDS).cast_mut().cast(),
            lives_below as *const () as *mut c_void,
            (&raw mut search).cast(),
            0,
        );
    }
    Object { detail: cgroup, ..Object::of(search.tag, search.pid) }
}

/// Who is looked for, and found.
struct Search {
    cgroup: u64,
    tag: Tag,
    pid: u32,
}

#[inline(never)]
extern "C" fn lives_below(_: *mut c_void, _: *const u64, crowd: *const Crowd, search: *mut Search) -> i64 {
    // SAFETY: the kernel passes an element of the map, and what the caller gave.
    let (crowd, search) = unsafe { (&*crowd, &mut *search) };
    let mut found = 0;
    for level in 0..LEVELS {
        found |= u64::from(crowd.above[level] == search.cgroup);
    }
    if found == 0 {
        return 0;
    }
    search.tag.group = crowd.tag.group;
    search.tag.roles = crowd.tag.roles;
    search.pid = crowd.pid;
    1
}
