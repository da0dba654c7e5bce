//! How a file of ours looks: `struct stat` and `struct statx` of a regular file that its owner may read.
//!
//! Written field by field from the kernel's headers, because what the program's C library calls these structures is
//! not what the kernel writes.

/// What is said of one file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Face {
    /// Its inode number, which tells it from the others.
    pub(super) number: u32,
    /// Bytes of the value.
    pub(super) len: u64,
    /// Whoever asks owns it.
    pub(super) user: u32,
    /// And the asker's group.
    pub(super) group: u32,
    /// Seconds since 1970 when the value came.
    pub(super) modified: i64,
}

/// `S_IFREG`, and readable for its owner.
const MODE: u32 = 0o100_400;
/// A device number that no file system has: major 0, and a minor of 20 bits, all set.
const DEVICE: u64 = 0xfff0_00ff;
const BLOCK: u32 = 4096;

/// `struct stat` of asm/stat.h, x86-64: 144 bytes.
#[cfg(target_arch = "x86_64")]
pub(super) fn stat_bytes(face: &Face) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(144);
    bytes.extend(DEVICE.to_le_bytes());
    bytes.extend(u64::from(face.number).to_le_bytes());
    bytes.extend(1_u64.to_le_bytes()); // st_nlink
    for word in [MODE, face.user, face.group, 0] {
        bytes.extend(word.to_le_bytes());
    }
    for word in [0, face.len, u64::from(BLOCK), blocks(face)] {
        bytes.extend(word.to_le_bytes()); // st_rdev, st_size, st_blksize, st_blocks
    }
    times(&mut bytes, face);
    bytes.resize(144, 0);
    bytes
}

/// `struct stat` of asm-generic/stat.h: 128 bytes.
#[cfg(target_arch = "aarch64")]
pub(super) fn stat_bytes(face: &Face) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    bytes.extend(DEVICE.to_le_bytes());
    bytes.extend(u64::from(face.number).to_le_bytes());
    for word in [MODE, 1, face.user, face.group] {
        bytes.extend(word.to_le_bytes()); // st_mode, st_nlink, st_uid, st_gid
    }
    for word in [0, 0, face.len] {
        bytes.extend(word.to_le_bytes()); // st_rdev, __pad1, st_size
    }
    for word in [BLOCK, 0] {
        bytes.extend(word.to_le_bytes()); // st_blksize, __pad2
    }
    bytes.extend(blocks(face).to_le_bytes());
    times(&mut bytes, face);
    bytes.resize(128, 0);
    bytes
}

/// Three times: seconds and nanoseconds.
fn times(bytes: &mut Vec<u8>, face: &Face) {
    for _ in 0..3 {
        bytes.extend(face.modified.to_le_bytes());
        bytes.extend(0_u64.to_le_bytes());
    }
}

/// `struct statx` of linux/stat.h: 256 bytes, the same everywhere.
pub(super) fn statx_bytes(face: &Face) -> Vec<u8> {
    /// `STATX_BASIC_STATS`: what the fields of `struct stat` are.
    const BASIC: u32 = 0x7ff;
    let mut bytes = Vec::with_capacity(256);
    bytes.extend(BASIC.to_le_bytes());
    bytes.extend(BLOCK.to_le_bytes());
    bytes.extend(0_u64.to_le_bytes()); // stx_attributes
    for word in [1, face.user, face.group, MODE] {
        bytes.extend(word.to_le_bytes()); // stx_nlink, stx_uid, stx_gid, stx_mode and a spare
    }
    for word in [u64::from(face.number), face.len, blocks(face), 0] {
        bytes.extend(word.to_le_bytes()); // stx_ino, stx_size, stx_blocks, stx_attributes_mask
    }
    for seconds in [face.modified, 0, face.modified, face.modified] {
        bytes.extend(seconds.to_le_bytes()); // accessed, born (not said), changed, modified
        bytes.extend(0_u64.to_le_bytes());
    }
    for word in [0_u32, 0, 0, 0xf_ffff] {
        bytes.extend(word.to_le_bytes()); // stx_rdev, stx_dev
    }
    bytes.resize(256, 0);
    bytes
}

/// In units of 512 bytes, stat(2).
fn blocks(face: &Face) -> u64 {
    face.len.div_ceil(512)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    const FACE: Face = Face { number: 7, len: 1025, user: 1000, group: 100, modified: 1_790_000_000 };

    fn number(bytes: &[u8], offset: usize, len: usize) -> u64 {
        bytes[offset..].iter().take(len).rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
    }

    #[test]
    fn a_stat_says_what_the_c_library_reads() {
        let bytes = stat_bytes(&FACE);
        assert_eq!(bytes.len(), size_of::<libc::stat>());
        for (offset, len, expected) in [
            (offset_of!(libc::stat, st_ino), 8, 7),
            (offset_of!(libc::stat, st_mode), 4, 0o100_400),
            (offset_of!(libc::stat, st_nlink), 4, 1),
            (offset_of!(libc::stat, st_uid), 4, 1000),
            (offset_of!(libc::stat, st_gid), 4, 100),
            (offset_of!(libc::stat, st_size), 8, 1025),
            (offset_of!(libc::stat, st_blksize), 4, 4096),
            (offset_of!(libc::stat, st_blocks), 8, 3),
            (offset_of!(libc::stat, st_mtime), 8, 1_790_000_000),
            (offset_of!(libc::stat, st_ctime), 8, 1_790_000_000),
        ] {
            assert_eq!(number(&bytes, offset, len), expected, "at {offset}");
        }
    }

    #[test]
    fn a_statx_says_what_the_c_library_reads() {
        let bytes = statx_bytes(&FACE);
        assert_eq!(bytes.len(), size_of::<libc::statx>());
        for (offset, len, expected) in [
            (offset_of!(libc::statx, stx_mask), 4, 0x7ff),
            (offset_of!(libc::statx, stx_mode), 2, 0o100_400),
            (offset_of!(libc::statx, stx_uid), 4, 1000),
            (offset_of!(libc::statx, stx_gid), 4, 100),
            (offset_of!(libc::statx, stx_nlink), 4, 1),
            (offset_of!(libc::statx, stx_ino), 8, 7),
            (offset_of!(libc::statx, stx_size), 8, 1025),
            (offset_of!(libc::statx, stx_blocks), 8, 3),
            (offset_of!(libc::statx, stx_mtime), 8, 1_790_000_000),
            (offset_of!(libc::statx, stx_dev_minor), 4, 0xf_ffff),
        ] {
            assert_eq!(number(&bytes, offset, len), expected, "at {offset}");
        }
    }
}
