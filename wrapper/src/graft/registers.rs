//! How one architecture spells a system call: the only part of the graft that knows registers.
//!
//! A further architecture is a further table with the same five items.

use crate::graft::kernel::Registers;

pub(super) use table::*;

/// System V ABI for x86-64, section A.2.1: number in rax; rdi, rsi, rdx, r10, r8, r9; result in rax.
#[cfg(target_arch = "x86_64")]
mod table {
    use super::Registers;

    /// The instruction `syscall`, as the low bytes of a word.
    pub(in crate::graft) const SYSCALL: u64 = 0x050f;
    /// The bytes of a word that the instruction takes.
    pub(in crate::graft) const SYSCALL_MASK: u64 = 0xffff;

    pub(in crate::graft) const fn program_counter(set: &Registers) -> u64 {
        set.rip
    }

    pub(in crate::graft) const fn stack_pointer(set: &Registers) -> u64 {
        set.rsp
    }

    pub(in crate::graft) const fn with_call(
        mut set: Registers,
        number: u64,
        arguments: [u64; 6],
    ) -> Registers {
        [set.rdi, set.rsi, set.rdx, set.r10, set.r8, set.r9] = arguments;
        set.rax = number;
        // Not inside a system call: the kernel must not try to restart one.
        set.orig_rax = u64::MAX;
        set
    }

    pub(in crate::graft) const fn result(set: &Registers) -> i64 {
        set.rax.cast_signed()
    }
}
