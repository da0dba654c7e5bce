//! A process that asks whether it is protected and alone, as procfs does not show it: an iterator over all open files.
//!
//! Read by the loader when somebody asks, and by nobody else; it refuses nothing.

use core::ffi::c_void;

use aya_ebpf::bindings::seq_file;
use aya_ebpf::helpers::generated::bpf_seq_write;
use enforcer_abi::{Seen, Tag};

use crate::front::{Front as _, Pointer, Typed, numbered, probe};
use crate::maps::{SOUGHT, offset};
use crate::process::is_measured;
use crate::procfs::closed_file_of;

/// Filters of system calls that are looked at; a container has one or two.
const FILTERS: usize = 32;

/// `bpf_iter__task_file` of the kernel: what is said about the iteration, a task, the number of a descriptor, its file.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
pub fn look(ctx: *mut c_void) -> i32 {
    let words = ctx.cast::<Pointer>();
    // SAFETY: the context has four words; the verifier checks it.
    let [meta, task, file] = unsafe { [*words, *words.add(1), *words.add(3)] };
    if task.is_null() || file.is_null() {
        return 0;
    }
    if let (Some(seen), Some(seq)) = (seen(task, file), Typed::read::<*mut seq_file>(meta, 0)) {
        // SAFETY: the iteration's own buffer, and a record of ours; where it is full the kernel comes again.
        unsafe { bpf_seq_write(seq, (&raw const seen).cast(), size_of::<Seen>() as u32) };
    }
    0
}

#[inline(always)]
fn seen(task: Pointer, file: Pointer) -> Option<Seen> {
    let sought = *SOUGHT.get(0)?;
    let tgid: u32 = Typed::read(task, offset!(task_tgid)?)?;
    if tgid == sought {
        return itself(task);
    }
    if closed_file_of::<Typed<'_>>(file)? != sought {
        return None;
    }
    let (of, by) = (numbered(sought), numbered(tgid));
    if of != Tag::NONE && by.with(of) {
        return None;
    }
    Some(Seen { kind: Seen::FOREIGN, pid: tgid, executed: 0, wrong: 0, device: 0, inode: 0 })
}

#[inline(always)]
fn itself(task: Pointer) -> Option<Seen> {
    let memory: Pointer = Typed::read(task, offset!(task_mm)?)?;
    let program: Pointer = probe(memory, offset!(mm_exe_file)?)?;
    let inode: Pointer = probe(program, offset!(file_inode)?)?;
    let superblock: Pointer = probe(inode, offset!(inode_sb)?)?;
    let supervised = if is_supervised(task)? { Seen::SUPERVISED } else { 0 };
    let measured = if is_measured(task) { Seen::MEASURED } else { 0 };
    Some(Seen {
        kind: Seen::ITSELF,
        pid: 0,
        executed: Typed::read(task, offset!(task_executed)?)?,
        wrong: supervised | measured,
        device: u64::from(probe::<u32>(superblock, offset!(sb_dev)?)?),
        inode: probe(inode, offset!(inode_ino)?)?,
    })
}

/// Whether one of its filters asks somebody.
#[inline(always)]
fn is_supervised(task: Pointer) -> Option<bool> {
    let (before, notif) = (offset!(filter_before)?, offset!(filter_notif)?);
    let mut filter: Pointer = probe(task, offset!(task_filter)?)?;
    for _ in 0..FILTERS {
        if filter.is_null() {
            return Some(false);
        }
        if !probe::<Pointer>(filter, notif)?.is_null() {
            return Some(true);
        }
        filter = probe(filter, before)?;
    }
    // More than we look at: who knows.
    Some(true)
}
