//! Logs that the firmware and the kernel keep, as far as evidence carries them.

pub(crate) mod file;
