//! Logs that the firmware and the kernel keep, as far as evidence carries them.

mod beside;
pub(crate) mod file;

pub(crate) use beside::Beside;
pub use beside::{Settings, Source};
