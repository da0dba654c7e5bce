//! What happens to this machine, told by its kernel.
//!
//! Evidence says what a machine was. Whatever may have changed it since is a reason to ask again: a clock that was set, a
//! sleep, a kernel module, a file that the operator names (the socket of a program that guards the machine). All of it
//! arrives on descriptors: between two events this costs nothing.
//!
//! Untrusted: how much happens. The member asks no more often for it than it can bear.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, socket,
};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// What is watched.
#[derive(Debug)]
pub(super) struct Watch {
    clock: TimerFd,
    kernel: OwnedFd,
    folders: Inotify,
    files: BTreeMap<PathBuf, Option<Identity>>,
}

/// A file, and no other that has its name.
type Identity = (u64, u64, i64, i64);

/// What happened.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Happening {
    /// The clock was set, or the machine slept.
    Clock,
    /// A kernel module came or went.
    Module(String),
    /// So much that the kernel lost count.
    Much,
    /// A watched file came, went, or is another one.
    File(PathBuf),
}

impl Watch {
    /// Begins to watch.
    pub(super) fn start(files: &[PathBuf]) -> Result<Self, Unwatched> {
        let clock = TimerFd::new(ClockId::CLOCK_REALTIME, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)
            .map_err(calling("timerfd_create"))?;
        arm(&clock).map_err(calling("timerfd_settime"))?;
        let folders =
            Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).map_err(calling("inotify_init"))?;
        for file in files {
            let unwatched = |source| Unwatched::Folder { folder: folder(file).to_owned(), source };
            watch_folder(&folders, file).map_err(unwatched)?;
        }
        let files = files.iter().map(|file| (file.clone(), identity(file))).collect();
        Ok(Self { clock, kernel: kernel()?, folders, files })
    }

    /// What to wait on.
    pub(super) fn descriptors(&self) -> [BorrowedFd<'_>; 3] {
        [self.clock.as_fd(), self.kernel.as_fd(), self.folders.as_fd()]
    }

    /// What has happened since the last look.
    pub(super) fn look(&mut self) -> Vec<Happening> {
        let mut found = Vec::new();
        // Nobody waits for the timer to end: it is there to be cancelled when the clock is set.
        if self.clock_was_set() {
            found.push(Happening::Clock);
            // A clock that cannot be watched any more is one that nobody vouches for.
            if let Err(error) = arm(&self.clock) {
                crate::journal::write(&format_args!("watching the clock: {error}"));
            }
        }
        found.extend(self.modules());
        // What is asked is not which events there were but whether the file is the same.
        for _ in 0..MOST_MESSAGES {
            if self.folders.read_events().map_or(true, |events| events.is_empty()) {
                break;
            }
        }
        for (path, seen) in &mut self.files {
            // A folder that was removed and made anew, as a program's own under /run is, is another one to the kernel. While
            // there is none, there is nothing to watch either: the file is told as gone, and looked for at the next event.
            watch_folder(&self.folders, path).unwrap_or_default();
            let now = identity(path);
            if std::mem::replace(seen, now) != now {
                found.push(Happening::File(path.clone()));
            }
        }
        found
    }

    fn clock_was_set(&self) -> bool {
        let mut expirations = [0; 8];
        matches!(nix::unistd::read(&self.clock, &mut expirations), Err(Errno::ECANCELED))
    }

    fn modules(&self) -> Vec<Happening> {
        let mut found = Vec::new();
        let mut message = [0; 4096];
        for _ in 0..MOST_MESSAGES {
            match recvfrom::<NetlinkAddr>(self.kernel.as_raw_fd(), &mut message) {
                // Only the kernel has no process.
                Ok((length, Some(from))) if from.pid() == 0 => {
                    found.extend(module(message.get(..length).unwrap_or_default()));
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::ENOBUFS) => found.push(Happening::Much),
                Err(_) => break,
            }
        }
        found
    }
}

/// For ever, but cancelled as soon as the clock is set or the machine wakes up.
fn arm(clock: &TimerFd) -> nix::Result<()> {
    let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
    clock.set(Expiration::OneShot(TimeSpec::new(FOR_EVER, 0)), flags)
}

/// The kernel's broadcasts about its devices and modules.
fn kernel() -> Result<OwnedFd, Unwatched> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let protocol = SockProtocol::NetlinkKObjectUEvent;
    let socket = socket(AddressFamily::Netlink, SockType::Datagram, flags, protocol)
        .map_err(calling("opening the kernel's event socket"))?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, KERNEL_EVENTS))
        .map_err(calling("binding the kernel's event socket"))?;
    Ok(socket)
}

/// `add@/module/NAME`, and `KEY=VALUE` after that, each with a zero at its end.
fn module(message: &[u8]) -> Option<Happening> {
    let head = message.split(|byte| *byte == 0).next()?;
    let (action, path) = std::str::from_utf8(head).ok()?.split_once('@')?;
    let name = path.strip_prefix("/module/").filter(|_| matches!(action, "add" | "remove"))?;
    let name: String = name.chars().filter(char::is_ascii_graphic).take(64).collect();
    Some(Happening::Module(format!("{action} {name}")))
}

/// Does nothing to a folder that is watched.
fn watch_folder(folders: &Inotify, file: &Path) -> nix::Result<()> {
    let changes = AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_DELETE
        | AddWatchFlags::IN_MOVED_FROM
        | AddWatchFlags::IN_MOVED_TO;
    folders.add_watch(folder(file), changes).map(drop)
}

fn folder(file: &Path) -> &Path {
    file.parent().unwrap_or(file)
}

fn identity(path: &Path) -> Option<Identity> {
    let found = fs::symlink_metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.ctime(), found.ctime_nsec()))
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clock => f.write_str("the clock was set, or the machine slept"),
            Self::Module(what) => write!(f, "kernel module: {what}"),
            Self::Much => f.write_str("more kernel events than could be read"),
            Self::File(path) => write!(f, "{} came, went or was replaced", path.display()),
        }
    }
}

/// Why something cannot be watched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unwatched {
    /// A failed call.
    #[error("{call}: {source}")]
    Call {
        /// What was tried.
        call: &'static str,
        /// What the kernel said.
        source: Errno,
    },
    /// The folder of a watched file.
    #[error("watching {}: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the kernel said.
        source: Errno,
    },
}

fn calling(call: &'static str) -> impl Fn(Errno) -> Unwatched {
    move |source| Unwatched::Call { call, source }
}

/// What the kernel itself says (`NETLINK_KOBJECT_UEVENT`, group 1); group 2 is udev's.
const KERNEL_EVENTS: u32 = 1;
/// In one look; the rest is for the next one.
const MOST_MESSAGES: usize = 256;
/// The year 2286: far enough, and a number that every kernel takes.
const FOR_EVER: i64 = 10_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_comes_or_goes_is_told_and_other_devices_are_not() {
        let told = |text: &str| module(text.as_bytes());
        let event = "add@/module/loop\0ACTION=add\0DEVPATH=/module/loop\0SUBSYSTEM=module\0SEQNUM=7\0";
        assert_eq!(told(event), Some(Happening::Module("add loop".to_owned())));
        assert_eq!(told("remove@/module/a\u{1b}b"), Some(Happening::Module("remove ab".to_owned())));
        for other in ["add@/devices/virtual/net/lo\0", "change@/module/loop\0", "libudev\0", "", "add@"] {
            assert_eq!(told(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_file_that_is_replaced_is_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("enforcer.sock");
        let mut watch = Watch::start(std::slice::from_ref(&file)).unwrap();
        assert!(!watch.look().contains(&Happening::File(file.clone())));
        for replaced in [1, 2] {
            fs::write(folder.path().join("new"), [replaced]).unwrap();
            fs::rename(folder.path().join("new"), &file).unwrap();
            assert!(watch.look().contains(&Happening::File(file.clone())));
            assert!(!watch.look().contains(&Happening::File(file.clone())));
        }
        fs::remove_file(&file).unwrap();
        assert!(watch.look().contains(&Happening::File(file)));
    }

    #[test]
    fn a_folder_that_is_made_anew_is_watched_again() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("enforcer");
        let file = folder.join("sock");
        fs::create_dir(&folder).unwrap();
        fs::write(&file, "").unwrap();
        let mut watch = Watch::start(std::slice::from_ref(&file)).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert!(watch.look().contains(&Happening::File(file.clone())));
        fs::create_dir(&folder).unwrap();
        assert!(!watch.look().contains(&Happening::File(file.clone())));
        fs::write(&file, "").unwrap();
        assert_ne!(watch.folders.read_events().unwrap().len(), 0);
        assert!(watch.look().contains(&Happening::File(file)));
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = Watch::start(&["/nonexistent/enforcer.sock".into()]).unwrap_err();
        assert_eq!(error.to_string(), "watching /nonexistent: ENOENT: No such file or directory");
    }
}
