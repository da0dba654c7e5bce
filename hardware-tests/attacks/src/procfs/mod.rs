//! Attacks by way of procfs: every file that shows a process's memory, or what leads to it.

mod list;
mod mem;
mod other;
mod ring;
mod stale;
mod views;
mod write;

pub(crate) use mem::{read_victim, written};

use crate::{Probe, flat};

/// Reads a file of `/proc/V` and looks for what a debugger would.
macro_rules! view {
    ($id:literal, $path:literal, $look:path) => {
        Probe::new(concat!("proc/", $id), "proc-view", concat!("/proc/V/", $path), |stage| {
            flat(views::read_and(stage, $path, $look))
        })
    };
}

/// Reads or lists a file of `/proc/V` that is anybody's.
macro_rules! list {
    ($id:literal, $path:literal) => {
        Probe::new(concat!("proc/", $id), "proc-list", concat!("/proc/V/", $path), |stage| {
            flat(list::show(stage, $path))
        })
    };
}

/// Opened before the victim protects itself, read afterwards.
macro_rules! stale {
    ($id:literal, $path:literal, $look:path) => {
        Probe::new(
            concat!("stale/", $id),
            "stale-file",
            concat!("/proc/V/", $path, ", opened before protection"),
            |stage| flat(stale::read_and(stage, $path, $look)),
        )
    };
}

/// All of them.
pub(crate) const PROBES: &[Probe] = &[
    Probe::new("proc/mem-read", "proc-mem", "read /proc/V/mem where the canary is", |stage| {
        flat(mem::read_mem(stage, "mem"))
    }),
    Probe::new("proc/mem-write", "proc-mem", "write to /proc/V/mem", |stage| flat(mem::write(stage))),
    Probe::new("proc/mem-thread", "proc-mem", "read /proc/V/task/T/mem", |stage| {
        flat(mem::read_thread(stage))
    }),
    Probe::new("proc/mem-by-thread", "proc-mem", "read /proc/T/mem", |stage| {
        flat(mem::read_by_thread(stage))
    }),
    Probe::new("proc/mem-child", "proc-mem", "read /proc/CHILD/mem of a child that V forked", |stage| {
        flat(mem::read_child(stage))
    }),
    Probe::new("proc/mem-secret", "proc-mem", "read V's memfd_secret through /proc/V/mem", |stage| {
        flat(mem::read_secret(stage))
    }),
    Probe::new("proc/mem-mount", "proc-mem", "read V's mem through another procfs mount", |stage| {
        flat(other::mounted(stage))
    }),
    Probe::new(
        "proc/mem-fsmount",
        "proc-mem",
        "read V's mem through a procfs that is mounted nowhere",
        |stage| flat(other::detached(stage)),
    ),
    Probe::new("proc/mem-io-uring", "proc-mem", "io_uring: OPENAT and READ of /proc/V/mem", |stage| {
        flat(ring::read(stage))
    }),
    Probe::new("proc/environ", "environ", "read /proc/V/environ", |stage| {
        flat(mem::environ(stage, "environ"))
    }),
    Probe::new("proc/environ-thread", "environ", "read /proc/V/task/T/environ", |stage| {
        flat(mem::environ(stage, &format!("task/{}/environ", stage.victim.held().thread)))
    }),
    view!("auxv", "auxv", views::auxv),
    view!("maps", "maps", views::maps),
    view!("smaps", "smaps", views::maps),
    view!("smaps-rollup", "smaps_rollup", views::rollup),
    view!("numa-maps", "numa_maps", views::maps),
    view!("stack", "stack", views::anything),
    view!("syscall", "syscall", views::anything),
    view!("personality", "personality", views::anything),
    view!("io", "io", views::io),
    view!("wchan", "wchan", views::anything),
    view!("attr-current", "attr/current", views::anything),
    view!("task-maps", "task/T/maps", views::maps),
    Probe::new("proc/pagemap", "proc-view", "/proc/V/pagemap where the canary is", |stage| {
        flat(views::pagemap(stage))
    }),
    Probe::new("proc/map-files-list", "proc-view", "list /proc/V/map_files", |stage| {
        flat(views::directory(stage, "map_files"))
    }),
    Probe::new("proc/map-files-open", "proc-view", "open a file of /proc/V/map_files", |stage| {
        flat(views::map_file(stage))
    }),
    Probe::new("proc/exe", "proc-view", "readlink /proc/V/exe", |stage| flat(views::link(stage, "exe"))),
    Probe::new("proc/exe-open", "proc-view", "open /proc/V/exe", |stage| flat(views::exe(stage))),
    Probe::new("proc/cwd", "proc-view", "readlink /proc/V/cwd", |stage| flat(views::link(stage, "cwd"))),
    Probe::new("proc/cwd-list", "proc-view", "list /proc/V/cwd/..", |stage| {
        flat(views::directory(stage, "cwd/.."))
    }),
    Probe::new("proc/root", "proc-view", "readlink /proc/V/root", |stage| flat(views::link(stage, "root"))),
    Probe::new("proc/root-list", "proc-view", "list /proc/V/root/", |stage| {
        flat(views::directory(stage, "root/"))
    }),
    Probe::new("proc/fdinfo", "proc-view", "read /proc/V/fdinfo/N", |stage| flat(views::fdinfo(stage))),
    Probe::new("proc/fdinfo-list", "proc-view", "list /proc/V/fdinfo", |stage| {
        flat(views::directory(stage, "fdinfo"))
    }),
    Probe::new("proc/fd-readlink", "proc-view", "readlink /proc/V/fd/N", |stage| {
        flat(views::descriptor_link(stage))
    }),
    Probe::new("proc/ns-readlink", "proc-view", "readlink /proc/V/ns/mnt", |stage| {
        flat(views::link(stage, "ns/mnt"))
    }),
    Probe::new("proc/fd-open", "descriptor-open", "open /proc/V/fd/N of a memfd", |stage| {
        flat(views::open_memfd(stage))
    }),
    Probe::new("proc/fd-open-secret", "descriptor-open", "open /proc/V/fd/N of a memfd_secret", |stage| {
        flat(views::open_secret(stage))
    }),
    list!("fd-list", "fd"),
    list!("ns-list", "ns"),
    list!("task-list", "task"),
    list!("cmdline", "cmdline"),
    list!("sched", "sched"),
    list!("schedstat", "schedstat"),
    list!("timers", "timers"),
    list!("ksm-stat", "ksm_stat"),
    list!("autogroup", "autogroup"),
    list!("mountstats", "mountstats"),
    list!("task-children", "task/V/children"),
    Probe::new("proc/coredump-filter", "proc-write", "write /proc/V/coredump_filter", |stage| {
        flat(write::write(stage, "coredump_filter", "0x7f", "0000007f"))
    })
    .spoils(),
    Probe::new("proc/clear-refs", "proc-write", "write /proc/V/clear_refs", |stage| {
        flat(write::write(stage, "clear_refs", "5", ""))
    }),
    Probe::new("proc/timerslack", "proc-write", "write /proc/V/timerslack_ns", |stage| {
        flat(write::write(stage, "timerslack_ns", "123456", "123456"))
    })
    .spoils(),
    Probe::new("proc/autogroup-write", "proc-write", "write /proc/V/autogroup", |stage| {
        flat(write::write(stage, "autogroup", "1", "nice 1"))
    })
    .spoils(),
    Probe::new("stale/mem", "stale-file", "/proc/V/mem, opened before protection", |stage| {
        flat(stale::mem(stage, true))
    }),
    Probe::new(
        "stale/mem-same-image",
        "stale-file",
        "/proc/V/mem of a process that is not executed anew",
        |stage| flat(stale::mem(stage, false)),
    ),
    Probe::new(
        "stale/directory",
        "stale-file",
        "mem opened through a /proc/V that was opened before",
        |stage| flat(stale::directory(stage)),
    ),
    Probe::new(
        "stale/fd-list",
        "stale-file",
        "list a /proc/V/fd that was opened before protection",
        |stage| flat(stale::descriptors(stage)),
    ),
    stale!("environ", "environ", views::environ),
    stale!("maps", "maps", views::maps),
    stale!("syscall", "syscall", views::anything),
    stale!("stack", "stack", views::anything),
    stale!("cmdline", "cmdline", views::anything),
    stale!("io", "io", views::io),
];
