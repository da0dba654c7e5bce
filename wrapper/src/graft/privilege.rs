//! Whether a program's file would make it somebody else: set-user-id, set-group-id, capabilities.
//!
//! Under our `no_new_privs` the kernel grants none of them, so the program would not work as its author
//! meant; and a value is meant for the user who was started, not for the owner of a file. Such a program is
//! refused before anything is handed over.
//!
//! Untrusted: the file.

use std::fmt;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;

use rustix::process::Pid;

/// What the file would change.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Gain {
    /// The user.
    User(u32),
    /// The group.
    Group(u32),
    /// What the user may do.
    Capabilities,
}

impl fmt::Display for Gain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "set-user-id {id}"),
            Self::Group(id) => write!(f, "set-group-id {id}"),
            Self::Capabilities => write!(f, "with capabilities"),
        }
    }
}

/// What the file of `pid` would change about it. Where the file cannot be seen nothing is known.
pub(super) fn gain(pid: Pid) -> Option<Gain> {
    let path = format!("/proc/{pid}/exe");
    let file = fs::metadata(&path).ok()?;
    let changes = file.mode() & (libc::S_ISUID | libc::S_ISGID) != 0;
    let capable = rustix::fs::getxattr(&path, "security.capability", &mut [0_u8; 64]).is_ok();
    if !changes && !capable {
        return None;
    }
    of(&file, capable, &fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default())
}

/// `status` is the text of `proc_pid_status(5)`.
fn of(file: &Metadata, capable: bool, status: &str) -> Option<Gain> {
    let effective = |field: &str| -> Option<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    let (user, group) = (effective("Uid:"), effective("Gid:"));
    // Without the group's right to execute the bit means locking (stat(2)).
    let as_group = libc::S_ISGID | libc::S_IXGRP;
    if file.mode() & libc::S_ISUID != 0 && user != Some(file.uid()) {
        return Some(Gain::User(file.uid()));
    }
    // Root may take any group, and has the capabilities, without the file.
    if user == Some(0) {
        return None;
    }
    if file.mode() & as_group == as_group && group != Some(file.gid()) {
        return Some(Gain::Group(file.gid()));
    }
    capable.then_some(Gain::Capabilities)
}
