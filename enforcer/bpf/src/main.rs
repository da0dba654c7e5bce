//! The programs inside the kernel: thin fronts for LSM (and, with the same bytes, `fmod_ret`), kprobes and tracepoints,
//! around one policy, which is `enforcer_abi`'s.
//!
//! A hook reads who (`identity`), to whom (its arguments, through a `front`), and asks `rule`. A program that cannot read
//! what it needs on this kernel is cut off by the verifier's own dead-code removal: see `enforcer_abi::Offsets`.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]
#![expect(non_snake_case, reason = "the loader reads a hook's variant after two underscores")]

mod cgroupfs;
#[cfg(feature = "cost")]
mod cost;
mod crowd;
mod front;
mod identity;
mod inside;
mod kinds;
mod leak;
mod look;
mod lower;
mod maps;
mod mounts;
mod names;
mod node;
mod open;
mod outgoing;
mod own;
mod process;
mod procfs;
mod rule;
mod scalar;
mod secret;
mod share;
mod shared;
mod syscalls;
mod sysctl;
mod trusted;

/// LSM programs must declare a licence that is compatible with the kernel's.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
