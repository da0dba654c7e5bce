//! tracefs and debugfs: probes in the kernel and in programs, and lists of where they are.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::mount::fresh;
use crate::told::{Found, absent, nothing, told};
use crate::{Probe, Stage};

pub(crate) const PROBES: &[Probe] = &[
    Probe::new("tracefs/kprobe-events", "tracefs", "define a probe in the kernel", |_| {
        told(root().and_then(|root| {
            defined(&root.join("kprobe_events"), "p:attacks/k do_sys_openat2", "-:attacks/k")
        }))
    })
    .invasive(),
    Probe::new("tracefs/uprobe-events", "tracefs", "define a probe in a program", |_| {
        told(root().and_then(|root| uprobe(&root)))
    })
    .invasive(),
    Probe::new(
        "tracefs/kprobe-events-other-mount",
        "tracefs",
        "the same through another mount of tracefs",
        |stage| told(other_mount(stage)),
    )
    .invasive(),
    Probe::new("tracefs/event", "tracefs", "have every system call of everybody written down", |_| {
        told(root().and_then(|root| switched(&root.join("events/raw_syscalls/sys_enter/enable"))))
    })
    .invasive(),
    Probe::new("tracefs/trace", "tracefs", "read what was written down", |_| {
        told(root().and_then(|root| readable(&root.join("trace"))))
    }),
    Probe::new("debugfs/kprobes-list", "debugfs", "read which probes there are", |_| {
        told(readable(Path::new("/sys/kernel/debug/kprobes/list")))
    }),
    Probe::new("debugfs/wakeup-sources", "debugfs", "read another file of debugfs", |_| told(any_file())),
];

fn root() -> io::Result<PathBuf> {
    let roots = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"].map(PathBuf::from);
    let found = roots.into_iter().find(|root| fs::symlink_metadata(root.join("README")).is_ok());
    found.ok_or_else(|| absent("tracefs is not mounted"))
}

/// Adds a line, sees that it is there, and takes it away.
fn defined(list: &Path, line: &str, away: &str) -> Found {
    add(list, line).map_err(missing)?;
    let there = fs::read_to_string(list).is_ok_and(|text| text.contains("attacks/"));
    add(list, away)?;
    if there { Ok(format!("a probe in {}", list.display())) } else { Err(nothing("the probe is not listed")) }
}

fn add(list: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).open(list)?;
    file.write_all(line.as_bytes())
}

/// In our own program, at the file's first byte.
fn uprobe(root: &Path) -> Found {
    let program = fs::read_link("/proc/self/exe")?;
    defined(&root.join("uprobe_events"), &format!("p:attacks/u {}:0x40", program.display()), "-:attacks/u")
}

fn other_mount(stage: &Stage) -> Found {
    let folder = fresh(stage, "tracefs").map_err(missing)?;
    defined(&folder.join("kprobe_events"), "p:attacks/k do_sys_openat2", "-:attacks/k")
}

fn switched(switch: &Path) -> Found {
    let before = fs::read_to_string(switch).map_err(missing)?;
    fs::write(switch, "1")?;
    let after = fs::read_to_string(switch);
    fs::write(switch, before.trim())?;
    match after?.trim() {
        "1" => Ok("system calls were traced for a moment".into()),
        value => Err(nothing(format!("the switch stayed {value}"))),
    }
}

fn readable(path: &Path) -> Found {
    let text = fs::read_to_string(path).map_err(missing)?;
    Ok(format!("{} bytes of {}", text.len(), path.display()))
}

fn any_file() -> Found {
    let names = ["wakeup_sources", "sleep_time", "extfrag/unusable_index", "gpio", "devices_deferred"];
    let files = names.map(|name| Path::new("/sys/kernel/debug").join(name));
    let file = files.iter().find(|file| fs::symlink_metadata(file).is_ok());
    readable(file.ok_or_else(|| absent("debugfs has none of the files that are looked for"))?)
}

fn missing(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ENOENT) => absent(format!("this kernel has no such file: {error}")),
        Some(libc::ENODEV) => absent(format!("this kernel has no such file system: {error}")),
        _ => error,
    }
}
