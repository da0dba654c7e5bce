//! What the enforcer hung into the file system of BPF so that it outlives it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use super::target::Target;
use crate::bpf;
use crate::told::{Found, absent, nothing, told};
use crate::{Probe, Stage};

pub(crate) const PROBES: &[Probe] = &[
    Probe::new("own/pin-open-map", "own-map", "open a pinned map", |stage| told(opened(stage, "map"))),
    Probe::new("own/pin-open-program", "own-program", "open a pinned program or link", |stage| {
        told(opened(stage, "prog"))
    }),
    Probe::new("own/pin-rename", "own-pin", "rename a pin", |stage| told(renamed(stage))).invasive(),
    Probe::new("own/pin-rename-folder", "own-pin", "rename the folder of the pins", |stage| {
        told(folder_renamed(stage))
    })
    .invasive(),
    Probe::new("own/pin-rmdir", "own-pin", "remove a folder of the pins", |stage| told(removed(stage)))
        .invasive(),
    Probe::new("own/pins-covered", "own-pin", "mount something over the pins", |stage| told(covered(stage)))
        .invasive(),
    Probe::new(
        "own/pins-remount",
        "own-pin",
        "remount the file system of the pins for reading alone",
        |stage| told(remounted(stage)),
    )
    .invasive(),
    Probe::new("own/pin-unlink", "own-pin", "remove a pin", |stage| told(unlinked(stage))).invasive(),
    Probe::new("own/pins-unmount", "own-pin", "unmount the file system of the pins", |stage| {
        told(unmounted(stage))
    })
    .invasive(),
];

/// Pins at any depth.
fn all(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(all(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

fn first(folder: &Path) -> io::Result<PathBuf> {
    all(folder)?.into_iter().next().ok_or_else(|| absent("nothing is pinned"))
}

/// Opens each; what kind it is, its file's link of `/proc` tells.
fn opened(stage: &Stage, kind: &str) -> Found {
    let target = Target::of(stage)?;
    let folder = target.pins(stage)?;
    if kind == "prog" && stage.socket().is_none() {
        let program = bpf::Program::of(bpf::kind::SOCKET_FILTER, bpf::NOTHING).load()?;
        bpf::pin(&program, &folder.join("prog"))?;
    }
    let mut answer = Err(absent("nothing of that kind is pinned"));
    for pin in all(&folder)? {
        match bpf::pinned(&pin) {
            Err(error) => answer = Err(error),
            Ok(file) => {
                let link = fs::read_link(crate::node::mount::by_descriptor(&file))?;
                let link = link.to_string_lossy();
                if link.contains(kind) || (kind == "prog" && link.contains("link")) {
                    return Ok(format!("{} as {link}", pin.display()));
                }
            }
        }
    }
    answer
}

/// There and back.
fn turned(from: &Path) -> Found {
    let to = from.with_file_name("attacks_turned");
    fs::rename(from, &to)?;
    fs::rename(&to, from)?;
    Ok(format!("{} had another name for a moment", from.display()))
}

fn renamed(stage: &Stage) -> Found {
    let target = Target::of(stage)?;
    turned(&first(&target.pins(stage)?)?)
}

fn folder_renamed(stage: &Stage) -> Found {
    let target = Target::of(stage)?;
    turned(&target.pins(stage)?)
}

/// An empty one, or, where there is none, the topmost: the kernel asks its modules before it looks whether it is empty.
fn removed(stage: &Stage) -> Found {
    let target = Target::of(stage)?;
    let folder = target.pins(stage)?;
    let empty = folder.join("empty");
    match fs::remove_dir(if empty.is_dir() { &empty } else { &folder }) {
        Err(error) if error.raw_os_error() == Some(libc::ENOTEMPTY) => {
            Err(nothing("it is not empty, and stays"))
        }
        other => other.map(|()| "a folder is gone".into()),
    }
}

fn unlinked(stage: &Stage) -> Found {
    let target = Target::of(stage)?;
    let pin = first(&target.pins(stage)?)?;
    fs::remove_file(&pin)?;
    Ok(format!("{} is gone", pin.display()))
}

fn covered(stage: &Stage) -> Found {
    let target = Target::of(stage)?;
    let pins = target.pins(stage)?;
    mount("tmpfs", &pins, "tmpfs", MountFlags::empty(), None)?;
    let hidden = all(&pins)?.is_empty();
    unmount(&pins, UnmountFlags::empty())?;
    if hidden {
        Ok("the pins were out of sight for a moment".into())
    } else {
        Err(nothing("they are still to be seen"))
    }
}

/// And back.
fn remounted(stage: &Stage) -> Found {
    let target = Target::of(stage)?;
    let pins = target.pins(stage)?;
    let root = pins.parent().ok_or_else(|| absent("the pins have no file system"))?;
    mount_remount(root, MountFlags::RDONLY, c"")?;
    let fixed = fs::create_dir(pins.join("attacks")).is_err();
    mount_remount(root, MountFlags::empty(), c"")?;
    if fixed {
        Ok("nothing could be pinned for a moment".into())
    } else {
        Err(nothing("it can be written to"))
    }
}

/// An empty one is put in its place; what was pinned is gone with the old one.
fn unmounted(stage: &Stage) -> Found {
    let target = Target::of(stage)?;
    let pins = target.pins(stage)?;
    let root = pins.parent().ok_or_else(|| absent("the pins have no file system"))?;
    unmount(root, UnmountFlags::DETACH)?;
    let gone = !pins.exists();
    mount("bpf", root, "bpf", MountFlags::empty(), None)?;
    if gone { Ok("the pins are gone".into()) } else { Err(nothing("they are still there")) }
}
