//! What the programs share with each other and with the loader.

use aya_ebpf::bindings::{BPF_F_NO_PREALLOC, bpf_map_type::BPF_MAP_TYPE_TASK_STORAGE};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, RingBuf};
use enforcer_abi::share::{CAPACITY, Share, TASKS};
use enforcer_abi::{ENTRIES, Known, Numbers, Offsets, Own, Place, Settings, Tag};

/// Where fields are in this kernel; written by the loader before verification.
#[unsafe(no_mangle)]
pub static OFFSETS: Offsets = Offsets::ABSENT;

/// The numbers of this kernel's enums; likewise.
#[unsafe(no_mangle)]
pub static NUMBERS: Numbers = Numbers::UNKNOWN;

/// Written by the loader before verification.
#[unsafe(no_mangle)]
pub static SETTINGS: Settings =
    Settings { scope_cgroup: 0, scope_level: 0, loader: 0, typed: 0, reactive: 0, share: TASKS, reserved: 0 };

/// The offset of a field, or `None` where this kernel does not have it. The verifier knows which.
macro_rules! offset {
    ($field:ident) => {{
        // SAFETY: a static of our own; volatile, because the loader writes another value than the compiler sees.
        let offset = unsafe { core::ptr::read_volatile(&raw const $crate::maps::OFFSETS.$field) };
        if offset == enforcer_abi::ABSENT { None } else { Some(offset as usize) }
    }};
}
pub(crate) use offset;

/// The number of an enum's name; [`enforcer_abi::NOTHING`], which no argument is, where this kernel has none.
macro_rules! number {
    ($name:ident) => {{
        // SAFETY: as above.
        unsafe { core::ptr::read_volatile(&raw const $crate::maps::NUMBERS.$name) }
    }};
}
pub(crate) use number;

/// A setting of the loader's.
macro_rules! setting {
    ($field:ident) => {{
        // SAFETY: as above.
        unsafe { core::ptr::read_volatile(&raw const $crate::maps::SETTINGS.$field) }
    }};
}
pub(crate) use setting;

/// A map that lies in the tasks themselves; aya has no words for it yet. Its shape is read from its type.
#[repr(C)]
pub struct TaskStorage<T: 'static> {
    r#type: *const [i32; BPF_MAP_TYPE_TASK_STORAGE as usize],
    key: *const i32,
    value: *const T,
    max_entries: *const [i32; 0],
    map_flags: *const [i32; BPF_F_NO_PREALLOC as usize],
}

// SAFETY: its fields describe a map, and nobody reads them at run time.
unsafe impl<T> Sync for TaskStorage<T> {}

impl<T> TaskStorage<T> {
    /// A description is all in its type.
    pub const fn new() -> Self {
        Self {
            r#type: core::ptr::null(),
            key: core::ptr::null(),
            value: core::ptr::null(),
            max_entries: core::ptr::null(),
            map_flags: core::ptr::null(),
        }
    }

    pub const fn pointer(&self) -> *mut core::ffi::c_void {
        core::ptr::from_ref(self).cast_mut().cast()
    }
}

/// Who each task is.
#[unsafe(link_section = ".maps")]
#[unsafe(no_mangle)]
pub static TAGS: TaskStorage<Tag> = TaskStorage::new();

/// Who each tagged process is, by its number in the first name space: for procfs, and where there are no typed pointers.
#[map]
pub static PIDS: HashMap<u32, Tag> = HashMap::with_max_entries(CAPACITY, BPF_F_NO_PREALLOC);

/// How much of the tables each group has; who is trusted and has no group is one.
#[map]
pub static SHARES: HashMap<u64, Share> = HashMap::with_max_entries(16_384, BPF_F_NO_PREALLOC);

/// How much of each table is in use, by `share::Table`.
#[map]
pub static FILL: Array<i64> = Array::with_max_entries(2, 0);

/// The process that is looked at.
#[map]
pub static SOUGHT: Array<u32> = Array::with_max_entries(1, 0);

/// The mode of each vector.
#[map]
pub static MODES: Array<u32> = Array::with_max_entries(64, 0);

/// What is told.
#[map]
pub static RECORDS: RingBuf = RingBuf::with_byte_size(1 << 24, 0);

/// Per vector: told, refused; and at the end, lost.
#[map]
pub static COUNTS: PerCpuArray<[u64; 3]> = PerCpuArray::with_max_entries(64, 0);

/// Per vector: how often the canary was answered.
#[map]
pub static ANSWERED: PerCpuArray<u64> = PerCpuArray::with_max_entries(64, 0);

/// In which control group each tagged process is; kept from its first `fork` or `execve` on. A hint, never a ground for trust.
#[map]
pub static HOMES: HashMap<u32, Home> = HashMap::with_max_entries(CAPACITY, BPF_F_NO_PREALLOC);

/// Where a process lives.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Home {
    pub cgroup: u64,
    pub tag: Tag,
}

/// The control groups in which tagged processes live.
#[map]
pub static CROWDS: HashMap<u64, Crowd> = HashMap::with_max_entries(8_192, BPF_F_NO_PREALLOC);

/// How many groups above one are remembered.
pub const LEVELS: usize = 10;

/// Who lives in a control group.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Crowd {
    /// Of whom came first; without a group: there are several.
    pub tag: Tag,
    /// Who came first.
    pub pid: u32,
    /// Zero.
    pub reserved: u32,
    /// How many processes there are.
    pub count: i64,
    /// The groups above, the nearest first.
    pub above: [u64; LEVELS],
}

/// What protected processes made that has no owner in the kernel's eyes, by its address there: secret memory (an inode), shared
/// memory (`kern_ipc_perm`).
#[map]
pub static MADE: HashMap<u64, Made> = HashMap::with_max_entries(CAPACITY, BPF_F_NO_PREALLOC);

/// By whom, and its number, should the address have been used again.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Made {
    pub tag: Tag,
    pub number: u64,
}

/// What is the enforcer's own.
#[map]
pub static OWN: HashMap<Own, u32> = HashMap::with_max_entries(4_096, BPF_F_NO_PREALLOC);

/// Programs that are trusted, and the enforcer itself.
#[map]
pub static TRUSTED: HashMap<Place, Known> = HashMap::with_max_entries(4_096, BPF_F_NO_PREALLOC);

/// What each number of theirs lets a program do: a bit for each vector.
#[map]
pub static ALLOWED: Array<u64> = Array::with_max_entries(ENTRIES, 0);

/// The control group that each entry's programs have to be in, with what they execute.
#[map]
pub static WITHIN: Array<u64> = Array::with_max_entries(ENTRIES, 0);

/// Since when the node's guards refuse on trial, and which: see the loader's `trial`. Nothing in the kernel reads it; it is here because
/// nobody but the enforcer can write it.
#[map]
pub static TRIAL: Array<[u8; 40]> = Array::with_max_entries(1, 0);

/// What is enforced: digests of what the loader was told, who may have it changed, and what they have to answer. Nothing in the
/// kernel reads it; it is here because nobody but the enforcer can write it.
#[map]
pub static POLICY: Array<[u8; 200]> = Array::with_max_entries(1, 0);
