//! What the programs see of one process, when it asks whether it is protected and alone: a record each.

/// One thing that was seen. 32 bytes without padding.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seen {
    /// [`Seen::ITSELF`] or [`Seen::FOREIGN`].
    pub kind: u32,
    /// Of [`Seen::FOREIGN`]: who holds a file of its folder in procfs.
    pub pid: u32,
    /// How often it has executed a program.
    pub executed: u32,
    /// What is wrong with it: bits of [`Seen::SUPERVISED`], [`Seen::MEASURED`].
    pub wrong: u32,
    /// The device of the file that it runs.
    pub device: u64,
    /// The inode of that file.
    pub inode: u64,
}

const _: () = assert!(size_of::<Seen>() == 32, "no padding");

impl Seen {
    /// The process.
    pub const ITSELF: u32 = 1;
    /// Another that holds a file of it.
    pub const FOREIGN: u32 = 2;

    /// Somebody decides about its system calls.
    pub const SUPERVISED: u32 = 1;
    /// Somebody's counters of perf look at it.
    pub const MEASURED: u32 = 1 << 1;
}
