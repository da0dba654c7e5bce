//! The kernel's switches in `/proc/sys` and debugfs: what can hand out cores, run programs as root, or switch off all hooks.
//!
//! Each is really changed, read back, and put back as it was.

use std::fs;
use std::io;
use std::path::Path;

use super::mount::fresh;
use crate::told::{Found, absent, nothing, told};
use crate::{OPEN, Probe, Stage};

pub(crate) const PROBES: &[Probe] = &[
    Probe::new("sysctl/core-pattern", "sysctl", "send everybody's cores to a program of one's own", |_| {
        told(change("/proc/sys/kernel/core_pattern", "|/attacks %P"))
    })
    .invasive(),
    Probe::new(
        "sysctl/core-pattern-other-proc",
        "sysctl",
        "the same through another mount of procfs",
        |stage| told(elsewhere(stage, "sys/kernel/core_pattern", "|/attacks %P")),
    )
    .invasive(),
    Probe::new(
        "sysctl/core-pipe-limit",
        "sysctl",
        "keep crashed processes for as long as a core is read",
        |_| told(change("/proc/sys/kernel/core_pipe_limit", "7")),
    )
    .invasive(),
    Probe::new("sysctl/suid-dumpable", "sysctl", "let processes that gave up rights dump core", |_| {
        told(change("/proc/sys/fs/suid_dumpable", "1"))
    })
    .invasive(),
    Probe::new("sysctl/modprobe", "sysctl", "have the kernel run a program of one's own as root", |_| {
        told(change("/proc/sys/kernel/modprobe", "/attacks"))
    })
    .invasive(),
    Probe::new("sysctl/sysrq-trigger", "sysctl", "press a key of SysRq: h, which prints a help", |_| {
        told(help())
    })
    .invasive(),
    Probe::new("sysctl/sysrq", "sysctl", "allow all keys of SysRq", |_| {
        told(change("/proc/sys/kernel/sysrq", "1"))
    })
    .invasive(),
    Probe::new("hooks/ftrace-enabled", "hook-switch", "kernel.ftrace_enabled=0: all trampolines off", |_| {
        told(change("/proc/sys/kernel/ftrace_enabled", "0"))
    })
    .invasive(),
    Probe::new(
        "hooks/ftrace-enabled-other-proc",
        "hook-switch",
        "the same through another mount of procfs",
        |stage| told(elsewhere(stage, "sys/kernel/ftrace_enabled", "0")),
    )
    .invasive(),
    Probe::new(
        "hooks/kprobes-enabled",
        "hook-switch",
        "kprobes/enabled of debugfs to 0: all kprobes off",
        |_| told(change("/sys/kernel/debug/kprobes/enabled", "0")),
    )
    .invasive(),
    Probe::new(
        "runtime/sysctl-network",
        OPEN,
        "change what is nobody's secret: net.ipv4.ip_forward, vm.swappiness",
        |_| told(change("/proc/sys/vm/swappiness", "61")),
    )
    .invasive(),
];

/// Writes another value, sees that it is there, and puts back what was there.
fn change(path: impl AsRef<Path>, other: &str) -> Found {
    let path = path.as_ref();
    let before = fs::read_to_string(path).map_err(missing)?;
    let other = if before.trim() == other { "0" } else { other };
    fs::write(path, other).map_err(missing)?;
    let after = fs::read_to_string(path);
    fs::write(path, before.trim_end())?;
    match after?.trim() {
        value if value == other => Ok(format!("{} was {other} for a moment", path.display())),
        value => Err(nothing(format!("{} stayed {value}", path.display()))),
    }
}

fn elsewhere(stage: &Stage, path: &str, other: &str) -> Found {
    let folder = fresh(stage, "proc")?;
    change(folder.join(path), other)
}

fn help() -> Found {
    fs::write("/proc/sysrq-trigger", "h").map_err(missing)?;
    Ok("a key was pressed".into())
}

fn missing(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::NotFound {
        absent(format!("this kernel has no such switch: {error}"))
    } else {
        error
    }
}
