//! What a protected process sends: the head of every write and of every message, searched for its group's secrets.
//!
//! Identity first, then whether the group has registered anything. The bytes are gathered into storage of the task's own (up
//! to [`WINDOW`] bytes out of up to [`PIECES`] pieces), and searched by `enforcer_abi::leak`, whose steps the kernel takes.
//! `file_permission` knows a file and no bytes: they are where the system call's arguments say. `socket_sendmsg` is handed
//! the message; where it may sleep, pages that are not there are fetched, elsewhere they are counted as not looked at.
//!
//! Untrusted: the bytes, which another thread may change after we have looked.

use core::ffi::{c_long, c_void};

use aya_ebpf::bindings::{BPF_LOCAL_STORAGE_GET_F_CREATE, task_struct};
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::{
    bpf_copy_from_user, bpf_get_current_task_btf, bpf_loop, bpf_probe_read_kernel, bpf_probe_read_user,
    bpf_task_storage_get,
};
use aya_ebpf::macros::{btf_tracepoint, map};
use aya_ebpf::maps::{HashMap, PerCpuArray};
use aya_ebpf::programs::{BtfTracePointContext, LsmContext};
use enforcer_abi::leak::{Buffer, FRONT, Lookup, Needle, Next, Place, STEPS, Set, Unread, WINDOW, Walk};
use enforcer_abi::{Mode, Tag, Vector, role};

use crate::front::{Front, Typed};
use crate::identity;
use crate::maps::{TAGS, TaskStorage};
use crate::outgoing::{Source, Written, is_kernel, is_socket, sent, written};
use crate::rule::{self, Object, Voice};

/// What each group shall not send. Made in full, because programs that sleep may have no other kind before 6.1.
#[map]
pub static SETS: HashMap<u64, Set> = HashMap::with_max_entries(256, 0);

/// The needles of all groups.
#[map]
pub static NEEDLES: HashMap<Place, Needle> = HashMap::with_max_entries(32_768, 0);

/// Searched; searched, but for what lay beyond the window; not to be read.
#[map]
pub static SEARCHES: PerCpuArray<[u64; 3]> = PerCpuArray::with_max_entries(1, 0);
const SEARCHED: usize = 0;
const CUT: usize = 1;
const UNREAD: usize = 2;

/// Where each task's bytes are gathered.
#[unsafe(link_section = ".maps")]
#[unsafe(no_mangle)]
pub static WINDOWS: TaskStorage<Window> = TaskStorage::new();

/// Bytes on their way out, and how far the search has come. What the verifier need not follow lies here.
#[repr(C)]
pub struct Window {
    walk: Walk,
    /// Bytes gathered.
    end: u64,
    /// Bytes of the call that are still to come.
    left: u64,
    /// Bytes of the first piece that went before.
    skip: u64,
    /// Whether a piece could not be read.
    unread: u64,
    /// Whether the call before this one was sent back to try again.
    again: u64,
    buffer: Buffer,
}

/// Pieces of one call that are looked at.
const PIECES: u32 = 64;
const MAY_WRITE: u32 = 2;
const EAGAIN: i32 = -11;
const EPERM: i32 = -1;

/// How memory of the process is read.
trait Reader {
    fn read(to: *mut c_void, size: u32, from: u64) -> c_long;
}

/// By programs that may sleep: pages that are not there are fetched.
struct Patient;

impl Reader for Patient {
    #[inline(always)]
    fn read(to: *mut c_void, size: u32, from: u64) -> c_long {
        // SAFETY: the verifier checks that there is room.
        unsafe { bpf_copy_from_user(to, size, from as *const c_void) }
    }
}

/// By the others.
struct Hasty;

impl Reader for Hasty {
    #[inline(always)]
    fn read(to: *mut c_void, size: u32, from: u64) -> c_long {
        // SAFETY: likewise.
        unsafe { bpf_probe_read_user(to, size, from as *const c_void) }
    }
}

macro_rules! program {
    ($section:literal, $name:ident, $arguments:literal, $rule:expr) => {
        #[unsafe(no_mangle)]
        #[unsafe(link_section = concat!($section, stringify!($name)))]
        pub fn $name(ctx: *mut c_void) -> i32 {
            let ctx = LsmContext::new(ctx);
            let earlier: i32 = ctx.arg($arguments);
            if earlier != 0 {
                return earlier;
            }
            $rule(&Typed(&ctx))
        }
    };
}

program!("lsm/", leak_file, 2, file::<Typed<'_>>);
program!("lsm/", leak_send, 3, message::<Typed<'_>, Hasty>);
program!("lsm.s/", leak_send_patient, 3, message::<Typed<'_>, Patient>);

/// `file_permission(file, mask)`: the bytes are known only from the system call. Sockets are looked at when they send.
#[inline(always)]
fn file<F: Front>(front: &F) -> i32 {
    if front.number(1) & MAY_WRITE == 0 {
        return 0;
    }
    let Some((tag, set)) = watched() else { return 0 };
    if is_socket::<F>(front.pointer(0)) {
        return 0;
    }
    match written() {
        Written::Bytes(source) => search::<F, Hasty>(tag, set, &source),
        Written::Unseen => unread::<F>(tag, set, None),
        Written::Nothing => 0,
    }
}

/// `socket_sendmsg(socket, message, size)`: `write`, `send` and all their kin, once for each message.
#[inline(always)]
fn message<F: Front, R: Reader>(front: &F) -> i32 {
    let Some((tag, set)) = watched() else { return 0 };
    match sent(front.pointer(1)) {
        Some(source) => search::<F, R>(tag, set, &source),
        None => unread::<F>(tag, set, None),
    }
}

/// Who sends, if its group has registered something, and it is not who hands the secrets out. The canary's decoy has.
#[inline(always)]
fn watched() -> Option<(Tag, &'static Set)> {
    let tag = identity::current();
    if !tag.is(role::PROTECTED | role::DECOY) || tag.is(role::KEEPER) {
        return None;
    }
    // SAFETY: a set is replaced as a whole; who still reads the old one has asked before.
    unsafe { SETS.get(tag.group) }.map(|set| (tag, set))
}

/// What the callbacks of `bpf_loop` are given.
struct Gathering {
    window: *mut Window,
    base: u64,
    pieces: u64,
}

struct Searching {
    window: *mut Window,
    set: *const Set,
    group: u64,
}

#[inline(always)]
fn search<F: Front, R: Reader>(tag: Tag, set: &'static Set, source: &Source) -> i32 {
    let window = window();
    if window.is_null() {
        return unread::<F>(tag, set, None);
    }
    // SAFETY: the task's own, and not null.
    let (gathered, left, unread_some) = unsafe {
        (*window).end = 0;
        (*window).left = source.length;
        (*window).skip = source.skip;
        (*window).unread = 0;
        let mut gathering = Gathering { window, base: source.base, pieces: source.pieces };
        let pieces = if source.pieces == 0 { 1 } else { source.pieces.min(u64::from(PIECES)) as u32 };
        bpf_loop(pieces, gather::<R> as *mut c_void, (&raw mut gathering).cast(), 0);
        ((*window).end, (*window).left, (*window).unread)
    };
    // SAFETY: as above.
    let (detail, is_needle) = unsafe {
        (*window).walk = Walk::new(gathered as u32);
        let mut searching = Searching { window, set, group: tag.group };
        bpf_loop(STEPS, step as *mut c_void, (&raw mut searching).cast(), 0);
        ((*window).walk.detail(), (*window).walk.is_needle())
    };
    if detail != 0 {
        // A shape is a guess: it is never more than told.
        return told::<F>(tag, if is_needle { Mode::Enforce } else { Mode::Detect }, detail);
    }
    if unread_some != 0 {
        return unread::<F>(tag, set, Some(window));
    }
    let cut = if source.pieces == 0 || is_kernel(source.base) {
        left != 0
    } else {
        source.pieces > u64::from(PIECES)
    };
    count(if cut { CUT } else { SEARCHED });
    0
}

/// The task's window, made when it is first needed.
#[inline(always)]
fn window() -> *mut Window {
    // SAFETY: the current task is always there; null where there is no memory.
    unsafe {
        let task = bpf_get_current_task_btf();
        let create = u64::from(BPF_LOCAL_STORAGE_GET_F_CREATE);
        bpf_task_storage_get(WINDOWS.pointer(), task, core::ptr::null_mut(), create).cast()
    }
}

/// Gathers one piece. Ends when the window is full, or nothing is left.
#[inline(never)]
extern "C" fn gather<R: Reader>(index: u64, gathering: *mut Gathering) -> i64 {
    // SAFETY: what `search` passed.
    let (window, base, pieces) = unsafe { ((*gathering).window, (*gathering).base, (*gathering).pieces) };
    // SAFETY: likewise.
    let (end, left, skip) = unsafe { ((*window).end, (*window).left, (*window).skip) };
    if end >= WINDOW as u64 || left == 0 {
        return 1;
    }
    let Some((from, length)) = piece::<R>(base, pieces, index & 1023, left) else {
        // SAFETY: as above.
        unsafe { (*window).unread = 1 };
        return 1;
    };
    let (from, length) = (from.wrapping_add(skip), length.saturating_sub(skip).min(left));
    let mut size = length;
    if size > WINDOW as u64 - end {
        size = WINDOW as u64 - end;
    }
    // The compiler knows that it is no more; the verifier of 6.1 does not, and is shown.
    // SAFETY: a number of our own.
    let size = unsafe { core::ptr::read_volatile(&raw const size) };
    if size > WINDOW as u64 {
        return 1;
    }
    // SAFETY: the buffer has room for a whole window behind any place in the first.
    let failed = unsafe {
        let to =
            (&raw mut (*window).buffer.bytes).cast::<u8>().add(FRONT + (end & (WINDOW as u64 - 1)) as usize);
        R::read(to.cast(), size as u32, from)
    };
    // SAFETY: as above.
    unsafe {
        if failed != 0 {
            (*window).unread = 1;
            return 1;
        }
        (*window).end = end.wrapping_add(size);
        (*window).left = left.wrapping_sub(size);
        (*window).skip = 0;
    }
    i64::from(size < length)
}

/// Where a piece is, and how long.
#[inline(always)]
fn piece<R: Reader>(base: u64, pieces: u64, index: u64, left: u64) -> Option<(u64, u64)> {
    if pieces == 0 {
        return Some((base, left));
    }
    let mut piece = [0_u64; 2];
    let (to, from) = ((&raw mut piece).cast::<c_void>(), base.wrapping_add(index << 4));
    // SAFETY: both helpers fault for nobody.
    let failed = if is_kernel(base) {
        unsafe { bpf_probe_read_kernel(to, 16, from as *const c_void) }
    } else {
        R::read(to, 16, from)
    };
    let [start, length] = piece;
    (failed == 0).then_some((start, length))
}

/// The group's needles in [`NEEDLES`].
struct Map(u64);

impl Lookup for Map {
    #[inline(always)]
    fn needle(&self, spot: u32, nth: u32) -> Option<Needle> {
        // SAFETY: needles are written once.
        unsafe { NEEDLES.get(Place { group: self.0, spot, nth }) }.copied()
    }
}

#[inline(never)]
extern "C" fn step(_index: u64, searching: *mut Searching) -> i64 {
    // SAFETY: what `search` passed.
    let (window, set, group) = unsafe { (&mut *(*searching).window, &*(*searching).set, (*searching).group) };
    match window.walk.step(&window.buffer, set, &Map(group)) {
        Next::Step => 0,
        Next::Stop => 1,
    }
}

#[inline(always)]
fn told<F: Front>(tag: Tag, most: Mode, detail: u64) -> i32 {
    let object = Object { detail, ..Object::of(tag, process()) };
    rule::against_at_most::<F>(Vector::SecretLeak, most, tag, &object, Voice::Aloud)
}

/// Bytes that cannot be looked at: counted; and as the group's policy is, sent back once, or refused.
#[inline(always)]
fn unread<F: Front>(tag: Tag, set: &Set, window: Option<*mut Window>) -> i32 {
    count(UNREAD);
    if set.unread() == Unread::Count || !rule::is_enforced(Vector::SecretLeak) {
        return 0;
    }
    if set.unread() == Unread::Refuse {
        return told::<F>(tag, Mode::Enforce, 0);
    }
    let Some(window) = window else { return EPERM };
    // SAFETY: the task's own, and not null.
    unsafe {
        (*window).again ^= 1;
        if (*window).again == 1 { EAGAIN } else { 0 }
    }
}

/// `sched_process_exec(task)`: who executes a program hands out nothing any more.
#[btf_tracepoint(function = "sched_process_exec")]
pub fn let_go(ctx: BtfTracePointContext) -> i32 {
    let task: *mut task_struct = ctx.arg(0);
    // SAFETY: the verifier checks that it is a task; null where it has no tag.
    let tag: *mut Tag =
        unsafe { bpf_task_storage_get(TAGS.pointer(), task, core::ptr::null_mut(), 0) }.cast();
    if tag.is_null() {
        return 0;
    }
    // SAFETY: not null, and the task's own, which is alone after `execve`.
    let tag = unsafe { &mut *tag };
    if tag.is(role::KEEPER) {
        tag.roles &= !role::KEEPER;
        crate::share::enter(process(), *tag);
    }
    0
}

/// The number of the process that calls.
#[inline(always)]
fn process() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

#[inline(always)]
fn count(which: usize) {
    if let Some(counts) = SEARCHES.get_ptr_mut(0) {
        // SAFETY: this processor's own numbers.
        unsafe { (*counts)[which] = (*counts)[which].wrapping_add(1) };
    }
}
