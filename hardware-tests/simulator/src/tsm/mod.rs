//! The kernel's report interface, configfs-tsm, presented by FUSE over a simulated chip.
//!
//! [`Mount`] shows `/sys/kernel/config/tsm/report` as Linux does for the providers `sev_guest` and
//! `tdx_guest`: the same files, modes, errors and generation counting. [`at_the_kernels_path`] runs a
//! command that finds it at the real path, so that an agent runs unchanged. [`Fault`] makes it fail as
//! hardware does.
//!
//! Source of the behaviour: Linux `Documentation/ABI/testing/configfs-tsm`, its report driver, and configfs.
//! One difference: `inblob` is committed when a descriptor is closed, not only with the last of its copies.

mod attribute;
mod entry;
mod fs;
mod machine;
mod mount;
mod namespace;
mod tree;

pub use machine::{Fault, Machine};
pub use mount::{Mount, MountError};
pub use namespace::at_the_kernels_path;
