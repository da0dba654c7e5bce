//! Who asks, and whether the values are theirs.
//!
//! Values are for the program and what it has started: for processes from which a chain of parents leads to us. Each
//! link of the chain is held by a descriptor while it is looked at, so a number that was given to another process
//! meanwhile leads nowhere. An orphan's parent is whoever took it in. Where that is us, it counts as of the tree, unless
//! we are process 1: then we are given the orphans of strangers as well (`kubectl exec` into our container), and only
//! the processes that we have made begin a chain ([`Tops`]).
//!
//! Trusted: the kernel, and `/proc`. Untrusted: the client; it may end at any moment, and is then nobody.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, geteuid, getpid, pidfd_open};

use super::kernel;

/// The longest chain of parents that is followed.
const GENERATIONS: usize = 256;

/// What a client may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Who {
    /// Everything: it is of the program's tree.
    Tree,
    /// How things stand: root, or our own user, from elsewhere.
    Ours,
    /// The same, because this kernel does not say safely which process asks.
    Unsure,
    /// Nothing.
    Stranger,
}

impl Who {
    /// Who connected.
    pub(super) fn is(line: BorrowedFd<'_>, tops: &Tops) -> Self {
        match kernel::peer_process(line).and_then(|process| tops.lead_to(process)) {
            Ok(true) => return Self::Tree,
            Err(error) if is_unknown(&error) && is_ours(line) => return Self::Unsure,
            Ok(false) | Err(_) => {}
        }
        if is_ours(line) { Self::Ours } else { Self::Stranger }
    }

    /// Whether it may see the values.
    pub(super) fn may_read(self) -> bool {
        self == Self::Tree
    }

    /// Whether it may see how things stand.
    pub(super) fn may_look(self) -> bool {
        self != Self::Stranger
    }
}

/// `SO_PEERPIDFD` is not known before Linux 6.5.
fn is_unknown(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOPROTOOPT)
}

fn is_ours(line: BorrowedFd<'_>) -> bool {
    kernel::peer_user(line).is_ok_and(|user| user == 0 || user == geteuid().as_raw())
}

/// Which children of ours begin a chain that counts.
#[derive(Debug, Default)]
pub(super) enum Tops {
    /// All that we have: who is ours descends from us.
    #[default]
    All,
    /// These alone: other children may be anybody's orphans.
    Made(Vec<Pid>),
}

impl Tops {
    /// `made`: the children that we have made.
    pub(super) fn new(made: impl Iterator<Item = Pid>) -> Self {
        if getpid() == Pid::INIT { Self::Made(made.collect()) } else { Self::All }
    }

    /// Whether the chain from one of them leads to `process`.
    fn lead_to(&self, process: OwnedFd) -> io::Result<bool> {
        descends(process, |top| match self {
            Self::All => true,
            Self::Made(made) => top.is_none_or(|top| made.contains(&top)),
        })
    }
}

/// Whether a chain of parents leads from `process` to us.
pub(crate) fn descends_from_us(process: OwnedFd) -> io::Result<bool> {
    descends(process, |_top| true)
}

/// The same, where the last but us of the chain, if it has one, is judged.
fn descends(process: OwnedFd, counts: impl Fn(Option<Pid>) -> bool) -> io::Result<bool> {
    let us = getpid();
    let mut process = process;
    let mut top = None;
    let mut found = number(&process)?;
    for _ in 0..GENERATIONS {
        if found == Some(us) {
            return Ok(counts(top));
        }
        let Some(pid) = found else { return Ok(false) };
        let Some(parent) = parent(pid)? else { return Ok(false) };
        let above = pidfd_open(parent, PidfdFlags::empty())?;
        // As long as a process lives with that parent, the parent's number is nobody else's.
        if self::parent(pid)? != Some(parent) || !lives(&process) {
            return Ok(false);
        }
        process = above;
        top = found;
        found = Some(parent);
    }
    Ok(false)
}

/// The number of a process that lives and that we can see.
fn number(process: &OwnedFd) -> io::Result<Option<Pid>> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", process.as_raw_fd()))?;
    Ok(info.lines().find_map(|line| line.strip_prefix("Pid:")).and_then(pid))
}

/// The parent's number; none for one outside our process namespace.
fn parent(of: Pid) -> io::Result<Option<Pid>> {
    let stat = fs::read_to_string(format!("/proc/{of}/stat"))?;
    Ok(parent_in(&stat))
}

/// The fourth field of `/proc/PID/stat`; the second is in parentheses, and its owner chooses what it says.
fn parent_in(stat: &str) -> Option<Pid> {
    stat.rsplit_once(") ")?.1.split(' ').nth(1).and_then(pid)
}

fn pid(text: &str) -> Option<Pid> {
    text.trim().parse().ok().filter(|number| *number > 0).and_then(Pid::from_raw)
}

fn lives(process: &OwnedFd) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    // Readable once it has ended, pidfd_open(2).
    poll(&mut fds, Some(&now)) == Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;
    use std::process::Command;

    #[test]
    fn we_and_our_children_are_of_our_tree() {
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(Who::is(one.as_fd(), &Tops::All), Who::Tree);
        let mut shell = Command::new("sh").args(["-c", "sleep 60 & wait"]).spawn().unwrap();
        let shell_pid = Pid::from_child(&shell);
        let mut sleeper = None;
        while sleeper.is_none() {
            let children = fs::read_to_string(format!("/proc/{shell_pid}/task/{shell_pid}/children"));
            sleeper = children.unwrap().split(' ').next().and_then(pid);
        }
        let sleeper = sleeper.unwrap();
        let grandchild = pidfd_open(sleeper, PidfdFlags::empty()).unwrap();
        assert!(descends_from_us(grandchild).unwrap());
        rustix::process::kill_process(sleeper, rustix::process::Signal::KILL).unwrap();
        shell.wait().unwrap();
    }

    #[test]
    fn an_orphan_of_anybodys_is_not_of_the_tree_where_we_take_all_in() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let lead = |tops: &Tops| tops.lead_to(pidfd_open(pid, PidfdFlags::empty()).unwrap()).unwrap();
        let found = [Tops::All, Tops::Made(vec![pid]), Tops::Made(Vec::new())].map(|tops| lead(&tops));
        assert_eq!(found, [true, true, false]);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn our_parent_and_the_dead_are_not_of_our_tree() {
        let above = rustix::process::getppid().unwrap();
        assert!(!descends_from_us(pidfd_open(above, PidfdFlags::empty()).unwrap()).unwrap());
        let mut child = Command::new("true").spawn().unwrap();
        let held = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()).unwrap();
        child.wait().unwrap();
        assert!(!descends_from_us(held).unwrap());
    }

    #[test]
    fn a_process_cannot_name_its_parent() {
        assert_eq!(parent_in("7 (x) S 1 (y) R 5 1 1"), Pid::from_raw(5));
        assert_eq!(parent_in("7 (x) S 0 1 1"), None);
        assert_eq!(parent_in("7 x"), None);
    }
}
