//! Mounts: procfs anew, something over a process's files, the pins of BPF gone or hidden.
//!
//! Each probe has a mount name space of its own, so that nobody else sees what it mounts; the kernel asks its security
//! modules all the same.

use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags, fsconfig_create, fsmount, fsopen, mount, mount_bind, mount_change,
    mount_remount, move_mount, open_tree, unmount,
};

use crate::call;
use crate::told::{Found, absent, nothing, told};
use crate::{OPEN, Probe, Stage};

pub(crate) const PROBES: &[Probe] = &[
    Probe::new("mount/proc", "mount", "mount procfs anew", |stage| told(proc_anew(stage))),
    Probe::new(
        "mount/proc-fsopen",
        "mount",
        "make a procfs without mounting it anywhere, and look into it",
        |stage| told(proc_detached(stage)),
    ),
    Probe::new(
        "mount/proc-open-tree",
        "mount",
        "clone the mount of procfs, and mount the clone elsewhere",
        |stage| told(proc_cloned(stage)),
    ),
    Probe::new("mount/proc-bind", "mount", "bind procfs to another place", |stage| told(proc_bound(stage))),
    Probe::new(
        "mount/over-process",
        "mount",
        "bind a folder of one's own over /proc/PID of the victim",
        |stage| told(over_process(stage)),
    ),
    Probe::new(
        "mount/process-elsewhere",
        "mount",
        "bind /proc/PID of the victim to another place",
        |stage| told(process_elsewhere(stage)),
    ),
    Probe::new("mount/remount-proc", "mount", "remount procfs", |_| told(remounted("/proc"))),
    Probe::new("runtime/mount-tmpfs", OPEN, "mount a tmpfs, write to it, unmount it", |stage| {
        told(tmpfs(stage))
    }),
    Probe::new("runtime/remount-tmpfs", OPEN, "remount a tmpfs for reading alone", |stage| {
        told(tmpfs_again(stage))
    }),
    Probe::new("runtime/bind-folder", OPEN, "bind an ordinary folder to another place", |stage| {
        told(folder_bound(stage))
    }),
];

/// A mount name space of our own, from which nothing spreads.
pub(crate) fn alone() -> io::Result<()> {
    call!(libc::SYS_unshare, libc::CLONE_NEWNS)?;
    let spread = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    let answer = mount_change("/", spread);
    if answer.is_err() && fs::read_to_string("/proc/self/mountinfo")?.contains(" shared:") {
        return Err(absent("the mounts here spread to others"));
    }
    Ok(())
}

/// An empty folder of the suite's.
pub(crate) fn folder(stage: &Stage, name: &str) -> io::Result<PathBuf> {
    let path = stage.directory.join(name);
    match fs::create_dir(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(path),
    }
}

/// A file system of this kind, mounted where nobody else sees it.
pub(crate) fn fresh(stage: &Stage, kind: &str) -> io::Result<PathBuf> {
    alone()?;
    let folder = folder(stage, "mounted")?;
    mount(kind, &folder, kind, MountFlags::empty(), None)?;
    Ok(folder)
}

fn victims_status(stage: &Stage, root: &Path) -> Found {
    let status = fs::read_to_string(root.join(stage.victim.pid().to_string()).join("status"))?;
    if status.is_empty() {
        Err(nothing("nothing is there"))
    } else {
        Ok(format!("the victim at {}", root.display()))
    }
}

fn proc_anew(stage: &Stage) -> Found {
    let folder = fresh(stage, "proc")?;
    victims_status(stage, &folder)
}

fn proc_detached(stage: &Stage) -> Found {
    let context = fsopen("proc", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    let root = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    let path = format!("{}/status", stage.victim.pid());
    openat(&root, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    Ok("the victim in a procfs that is mounted nowhere".into())
}

fn proc_cloned(stage: &Stage) -> Found {
    alone()?;
    let tree = open_tree(CWD, "/proc", OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)?;
    let folder = folder(stage, "mounted")?;
    move_mount(&tree, "", CWD, &folder, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    victims_status(stage, &folder)
}

fn proc_bound(stage: &Stage) -> Found {
    alone()?;
    let folder = folder(stage, "mounted")?;
    mount_bind("/proc", &folder)?;
    victims_status(stage, &folder)
}

fn over_process(stage: &Stage) -> Found {
    alone()?;
    let folder = folder(stage, "mounted")?;
    fs::write(folder.join("status"), "Name:\tnobody\n")?;
    let process = PathBuf::from(format!("/proc/{}", stage.victim.pid()));
    mount_bind(&folder, &process)?;
    let seen = fs::read_to_string(process.join("status"))?;
    if seen.contains("nobody") {
        Ok("another's files where the victim's were".into())
    } else {
        Err(nothing("nothing changed"))
    }
}

fn process_elsewhere(stage: &Stage) -> Found {
    alone()?;
    let folder = folder(stage, "mounted")?;
    mount_bind(format!("/proc/{}", stage.victim.pid()), &folder)?;
    fs::read_to_string(folder.join("status"))?;
    Ok("the victim under another name".into())
}

/// With no option: nothing is changed.
fn remounted(path: &str) -> Found {
    mount_remount(path, MountFlags::empty(), c"")?;
    Ok(format!("{path} was mounted again"))
}

fn tmpfs(stage: &Stage) -> Found {
    let folder = fresh(stage, "tmpfs")?;
    fs::write(folder.join("file"), "text")?;
    unmount(&folder, UnmountFlags::empty())?;
    Ok("a tmpfs".into())
}

fn tmpfs_again(stage: &Stage) -> Found {
    let folder = fresh(stage, "tmpfs")?;
    mount_remount(&folder, MountFlags::RDONLY, c"")?;
    match fs::write(folder.join("file"), "text").map_err(|error| error.raw_os_error()) {
        Err(Some(libc::EROFS)) => Ok("a tmpfs for reading alone".into()),
        other => Err(nothing(format!("writing gave {other:?}"))),
    }
}

fn folder_bound(stage: &Stage) -> Found {
    alone()?;
    let (from, to) = (folder(stage, "from")?, folder(stage, "mounted")?);
    fs::write(from.join("file"), "text")?;
    mount_bind(&from, &to)?;
    fs::read(to.join("file"))?;
    Ok("a folder in two places".into())
}

/// A path by a descriptor of ours.
pub(crate) fn by_descriptor(file: &impl std::os::fd::AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()))
}
