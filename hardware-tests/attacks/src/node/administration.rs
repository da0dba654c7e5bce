//! What administrators, kubelets and container runtimes do all day, which no guard may take from them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::mount::{alone, folder};
use crate::kernel::{Side, adopt, fork, pause};
use crate::told::{Found, nothing, told};
use crate::{OPEN, Probe, Stage, bpf, call};

pub(crate) const PROBES: &[Probe] = &[
    Probe::new(
        "runtime/freeze-others",
        OPEN,
        "freeze a control group that has nothing of the enforcer's",
        |_| told(Group::with_child().and_then(|group| group.frozen())),
    )
    .invasive(),
    Probe::new(
        "runtime/kill-others",
        OPEN,
        "cgroup.kill of a control group that has nothing of the enforcer's",
        |_| told(Group::with_child().and_then(|group| group.killed())),
    )
    .invasive(),
    Probe::new(
        "runtime/move-others",
        OPEN,
        "move a process that nobody protects to another control group",
        |_| told(Group::with_child().and_then(|group| group.emptied())),
    )
    .invasive(),
    Probe::new("runtime/pin-own", OPEN, "pin a map of one's own, open it, remove it", |stage| {
        told(pinned(stage))
    }),
    Probe::new(
        "runtime/unmount-bpffs",
        OPEN,
        "unmount a file system of pins that has nothing of the enforcer's",
        |stage| told(unmounted(stage)),
    ),
    Probe::new("runtime/perf-self", OPEN, "count one's own processor time", |_| told(super::perf::own())),
    Probe::new("runtime/fanotify-file", OPEN, "watch one file with fanotify", |stage| {
        told(super::fanotify::file(stage))
    }),
    Probe::new("runtime/sysctl-read", OPEN, "read core_pattern, and other switches", |_| {
        told(read_all(&[
            "/proc/sys/kernel/core_pattern",
            "/proc/sys/kernel/randomize_va_space",
            "/proc/sys/fs/file-max",
        ]))
    }),
    Probe::new("runtime/modules-read", OPEN, "read /proc/modules, meminfo, interrupts", |_| {
        told(read_all(&["/proc/meminfo", "/proc/interrupts", "/proc/filesystems", "/proc/self/mountinfo"]))
    }),
    Probe::new("runtime/devices", OPEN, "open /dev/null, zero, urandom, tty", |_| {
        told(read_some(&["/dev/null", "/dev/zero", "/dev/urandom", "/dev/full"]))
    }),
    Probe::new(
        "runtime/own-node",
        OPEN,
        "make a device node of one's own for /dev/null, and open it",
        |stage| told(null(stage)),
    ),
    Probe::new("runtime/core-own", OPEN, "dump a core of a process that nobody protects", |stage| {
        told(core(stage))
    }),
    Probe::new("runtime/io-uring-others", OPEN, "io_uring_setup by a process that nobody protects", |_| {
        told(ring())
    }),
    Probe::new(
        "runtime/userns-others",
        OPEN,
        "unshare(CLONE_NEWUSER) by a process that nobody protects",
        |_| {
            call!(libc::SYS_unshare, libc::CLONE_NEWUSER)
                .map_or_else(Into::into, |_zero| crate::Outcome::got("a user name space"))
        },
    ),
];

/// A control group of our own, with a child in it.
struct Group {
    path: PathBuf,
    child: Pid,
}

impl Group {
    fn with_child() -> io::Result<Self> {
        let path = PathBuf::from(format!("/sys/fs/cgroup/attacks-others-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        let child = match fork()? {
            Side::Child => pause(),
            Side::Parent(pid) => pid,
        };
        let group = Self { path, child };
        group.write("cgroup.procs", &child.to_string())?;
        Ok(group)
    }

    fn write(&self, switch: &str, word: &str) -> io::Result<()> {
        fs::write(self.path.join(switch), word)
    }

    fn frozen(&self) -> Found {
        self.write("cgroup.freeze", "1")?;
        std::thread::sleep(Duration::from_millis(200));
        let events = fs::read_to_string(self.path.join("cgroup.events"))?;
        self.write("cgroup.freeze", "0")?;
        if events.contains("frozen 1") { Ok("a frozen group".into()) } else { Err(nothing(events)) }
    }

    fn killed(&self) -> Found {
        self.write("cgroup.kill", "1")?;
        match waitpid(Some(self.child), WaitOptions::empty())? {
            Some((_, status)) if status.terminating_signal() == Some(libc::SIGKILL) => {
                Ok("a group that was killed".into())
            }
            other => Err(nothing(format!("{other:?}"))),
        }
    }

    fn emptied(&self) -> Found {
        fs::write("/sys/fs/cgroup/cgroup.procs", self.child.to_string())?;
        let left = fs::read_to_string(self.path.join("cgroup.procs"))?;
        if left.is_empty() { Ok("a process in another group".into()) } else { Err(nothing("it stayed")) }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Dead already, perhaps.
        kill_process(self.child, Signal::KILL).ok();
        waitpid(Some(self.child), WaitOptions::empty()).ok();
        fs::remove_dir(&self.path).ok();
    }
}

fn bpffs(stage: &Stage) -> io::Result<PathBuf> {
    alone()?;
    let root = folder(stage, "own-pins")?;
    mount("bpf", &root, "bpf", MountFlags::empty(), None)?;
    Ok(root)
}

fn pinned(stage: &Stage) -> Found {
    let root = bpffs(stage)?;
    let (pin, renamed) = (root.join("map"), root.join("other"));
    bpf::pin(&bpf::array(b"own")?, &pin)?;
    bpf::pinned(&pin)?;
    fs::rename(&pin, &renamed)?;
    fs::remove_file(&renamed)?;
    Ok("a pin that came and went".into())
}

fn unmounted(stage: &Stage) -> Found {
    let root = bpffs(stage)?;
    unmount(&root, UnmountFlags::empty())?;
    Ok("another's pins are gone".into())
}

fn read_all(paths: &[&str]) -> Found {
    for path in paths {
        fs::read(path)?;
    }
    Ok(paths.join(", "))
}

fn read_some(paths: &[&str]) -> Found {
    for path in paths {
        let file = openat(CWD, *path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::io::read(&file, &mut [0; 8])?;
    }
    Ok(paths.join(", "))
}

fn null(stage: &Stage) -> Found {
    let path = stage.directory.join("null");
    let kind = rustix::fs::FileType::CharacterDevice;
    rustix::fs::mknodat(CWD, &path, kind, Mode::RUSR, rustix::fs::makedev(1, 3))?;
    let opened = fs::read(&path);
    fs::remove_file(&path)?;
    opened?;
    Ok("an empty device".into())
}

/// In the folder that it is in, by the pattern that is set.
fn core(stage: &Stage) -> Found {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern")?;
    let folder = folder(stage, "cores")?;
    match fork()? {
        Side::Child => {
            crash(&folder);
            crate::kernel::leave(1)
        }
        Side::Parent(pid) => {
            let status = waitpid(Some(pid), WaitOptions::empty())?;
            let dumped = status.is_some_and(|(_, status)| status.as_raw() & 0x80 != 0);
            let how = pattern.trim();
            if dumped { Ok(format!("a core by {how}")) } else { Err(nothing(format!("no core by {how}"))) }
        }
    }
}

fn crash(folder: &Path) {
    std::env::set_current_dir(folder).ok();
    let most = rustix::process::Rlimit { current: None, maximum: None };
    rustix::process::setrlimit(rustix::process::Resource::Core, most).ok();
    kill_process(rustix::process::getpid(), Signal::ABORT).ok();
}

fn ring() -> Found {
    let mut parameters = [0; 120];
    drop(adopt(call!(libc::SYS_io_uring_setup, 4, &mut parameters[..])?)?);
    Ok("a ring".into())
}
