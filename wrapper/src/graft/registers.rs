//! How one architecture spells a system call and a store: the only part of the graft that knows registers.
//!
//! [`CODE`] is what stands in the tracee's text while it works for us: an instruction that makes a system
//! call and, [`STORE`] bytes on, one that stores a register. A further architecture is a further table with
//! the same seven items; all of them are little-endian.

use crate::graft::kernel::Registers;

pub(super) use table::*;

/// System V ABI for x86-64, section A.2.1: number in rax; rdi, rsi, rdx, r10, r8, r9; result in rax.
#[cfg(target_arch = "x86_64")]
mod table {
    use super::Registers;

    /// `syscall`, `mov %rax,(%rdi)`, and what would trap if it were ever reached.
    pub(in crate::graft) const CODE: u64 =
        u64::from_le_bytes([0x0f, 0x05, 0x48, 0x89, 0x07, 0xcc, 0xcc, 0xcc]);
    /// Where in [`CODE`] the store is.
    pub(in crate::graft) const STORE: u64 = 2;

    pub(in crate::graft) const fn program_counter(set: &Registers) -> u64 {
        set.rip
    }

    pub(in crate::graft) const fn stack_pointer(set: &Registers) -> u64 {
        set.rsp
    }

    pub(in crate::graft) const fn with_call(
        mut set: Registers,
        at: u64,
        number: u64,
        arguments: [u64; 6],
    ) -> Registers {
        [set.rdi, set.rsi, set.rdx, set.r10, set.r8, set.r9] = arguments;
        set.rax = number;
        outside_calls(set, at)
    }

    pub(in crate::graft) const fn with_store(
        mut set: Registers,
        at: u64,
        address: u64,
        word: u64,
    ) -> Registers {
        set.rdi = address;
        set.rax = word;
        outside_calls(set, at)
    }

    pub(in crate::graft) const fn result(set: &Registers) -> i64 {
        set.rax.cast_signed()
    }

    /// Not inside a system call: the kernel must not try to restart one.
    const fn outside_calls(mut set: Registers, at: u64) -> Registers {
        set.rip = at;
        set.orig_rax = u64::MAX;
        set
    }
}

/// Linux's own convention for `AArch64` (syscall(2)): number in x8; x0 to x5; result in x0.
///
/// A restart needs no thought here: the kernel considers one where x0 says `-ERESTARTSYS` and its like, and
/// what we put there is an address, a descriptor, flags or a size.
#[cfg(target_arch = "aarch64")]
mod table {
    use super::Registers;

    /// `svc #0`, `str x0, [x1]`.
    pub(in crate::graft) const CODE: u64 =
        u64::from_le_bytes([0x01, 0x00, 0x00, 0xd4, 0x20, 0x00, 0x00, 0xf9]);
    /// Where in [`CODE`] the store is.
    pub(in crate::graft) const STORE: u64 = 4;

    pub(in crate::graft) const fn program_counter(set: &Registers) -> u64 {
        set.pc
    }

    pub(in crate::graft) const fn stack_pointer(set: &Registers) -> u64 {
        set.sp
    }

    pub(in crate::graft) const fn with_call(
        mut set: Registers,
        at: u64,
        number: u64,
        arguments: [u64; 6],
    ) -> Registers {
        let [x0, x1, x2, x3, x4, x5, _, _, x8, ..] = &mut set.regs;
        [*x0, *x1, *x2, *x3, *x4, *x5] = arguments;
        *x8 = number;
        set.pc = at;
        set
    }

    pub(in crate::graft) const fn with_store(
        mut set: Registers,
        at: u64,
        address: u64,
        word: u64,
    ) -> Registers {
        let [x0, x1, ..] = &mut set.regs;
        (*x0, *x1) = (word, address);
        set.pc = at;
        set
    }

    pub(in crate::graft) const fn result(set: &Registers) -> i64 {
        let [x0, ..] = &set.regs;
        x0.cast_signed()
    }
}
