//! Files that are not there: a program opens `/run/cloudtaser/secrets/NAME`, and reads a value.
//!
//! Before its `execve` the program's process installs a filter (`filter`) that has the kernel ask us about every file that is
//! opened or looked at, by it and by all that it starts; the descriptor on which the kernel asks goes to the keeper.
//! [`Files`] answers: one end of a socket pair with the value (`gift`), or how a file looks (`face`). Every other
//! path goes on to the kernel, which reads it again: the program may change it meanwhile and gets what it could have
//! had anyway. The filter keeps nobody from anything; it serves.
//!
//! Trusted: the kernel's word that a process of the program's tree asks. Untrusted: paths, addresses and flags.

mod asker;
mod call;
mod face;
mod filter;
mod gift;
mod kernel;
mod part;
pub mod path;
pub(crate) mod unasked;

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::say;
use asker::Asker;
use call::{Answer, Request};
use face::Face;
use gift::{Gift, Given};
use kernel::{Notice, Verdict};

/// Questions that are answered in one go, before others get their turn.
const ROUND: usize = 64;
/// Readers of large values that may be on their way at once; the next finds too many open files.
const GIFTS: usize = 256;
/// `CAP_SYS_PTRACE`, capabilities(7).
const SYS_PTRACE: u32 = 19;

/// A value that can be read as a file.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// The variable, which is the file's name.
    pub name: &'a str,
    /// The value now.
    pub value: &'a [u8],
    /// Another number for another value.
    pub generation: u64,
    /// Seconds since 1970 when it came.
    pub since: i64,
}

/// What the keeper answers for.
#[derive(Debug, Default)]
pub struct Files {
    listeners: Vec<OwnedFd>,
    gifts: Vec<Underway>,
    /// Files that were opened.
    opened: u64,
    told: bool,
    /// Of which values, and since when.
    known: Option<(u64, i64)>,
}

#[derive(Debug)]
struct Underway {
    gift: Gift,
    name: String,
    generation: u64,
}

/// In the process that becomes the program: has the kernel ask whoever holds this descriptor about files.
pub(crate) fn listen() -> io::Result<OwnedFd> {
    kernel::install(&mut filter::program())
}

impl Files {
    /// Nothing to answer yet. Refused if the kernel and its rules would not let us answer.
    pub fn new() -> Result<Self, Refused> {
        if !kernel::sizes_are_known().map_err(Refused::Filter)? {
            return Err(Refused::Sizes);
        }
        let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
        let strict = matches!(scope.trim(), "2" | "3");
        if strict && !may_trace_anybody() {
            return Err(Refused::Yama);
        }
        Ok(Self::default())
    }

    /// Takes over the descriptor of a program that was just started.
    fn adopt(&mut self, listener: OwnedFd) {
        kernel::wake_at_once(listener.as_fd());
        self.listeners.push(listener);
    }

    /// What to wait for.
    fn waiting(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let listeners = self.listeners.iter().map(|listener| (listener.as_fd(), PollFlags::IN));
        listeners.chain(self.gifts.iter().map(|underway| (underway.gift.as_fd(), PollFlags::OUT)))
    }

    /// Does what can be done without waiting.
    fn serve(&mut self, shown: &[Shown<'_>]) {
        for _ in 0..ROUND {
            let ready = self.ready();
            if ready.iter().all(PollFlags::is_empty) {
                return;
            }
            let mut ready = ready.into_iter();
            let mut next = || ready.next().unwrap_or(PollFlags::empty());
            let listeners = std::mem::take(&mut self.listeners);
            // Decided before the gifts of this round are added.
            let gifts = self.gifts.len();
            for listener in listeners {
                if self.ask(&listener, next(), shown) {
                    self.listeners.push(listener);
                }
            }
            let later = self.gifts.split_off(gifts);
            for underway in std::mem::take(&mut self.gifts) {
                let underway = if next().is_empty() { Some(underway) } else { underway.go_on(shown) };
                self.gifts.extend(underway);
            }
            self.gifts.extend(later);
        }
    }

    /// What is there now for each of [`waiting`](Self::waiting).
    fn ready(&self) -> Vec<PollFlags> {
        let mut fds: Vec<_> = self.waiting().map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)).collect();
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if fds.is_empty() || poll(&mut fds, Some(&now)).is_err() {
            // Interrupted: there is another time.
            return Vec::new();
        }
        fds.iter().map(PollFd::revents).collect()
    }

    /// Answers a question that is there. False: nobody is left who could ask.
    fn ask(&mut self, listener: &OwnedFd, found: PollFlags, shown: &[Shown<'_>]) -> bool {
        if !found.contains(PollFlags::IN) {
            return !found.contains(PollFlags::HUP);
        }
        let notice = match kernel::receive(listener.as_fd()) {
            Ok(notice) => notice,
            // Whoever asked was killed meanwhile, or we are to look again.
            Err(error) => return matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)),
        };
        let (listener, id) = (listener.as_fd(), notice.id);
        // An answer that comes too late is nobody's loss.
        if let Err(error) = self.answer(listener, &notice, shown)
            && error.raw_os_error() != Some(libc::ENOENT)
        {
            kernel::answer(listener, id, Verdict::Error(libc::EIO)).unwrap_or_default();
        }
        true
    }

    fn answer(&mut self, listener: BorrowedFd<'_>, notice: &Notice, shown: &[Shown<'_>]) -> io::Result<()> {
        let Some((asker, request, index)) = self.question(listener, notice, shown) else {
            return kernel::answer(listener, notice.id, Verdict::GoesOn);
        };
        let Some(file) = shown.get(index) else {
            return kernel::answer(listener, notice.id, Verdict::GoesOn);
        };
        let request = with_flags(asker, request)?;
        match call::answer(request, &face(asker, request, file, index)?) {
            Answer::Done => kernel::answer(listener, notice.id, Verdict::Result(0)),
            Answer::Refused(error) => kernel::answer(listener, notice.id, Verdict::Error(error)),
            Answer::Bytes(place, bytes) => {
                let verdict =
                    asker.write(place, &bytes).map_or(Verdict::Error(libc::EFAULT), |()| Verdict::Result(0));
                kernel::answer(listener, notice.id, verdict)
            }
            Answer::Value { .. } if self.gifts.len() >= GIFTS => {
                kernel::answer(listener, notice.id, Verdict::Error(libc::ENFILE))
            }
            Answer::Value { close_on_exec } => {
                let (reader, given) = Gift::of(file.value)?;
                kernel::answer_with(listener, notice.id, reader.as_fd(), close_on_exec)?;
                self.opened = self.opened.saturating_add(1);
                if let Given::Partly(gift) = given {
                    let (name, generation) = (file.name.to_owned(), file.generation);
                    self.gifts.push(Underway { gift, name, generation });
                }
                Ok(())
            }
        }
    }

    /// What is asked of which of our files; none if it is about another.
    fn question<'l>(
        &mut self,
        listener: BorrowedFd<'l>,
        notice: &Notice,
        shown: &[Shown<'_>],
    ) -> Option<(Asker<'l>, Request, usize)> {
        let asker = Asker { listener, id: notice.id, thread: notice.thread? };
        let (address, request) = call::request(filter::call(notice.number)?, notice.arguments);
        let mut bytes = [0; path::LONGEST];
        match asker.read(address, &mut bytes) {
            Ok(len) => {
                let name = path::name(bytes.get(..len)?)?;
                let index = shown.iter().position(|file| file.name == name)?;
                Some((asker, request, index))
            }
            Err(error) => {
                self.tell(&error);
                None
            }
        }
    }

    /// Once: a process that we cannot look into finds no files of ours.
    fn tell(&mut self, error: &io::Error) {
        if !self.told && error.raw_os_error() == Some(libc::EPERM) {
            self.told = true;
            say(
                "files: a process of the program may not be looked into (another user, or not dumpable, and we lack CAP_SYS_PTRACE): it finds no files",
            );
        }
    }
}

impl Underway {
    /// None: it is done, or cannot be; then the reader has an error.
    fn go_on(self, shown: &[Shown<'_>]) -> Option<Self> {
        let Self { gift, name, generation } = self;
        let same = |file: &&Shown<'_>| file.name == name && file.generation == generation;
        match gift.go_on(shown.iter().find(same)?.value) {
            Ok(Given::Partly(gift)) => Some(Self { gift, name, generation }),
            Ok(Given::Whole) | Err(_) => None,
        }
    }
}

/// `openat2` has its flags in memory; the other requests are complete.
fn with_flags(asker: Asker<'_>, request: Request) -> io::Result<Request> {
    let Request::OpenHow(place) = request else { return Ok(request) };
    // `struct open_how`, openat2(2): flags, mode, resolve.
    let mut flags = [0; 8];
    if asker.read(place, &mut flags)? != flags.len() {
        return Err(io::Error::from_raw_os_error(libc::EFAULT));
    }
    Ok(Request::Open(u64::from_le_bytes(flags)))
}

fn face(asker: Asker<'_>, request: Request, file: &Shown<'_>, index: usize) -> io::Result<Face> {
    let (user, group) = match request {
        Request::Stat(_) | Request::Statx(_) => asker.owner()?,
        // Nobody looks.
        Request::Open(_) | Request::OpenHow(_) | Request::Access(_) => (0, 0),
    };
    let len = u64::try_from(file.value.len()).unwrap_or(u64::MAX);
    let number = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
    Ok(Face { number, len, user, group, modified: file.since })
}

fn may_trace_anybody() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let held = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let held = held.and_then(|held| u64::from_str_radix(held.trim(), 16).ok());
    held.is_some_and(|held| held & (1 << SYS_PTRACE) != 0)
}

/// Why files cannot be served; the program is not started then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The kernel or a security profile does not let a filter ask.
    #[error(
        "files cannot be served: seccomp user notification is refused ({0}); a variable can hold the value instead (FIELD=NAME), or the program can ask CLOUDTASER_SOCKET"
    )]
    Filter(io::Error),
    /// A kernel whose questions have another shape.
    #[error("files cannot be served: this kernel's seccomp notifications have an unknown size")]
    Sizes,
    /// The paths that the program asks for cannot be read.
    #[error(
        "files cannot be served: yama ptrace_scope 2 or 3 keeps us from reading which path the program opens"
    )]
    Yama,
}
