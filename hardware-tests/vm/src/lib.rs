//! A virtual machine that boots as a real one does, measured from its first instruction: QEMU's software
//! emulation, OVMF with Secure Boot under its owner's keys, a software TPM, Debian's kernel.
//!
//! [`Kit`] says what of Debian is there, [`Owner`] holds the keys, [`System`] becomes a signed kernel image
//! ([`System::image`]), [`Power`] boots it, and [`Machine::shell`] gives root's prompt inside.
//!
//! Trusted: the kit, the programs of the build. Untrusted: nothing; whatever the guest says is for tests to judge.
#![forbid(unsafe_code)]

mod archive;
mod image;
mod kit;
mod machine;
mod owner;
mod process;
mod shell;
mod system;

pub use archive::Archive;
pub use image::{Image, Signed};
pub use kit::Kit;
pub use machine::{Machine, Power, SecureBoot};
pub use owner::Owner;
pub use shell::{Said, Shell};
pub use system::System;
