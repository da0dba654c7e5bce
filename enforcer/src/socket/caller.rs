//! Who connected, by the kernel's word.
//!
//! Since Linux 6.5 the socket itself gives a descriptor of the process (`SO_PEERPIDFD`). Before, it gives a number alone: a
//! descriptor is opened by it at once, and counts if the line is held still. What is read of a process by its number counts if
//! the descriptor says afterwards that it lives.
//!
//! Trusted: the kernel. Untrusted: the process.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::procfs;

/// The longest name of a control group that is compared, in bytes.
const LONGEST: usize = 4096;

/// A process at the other end of the socket.
#[derive(Debug)]
pub struct Caller {
    process: OwnedFd,
    pid: u32,
    uid: u32,
    /// Its control groups, as procfs has them: whose places are counted together.
    place: String,
}

impl Caller {
    /// Who connected.
    pub fn of(line: BorrowedFd<'_>) -> Result<Self, Unknown> {
        let peer = getsockopt(&line, sockopt::PeerCredentials)?;
        let pid = u32::try_from(peer.pid()).ok().filter(|pid| *pid > 0).ok_or(Unknown::Unseen)?;
        let process = match getsockopt(&line, sockopt::PeerPidfd) {
            Ok(process) => process,
            Err(Errno::ENOPROTOOPT) => by_number(line, peer.pid())?,
            Err(Errno::ESRCH | Errno::EINVAL | Errno::ENODATA) => return Err(Unknown::Ended),
            Err(error) => return Err(error.into()),
        };
        let procfs = procfs::ours().map_err(Unknown::Call)?;
        let mut place = procfs.text(&format!("{pid}/cgroup")).unwrap_or_default();
        place.truncate(place.floor_char_boundary(LONGEST));
        let caller = Self { process, pid, uid: peer.uid(), place };
        if caller.lives() { Ok(caller) } else { Err(Unknown::Ended) }
    }

    /// A descriptor of it.
    #[must_use]
    pub fn process(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    /// Its number, where we are.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it is root of the machine, not of a name space.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// Its control groups.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Whether it has not ended: what was read of it by its number before was read of it.
    #[must_use]
    pub fn lives(&self) -> bool {
        !is_readable(self.process.as_fd(), PollFlags::IN)
    }
}

/// Before Linux 6.5. The number is another's by now only if who connected has ended, and somebody else holds the line: where
/// nobody does it has been hung up. Numbers are given out in turn, so that this one would have to come round meanwhile.
fn by_number(line: BorrowedFd<'_>, pid: i32) -> Result<OwnedFd, Unknown> {
    let pid = Pid::from_raw(pid).ok_or(Unknown::Unseen)?;
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(rustix::io::Errno::SRCH) => return Err(Unknown::Ended),
        Err(error) => return Err(Unknown::Call(error.into())),
    };
    if is_readable(line, PollFlags::HUP) { Err(Unknown::Ended) } else { Ok(process) }
}

fn is_readable(fd: BorrowedFd<'_>, flags: PollFlags) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, flags)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let found = poll(&mut fds, Some(&now)).is_err();
    let [fd] = fds;
    found || fd.revents().intersects(flags)
}

/// Why it is not known who connected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unknown {
    /// It lives where we do not see.
    #[error("the caller's process is not visible here: expected the host's pid namespace (hostPID: true)")]
    Unseen,
    /// It has gone.
    #[error("the process that connected has ended")]
    Ended,
    /// The kernel did not say.
    #[error("asking the kernel who connected: {0}")]
    Call(io::Error),
}

impl From<Errno> for Unknown {
    fn from(error: Errno) -> Self {
        Self::Call(error.into())
    }
}
