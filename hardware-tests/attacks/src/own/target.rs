//! Whom the attacks are on: the enforcer that listens at the socket, or a stand-in of our own.
//!
//! The stand-in is a child that does next to nothing, in two control groups of its own, one in the other; its pins are in a file
//! system of BPF that is mounted where nobody else sees it. It is gone when this is dropped.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::{MountFlags, mount};
use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, kill_process, pidfd_open, setpgid, waitpid,
};

use crate::kernel::{Mapping, Side, fork};
use crate::node::mount::{alone, folder};
use crate::told::absent;
use crate::{Run, Stage};

/// Where the enforcer hangs up its maps, programs and links.
const PINS: &str = "/sys/fs/bpf/cloudtaser";
/// The control groups' file system.
const CGROUPS: &str = "/sys/fs/cgroup";

/// A process that is attacked.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) pid: Pid,
    stand_in: bool,
}

impl Target {
    /// The enforcer in the protected run, a stand-in in the other.
    pub(crate) fn of(stage: &Stage) -> io::Result<Self> {
        match &stage.run {
            Run::Protected(socket) => Ok(Self { pid: listener(socket)?, stand_in: false }),
            Run::Bare => Self::stand_in(),
        }
    }

    fn stand_in() -> io::Result<Self> {
        match fork()? {
            Side::Child => {
                setpgid(None, None).ok();
                busy()
            }
            Side::Parent(pid) => {
                // Done by the child as well: whoever is first.
                setpgid(Some(pid), None).ok();
                Ok(Self { pid, stand_in: true })
            }
        }
    }

    pub(crate) fn number(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// A file of its in `/proc`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.number()))
    }

    /// Does this, and says whether it has died of it.
    pub(crate) fn dies(&self, of: impl FnOnce() -> io::Result<()>) -> io::Result<bool> {
        let process = pidfd_open(self.pid, PidfdFlags::empty())?;
        of()?;
        let time = Timespec { tv_sec: 5, tv_nsec: 0 };
        Ok(poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&time))? > 0)
    }

    /// The letter of its state: `T` when it is stopped.
    pub(crate) fn state(&self) -> io::Result<char> {
        // What was asked for happens soon, not at once.
        std::thread::sleep(Duration::from_millis(100));
        let stat = fs::read_to_string(self.file("stat"))?;
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        state.ok_or_else(|| absent("a state that cannot be read"))
    }

    /// The control group that it is in. One that is in the topmost, which has no switches, is first moved into groups of
    /// the attacker's own.
    pub(crate) fn group(&self) -> io::Result<PathBuf> {
        let text = fs::read_to_string(self.file("cgroup"))?;
        let path = text.lines().find_map(|line| line.strip_prefix("0::/"));
        let path = path.ok_or_else(|| absent("no control group of the second version"))?;
        if !path.is_empty() && !self.stand_in {
            return Ok(Path::new(CGROUPS).join(path));
        }
        let group = Path::new(CGROUPS).join(format!("attacks-{}", getpid())).join("inner");
        fs::create_dir_all(&group)?;
        fs::write(group.join("cgroup.procs"), self.number().to_string())?;
        Ok(group)
    }

    /// The control group above its own.
    pub(crate) fn group_above(&self) -> io::Result<PathBuf> {
        let group = self.group()?;
        let above = group.parent().filter(|above| above.starts_with(CGROUPS) && *above != Path::new(CGROUPS));
        above
            .map(Path::to_path_buf)
            .ok_or_else(|| absent("nothing but the topmost group is above the enforcer's"))
    }

    /// The folder of its pins. The stand-in's has one map, `map`, and an empty folder, `empty`.
    pub(crate) fn pins(&self, stage: &Stage) -> io::Result<PathBuf> {
        if !self.stand_in {
            fs::metadata(PINS).map_err(|error| absent(format!("{PINS}: {error}")))?;
            return Ok(PINS.into());
        }
        alone()?;
        let root = folder(stage, "pins")?;
        mount("bpf", &root, "bpf", MountFlags::empty(), None)?;
        let pins = root.join("cloudtaser");
        fs::create_dir_all(pins.join("empty"))?;
        crate::bpf::pin(&crate::bpf::array(b"stand_in")?, &pins.join("map"))?;
        Ok(pins)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.stand_in {
            return;
        }
        // Whatever of this fails was not there.
        kill_process(self.pid, Signal::KILL).ok();
        waitpid(Some(self.pid), WaitOptions::empty()).ok();
        let above = Path::new(CGROUPS).join(format!("attacks-{}", getpid()));
        drop(fs::remove_dir(above.join("inner")));
        drop(fs::remove_dir(above));
    }
}

/// Needs a little memory again and again, as every program that does something.
fn busy() -> ! {
    loop {
        std::thread::sleep(Duration::from_millis(20));
        // New pages each time: an allocator would keep the old ones.
        Mapping::anonymous(PAGES.len()).map(|mut mapping| mapping.put(&PAGES)).ok();
    }
}

static PAGES: [u8; 1 << 16] = [1; 1 << 16];

/// Who looks after the enforcer starts it again when an attack has killed it.
fn listener(path: &Path) -> io::Result<Pid> {
    for _ in 0..PATIENCE {
        if let Ok(pid) = connected(path) {
            return Ok(pid);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    connected(path)
}

/// In tenths of a second: loading its programs takes an emulated machine some seconds.
const PATIENCE: u32 = 400;

fn connected(path: &Path) -> io::Result<Pid> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)
        .map_err(|error| absent(format!("the enforcer: {error}")))?;
    Ok(socket_peercred(&socket)?.pid)
}
