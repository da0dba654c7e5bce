//! fanotify: told of every access to a file system, and handed a descriptor of the file.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::call;
use crate::kernel::adopt;
use crate::told::{Found, nothing, told};
use crate::{OPEN, Probe, Stage};

pub(crate) const PROBES: &[Probe] = &[
    Probe::new("fanotify/filesystem", "fanotify", "watch a whole file system", |stage| {
        told(watch(stage, libc::FAN_MARK_FILESYSTEM))
    }),
    Probe::new("fanotify/mount", "fanotify", "watch a whole mount", |stage| {
        told(watch(stage, libc::FAN_MARK_MOUNT))
    }),
    Probe::new("runtime/inotify", OPEN, "watch one file with inotify", |stage| told(inotify(stage))),
];

fn watch(stage: &Stage, whole: u32) -> Found {
    let group =
        adopt(call!(libc::SYS_fanotify_init, libc::FAN_NONBLOCK | libc::FAN_CLOEXEC, libc::O_RDONLY)?)?;
    let seen = stage.directory.join("seen");
    fs::write(&seen, "seen")?;
    let result = told_of(&group, whole, &seen);
    fs::remove_file(&seen)?;
    result
}

fn told_of(group: &OwnedFd, whole: u32, seen: &std::path::Path) -> Found {
    let path = std::ffi::CString::new(seen.as_os_str().as_encoded_bytes())?;
    let flags = libc::FAN_MARK_ADD | whole;
    call!(libc::SYS_fanotify_mark, group, flags, libc::FAN_OPEN, libc::AT_FDCWD, path.as_c_str())?;
    fs::read(seen)?;
    for _ in 0..50 {
        if let Some(found) = next(group)? {
            return Ok(found);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Err(nothing("no event came"))
}

/// `struct fanotify_event_metadata`: the descriptor is at offset 16.
fn next(group: &OwnedFd) -> io::Result<Option<String>> {
    let mut event = [0; 24];
    match rustix::io::read(group, &mut event) {
        Err(rustix::io::Errno::AGAIN) => return Ok(None),
        other => other?,
    };
    let descriptor =
        event.get(16..).and_then(<[u8]>::first_chunk::<4>).map_or(-1, |bytes| i32::from_ne_bytes(*bytes));
    drop(adopt(descriptor.into())?);
    Ok(Some("a descriptor of a file that somebody opened".into()))
}

fn inotify(stage: &Stage) -> Found {
    use rustix::fs::inotify;
    let group = inotify::init(inotify::CreateFlags::CLOEXEC)?;
    inotify::add_watch(&group, &stage.directory, inotify::WatchFlags::CREATE)?;
    Ok("a watch on one folder".into())
}

/// A mark on one file: no more than inotify tells, and a descriptor of a file that one could open anyway.
pub(super) fn file(stage: &Stage) -> Found {
    watch(stage, 0)
}
