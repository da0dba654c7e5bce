//! Kinds of file systems (linux/magic.h) and of files (linux/stat.h), in the kernel's numbers.

pub const BPFFS: u64 = 0xcafe_4a11;
pub const CGROUP: u64 = 0x0027_e0eb;
pub const CGROUP2: u64 = 0x6367_7270;
pub const DEBUGFS: u64 = 0x6462_6720;
pub const PROC: u64 = 0x9fa0;
pub const SECRETMEM: u64 = 0x5345_434d;
pub const TRACEFS: u64 = 0x7472_6163;

/// `S_IFMT`: which bits of an inode's mode say the kind of file.
pub const KIND: u16 = 0o170_000;
/// `S_IFCHR`.
pub const CHARACTERS: u16 = 0o020_000;
/// `S_IFREG`.
pub const REGULAR: u16 = 0o100_000;
/// `S_IFSOCK`.
pub const SOCKET: u16 = 0o140_000;

/// `FMODE_WRITE` (linux/fs.h): how a file was opened.
pub const WRITE: u32 = 2;
