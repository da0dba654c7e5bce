//! The machine's edge: what the kernel's side does for the server.

use std::io;
use std::os::fd::BorrowedFd;

use enforcer_abi::Tag;
use protocol::enforcer::Needle;

/// Tags on tasks.
pub trait Tagger {
    /// Gives the process of this descriptor (its first thread) a tag; [`Tag::NONE`] takes it away.
    fn tag(&self, process: BorrowedFd<'_>, tag: Tag) -> io::Result<()>;

    /// Its tag; [`Tag::NONE`] where it has none.
    fn tag_of(&self, process: BorrowedFd<'_>) -> io::Result<Tag>;

    /// Whether any process of this group is left.
    fn lives(&self, group: u64) -> io::Result<bool>;

    /// What programs in the kernel see of a process; none where they cannot be run.
    fn look(&self, pid: u32) -> io::Result<Option<Inside>>;
}

/// What a group shall not send.
pub trait Needles {
    /// Adds to what the group shall not send. The error is told to the caller.
    fn register(&mut self, group: u64, key: &[u8; 32], needles: &[Needle]) -> Result<(), String>;

    /// The groups that have something registered; under an enforcer before us, too.
    fn registered(&self) -> Vec<u64>;

    /// The key of such a group.
    fn key(&self, group: u64) -> Option<[u8; 32]>;

    /// The group is no more.
    fn forget(&mut self, group: u64);
}

/// What procfs does not show of a protected process, or not reliably.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Inside {
    /// How often it has executed a program (`self_exec_id`).
    pub executed: u32,
    /// The file that it runs: its file system's device and its inode.
    pub exe: (u64, u64),
    /// Somebody decides about its system calls (`SECCOMP_RET_USER_NOTIF`).
    pub supervised: bool,
    /// Somebody's counters of perf look at it.
    pub measured: bool,
    /// A process outside its group that holds a file of its folder in procfs.
    pub foreign: Option<u32>,
}
