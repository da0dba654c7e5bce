//! Where the bytes of a call are that sends something: in the arguments of the system call, or in the message that the kernel
//! made of them.
//!
//! Untrusted: addresses and lengths. Nothing here follows one that is the process's own.

use aya_ebpf::helpers::generated::{bpf_get_current_task_btf, bpf_task_pt_regs};

use crate::front::{Front, Pointer, Typed, probe};
use crate::kinds::{KIND, SOCKET};
use crate::maps::offset;
use crate::syscalls;

#[cfg(bpf_target_arch = "x86_64")]
mod table {
    pub const WRITE: i32 = 1;
    pub const PWRITE: i32 = 18;
    pub const WRITEV: i32 = 20;
    pub const SENDFILE: i32 = 40;
    pub const IO_SUBMIT: i32 = 209;
    pub const SPLICE: i32 = 275;
    pub const PWRITEV: i32 = 296;
    pub const COPY_FILE_RANGE: i32 = 326;
    pub const PWRITEV2: i32 = 328;
}

/// Numbers of the generic table (asm-generic/unistd.h).
#[cfg(not(bpf_target_arch = "x86_64"))]
mod table {
    pub const IO_SUBMIT: i32 = 2;
    pub const WRITE: i32 = 64;
    pub const WRITEV: i32 = 66;
    pub const PWRITE: i32 = 68;
    pub const PWRITEV: i32 = 70;
    pub const SENDFILE: i32 = 71;
    pub const SPLICE: i32 = 76;
    pub const COPY_FILE_RANGE: i32 = 285;
    pub const PWRITEV2: i32 = 287;
}

/// Where the bytes of a call are.
pub struct Source {
    /// The first of an array of pieces in the kernel or in the process, or of the bytes themselves.
    pub base: u64,
    /// How many pieces; 0: `base` is the bytes.
    pub pieces: u64,
    /// How many bytes; of pieces in the process, which say it themselves, any number.
    pub length: u64,
    /// As many of the first piece went before.
    pub skip: u64,
}

#[inline(always)]
pub fn is_socket<F: Front>(file: Pointer) -> bool {
    let (Some(inode), Some(mode)) = (offset!(file_inode), offset!(inode_mode)) else { return false };
    let inode = F::read::<Pointer>(file, inode).unwrap_or(core::ptr::null());
    F::read::<u16>(inode, mode).is_some_and(|mode| mode & KIND == SOCKET)
}

/// What a system call writes.
pub enum Written {
    Bytes(Source),
    /// Bytes that are not in the process: another file's.
    Unseen,
    /// It asks whether it may write, and does not.
    Nothing,
}

#[inline(always)]
pub fn written() -> Written {
    let number = syscalls::current();
    let argument = |n| argument(n).unwrap_or(0);
    match number {
        table::WRITE | table::PWRITE => {
            Written::Bytes(Source { base: argument(1), pieces: 0, length: argument(2), skip: 0 })
        }
        table::WRITEV | table::PWRITEV | table::PWRITEV2 => {
            Written::Bytes(Source { base: argument(1), pieces: argument(2), length: u64::MAX, skip: 0 })
        }
        table::SENDFILE | table::SPLICE | table::COPY_FILE_RANGE | table::IO_SUBMIT => Written::Unseen,
        _ => Written::Nothing,
    }
}

/// Where a message's bytes are. Its pieces were copied into the kernel; what is one piece, or was never the process's, tells
/// itself by its address.
#[inline(always)]
pub fn sent(message: Pointer) -> Option<Source> {
    let base = offset!(msg_iter_vector).or(offset!(msg_iter_vector_old))?;
    let (skip, count, pieces) =
        (offset!(msg_iter_skip)?, offset!(msg_iter_count)?, offset!(msg_iter_pieces)?);
    let base = probe::<u64>(message, base)?;
    let pieces = if is_kernel(base) { probe::<u64>(message, pieces)?.max(1) } else { 0 };
    Some(Source { base, pieces, length: probe(message, count)?, skip: probe(message, skip)? })
}

/// The kernel's addresses have their highest bit set.
#[inline(always)]
pub const fn is_kernel(address: u64) -> bool {
    address >> 63 == 1
}

/// An argument of the system call that the current task is in, of its first three.
#[inline(always)]
fn argument(n: usize) -> Option<u64> {
    let named = match n {
        0 => offset!(regs_di),
        1 => offset!(regs_si),
        _ => offset!(regs_dx),
    };
    let at = named.or(offset!(regs_row).map(|row| row + 8 * n))?;
    // SAFETY: the current task is always there, and so are its registers.
    let registers = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) };
    Typed::read::<u64>(registers as Pointer, at)
}
