//! The kernel's word on the process at the other end of a socket.
//!
//! `SO_PEERCRED` and `SO_PEERPIDFD` name who called `connect`. A number may soon be another process's, a descriptor never
//! is: what was read under the number counts if the descriptor says afterwards that its process lives still. A process whose
//! first thread has ended shows no cgroup of version 1 any more, and would pass for one of the host; it is refused.
//!
//! A socket that is handed on, or inherited, speaks for who connected it. Who ended since is refused.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt};

use super::cgroup::{BadCgroup, Place, Root, place};

/// Who connected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Peer {
    pub(crate) uid: u32,
    /// 0 when it lives in a pid namespace that is not below ours.
    pub(crate) pid: i32,
}

impl Peer {
    pub(crate) fn of(stream: &UnixStream) -> Result<Self, Errno> {
        let found = getsockopt(stream, sockopt::PeerCredentials)?;
        Ok(Self { uid: found.uid(), pid: found.pid() })
    }
}

/// Where the kernel tells of processes, and where kubelet's cgroups begin.
#[derive(Clone, Debug)]
pub(crate) struct Registry {
    pub(crate) proc: PathBuf,
    pub(crate) root: Root,
}

/// How sure a place is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Surety {
    /// By a descriptor of the process.
    Proved,
    /// By its number alone: the kernel is older than Linux 6.5.
    ByNumber,
}

impl Registry {
    /// Where the process is that connected.
    pub(crate) fn place(&self, stream: &UnixStream, peer: Peer) -> Result<(Place, Surety), Unknown> {
        let process = match getsockopt(stream, sockopt::PeerPidfd) {
            Ok(process) => Some(process),
            Err(Errno::ENOPROTOOPT) => None,
            // The process was waited for already: unix(7).
            Err(Errno::ESRCH | Errno::EINVAL | Errno::ENODATA) => return Err(Unknown::Ended),
            Err(source) => return Err(Unknown::Call { call: "SO_PEERPIDFD", source }),
        };
        self.place_of(peer.pid, process.as_ref())
    }

    fn place_of(&self, pid: i32, process: Option<&OwnedFd>) -> Result<(Place, Surety), Unknown> {
        if pid <= 0 {
            return Err(Unknown::Unseen);
        }
        let folder = self.proc.join(pid.to_string());
        let cgroup = read(&folder.join("cgroup"))?;
        // In this order: what had not begun to end afterwards had not before.
        if is_ending(&read(&folder.join("stat"))?)? {
            return Err(Unknown::Ended);
        }
        let surety = match process {
            Some(process) if lives(process)? => Surety::Proved,
            Some(_) => return Err(Unknown::Ended),
            None => Surety::ByNumber,
        };
        Ok((place(&cgroup, &self.root)?, surety))
    }
}

fn read(path: &Path) -> Result<String, Unknown> {
    let gone = [Errno::ENOENT, Errno::ESRCH].map(Some);
    let unreadable = |source: io::Error| {
        if gone.contains(&source.raw_os_error().map(Errno::from_raw)) {
            Unknown::Ended
        } else {
            Unknown::Unreadable { path: path.to_owned(), source }
        }
    };
    let mut text = String::new();
    File::open(path).map_err(unreadable)?.take(LONGEST).read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

/// Whether the first thread of a process ends or has ended: proc(5), `stat`, the third field and the ninth.
fn is_ending(stat: &str) -> Result<bool, Unknown> {
    // The second field is in parentheses, and may have any character in it.
    let fields = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').collect::<Vec<_>>());
    let fields = fields.ok_or(Unknown::Stat)?;
    let state = fields.first().ok_or(Unknown::Stat)?;
    let flags: u64 = fields.get(6).and_then(|flags| flags.parse().ok()).ok_or(Unknown::Stat)?;
    Ok(flags & PF_EXITING != 0 || ["Z", "X", "x"].contains(state))
}

/// `pidfd_open(2)`: readable when the process has ended.
fn lives(process: &OwnedFd) -> Result<bool, Unknown> {
    let mut wanted = [PollFd::new(process.as_fd(), PollFlags::POLLIN)];
    let ended = poll(&mut wanted, PollTimeout::ZERO);
    ended.map(|ended| ended == 0).map_err(|source| Unknown::Call { call: "polling a process", source })
}

/// include/linux/sched.h: "Getting shut down". Set once, and before the task leaves its cgroups.
const PF_EXITING: u64 = 0x4;
/// More than a line for each of fourteen hierarchies, each as long as a path may be.
const LONGEST: u64 = 64 * 1024;

/// Why it is not known where a caller is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unknown {
    #[error("the caller's process is not visible here: expected the host's pid namespace (hostPID: true)")]
    Unseen,
    #[error("the process that connected has ended")]
    Ended,
    #[error(transparent)]
    Cgroup(#[from] BadCgroup),
    #[error("{path}: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("stat: expected the fields of proc(5), found others")]
    Stat,
    #[error("{call}: {source}")]
    Call { call: &'static str, source: Errno },
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::{Command, Stdio};

    use super::*;

    const STAT: &str = "77 (a) b) S 1 77 77 0 -1 4194560 1 0";

    fn registry(cgroup: &str, stat: &str) -> (tempfile::TempDir, Registry) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("77")).unwrap();
        fs::write(folder.path().join("77/cgroup"), cgroup).unwrap();
        fs::write(folder.path().join("77/stat"), stat).unwrap();
        let proc = folder.path().to_owned();
        (folder, Registry { proc, root: Root::parse("/").unwrap() })
    }

    #[test]
    fn without_a_descriptor_the_number_has_to_do() {
        let (_folder, registry) = registry("0::/init.scope\n", STAT);
        assert_eq!(registry.place_of(77, None).unwrap(), (Place::Host, Surety::ByNumber));
        assert!(matches!(registry.place_of(78, None), Err(Unknown::Ended)));
        assert!(matches!(registry.place_of(0, None), Err(Unknown::Unseen)));
    }

    /// Its cgroups of version 1 are all shown as the root by then.
    #[test]
    fn a_process_whose_first_thread_ends_is_not_taken_for_one_of_the_host() {
        for stat in [
            "77 (a) R 1 77 77 0 -1 4194564 1 0",
            "77 (a) Z 1 77 77 0 -1 4194560 1 0",
            "77 (a) X 1 77 77 0 -1 4194560 1 0",
        ] {
            let (_folder, registry) = registry("4:pids:/\n0::/\n", stat);
            assert!(matches!(registry.place_of(77, None), Err(Unknown::Ended)), "{stat}");
        }
        let (_folder, registry) = registry("0::/\n", "77 (a) R 1");
        assert!(matches!(registry.place_of(77, None), Err(Unknown::Stat)));
    }

    /// The number may be somebody else's by now, whatever stands under it.
    #[test]
    fn what_stands_under_the_number_of_a_process_that_has_ended_does_not_count() {
        let (_folder, registry) = registry("0::/init.scope\n", STAT);
        let (ours, theirs) = UnixStream::pair().unwrap();
        let own = getsockopt(&ours, sockopt::PeerPidfd);
        let Ok(own) = own else { return eprintln!("SKIP pidfd: {own:?}, Linux before 6.5") };
        assert_eq!(registry.place_of(77, Some(&own)).unwrap().1, Surety::Proved);
        drop(theirs);
        let folder = tempfile::tempdir().unwrap();
        let door = std::os::unix::net::UnixListener::bind(folder.path().join("door")).unwrap();
        let script = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])";
        let mut child = Command::new("python3")
            .args(["-c", script])
            .arg(folder.path().join("door"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let stream = door.accept().unwrap().0;
        let process = getsockopt(&stream, sockopt::PeerPidfd);
        child.wait().unwrap();
        let found = process.map(|process| registry.place_of(77, Some(&process)));
        assert!(matches!(found, Err(Errno::ESRCH | Errno::EINVAL) | Ok(Err(Unknown::Ended))), "{found:?}");
        let peer = Peer { uid: 0, pid: 77 };
        assert!(matches!(registry.place(&stream, peer), Err(Unknown::Ended)));
    }
}
