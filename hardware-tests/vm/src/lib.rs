//! A virtual machine that boots as a real one does, measured from its first instruction: QEMU's software
//! emulation, OVMF with Secure Boot under its owner's keys, a software TPM, Debian's kernel.
//!
//! [`Kit`] says what of Debian is there, [`Owner`] holds the keys, [`System`] becomes a signed kernel image
//! ([`System::image`]), [`Power`] boots it, and [`Machine::shell`] gives root's prompt inside.
//!
//! Beside it a quick machine, for tests of what a kernel does and not of how it was booted: [`Guest`];
//! and the attack suite in it, before and after the enforcer came: [`Suite`]; or on this very machine: [`Here`].
//!
//! Trusted: the kit, the programs of the build. Untrusted: nothing; whatever the guest says is for tests to judge.
#![forbid(unsafe_code)]

mod archive;
mod costs;
mod guest;
mod here;
mod image;
mod kit;
mod machine;
mod owner;
mod process;
mod shell;
mod suite;
mod system;
mod turn;

pub use archive::Archive;
pub use costs::{Cost, Costs, Start, costs, ratios};
pub use guest::{Boot, Clock, Guest, Kernel, Lsm};
pub use here::{Here, disproved, honest};
pub use image::{Image, Signed};
pub use kit::Kit;
pub use machine::{Machine, Power, SecureBoot};
pub use owner::Owner;
pub use shell::{Said, Shell};
pub use suite::{Enforcer, Findings, LIST, Programs, Suite, TRUSTED, failures, table};
pub use system::System;
pub use turn::Turn;
