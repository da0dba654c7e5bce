//! Looking at files without being asked about them.
//!
//! Between the filter and its `execve` a process is one whose questions nobody answers yet: the keeper waits for that
//! `execve`. What it must look at until then it looks at in a way that the filter lets pass.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// A flag with which nobody opens a file: open(2) cannot switch on what it stands for.
pub(super) const UNASKED: i32 = libc::O_ASYNC;

/// Whether there is such a file.
pub(crate) fn exists(path: &Path) -> bool {
    OpenOptions::new().read(true).custom_flags(UNASKED | libc::O_PATH).open(path).is_ok()
}

/// The file, to be read.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(UNASKED).open(path)
}
