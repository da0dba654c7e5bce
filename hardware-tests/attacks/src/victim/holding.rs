//! A victim's secrets: each canary in a place of its own, so that what was stolen tells from where.
//!
//! Trusted: the kernel's random numbers.

use std::collections::BTreeMap;
use std::fs::read_link;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use super::words::{Held, Place};
use crate::call;
use crate::kernel::{Mapping, Side, adopt, attach, fork, leave, pause};

/// `memfd_secret(2)`, which not every C library lists.
pub const SYS_MEMFD_SECRET: i64 = 447;
/// The size of each place.
pub const PAGE: usize = 4096;

/// What keeps the places there.
#[derive(Debug)]
pub(crate) struct Holding {
    pub(crate) told: Held,
    secret: Option<(OwnedFd, Mapping)>,
    memfd: OwnedFd,
    scratch: Mapping,
    /// Mapped for as long as the victim lives.
    _others: (Mapping, Option<Mapping>),
}

impl Holding {
    /// Draws the canaries, puts them where they belong, and starts a child and a thread.
    pub(super) fn take(environment: String) -> Result<Self, Errno> {
        let mut told =
            Held { environment, pid: std::process::id().try_into().unwrap_or(0), ..Held::default() };
        told.spaces = spaces();
        let (memory, place) = in_memory()?;
        told.memory = place;
        let (memfd, place) = in_memfd()?;
        told.memfd = place;
        let secret = in_secret();
        told.secret = secret.as_ref().map(|(_, _, place)| place.clone());
        let (shared, place) = in_shared().unzip();
        told.shared = place;
        let scratch = Mapping::anonymous(PAGE)?;
        // A page that nobody has touched is not there.
        let mut holding = Self {
            told,
            secret: secret.map(|(file, mapping, _)| (file, mapping)),
            memfd,
            scratch,
            _others: (memory, shared),
        };
        holding.scratch.put(&[0]);
        holding.told.scratch = holding.scratch.address();
        // A timer that never runs, for `/proc/V/timers` to tell of. Not every kernel has them.
        call!(libc::SYS_timer_create, libc::CLOCK_MONOTONIC, 0, &mut [0; 4][..]).ok();
        holding.told.child = child()?;
        holding.told.thread = thread()?;
        Ok(holding)
    }

    /// What others wrote to the scratch page, up to the first zero.
    pub(super) fn scratch(&self) -> String {
        let bytes = self.scratch.copy();
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }

    /// A descriptor by its name.
    pub(crate) fn file(&self, which: &str) -> Option<BorrowedFd<'_>> {
        match which {
            "secret" => self.secret.as_ref().map(|(file, _)| file.as_fd()),
            "memfd" => Some(self.memfd.as_fd()),
            _ => None,
        }
    }
}

/// 32 hexadecimal digits that were never there before.
pub fn canary() -> Result<String, Errno> {
    let mut bytes = [0; 16];
    call!(libc::SYS_getrandom, &mut bytes[..], 16, 0)?;
    Ok(format!("{:032x}", u128::from_le_bytes(bytes)))
}

/// Name spaces of its own, as a container has; a second life has them already. Not of System V memory, which
/// would then be out of reach by itself.
pub(super) fn unshare() {
    // A session of its own, and so a group of the scheduler's; then only the parent's end ends it.
    call!(libc::SYS_setsid).ok();
    call!(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL).ok();
    for flag in [libc::CLONE_NEWNS, libc::CLONE_NEWUTS, libc::CLONE_NEWNET, libc::CLONE_NEWCGROUP] {
        // Where it may not, `spaces` tells that it has none.
        call!(libc::SYS_unshare, flag).ok();
    }
}

fn spaces() -> BTreeMap<String, String> {
    let link = |of: &str, name: &str| {
        read_link(format!("/proc/{of}/ns/{name}")).map(|path| path.display().to_string())
    };
    let parent = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get()).to_string();
    let mut spaces = BTreeMap::new();
    for name in ["mnt", "uts", "net", "cgroup"] {
        match (link("self", name), link(&parent, name)) {
            (Ok(own), Ok(parents)) if own != parents => drop(spaces.insert(name.to_owned(), own)),
            _ => {}
        }
    }
    spaces
}

fn in_memory() -> Result<(Mapping, Place), Errno> {
    let canary = canary()?;
    let mut mapping = Mapping::anonymous(PAGE)?;
    mapping.put(canary.as_bytes());
    let place = Place { canary, address: mapping.address(), descriptor: -1 };
    Ok((mapping, place))
}

fn in_memfd() -> Result<(OwnedFd, Place), Errno> {
    let canary = canary()?;
    let file = memfd_create("attacks", MemfdFlags::CLOEXEC)?;
    rustix::io::write(&file, canary.as_bytes())?;
    let place = Place { canary, address: 0, descriptor: file.as_raw_fd() };
    Ok((file, place))
}

/// None where the kernel has no `memfd_secret`, or was not told to.
fn in_secret() -> Option<(OwnedFd, Mapping, Place)> {
    let canary = canary().ok()?;
    let file = adopt(call!(SYS_MEMFD_SECRET, libc::O_CLOEXEC).ok()?).ok()?;
    ftruncate(&file, u64::try_from(PAGE).ok()?).ok()?;
    let mut mapping = Mapping::shared(&file, PAGE).ok()?;
    mapping.put(canary.as_bytes());
    let place = Place { canary, address: mapping.address(), descriptor: file.as_raw_fd() };
    Some((file, mapping, place))
}

/// None where the kernel has no System V memory.
fn in_shared() -> Option<(Mapping, Place)> {
    let canary = canary().ok()?;
    let id = i32::try_from(call!(libc::SYS_shmget, libc::IPC_PRIVATE, PAGE, libc::IPC_CREAT | 0o600).ok()?)
        .ok()?;
    let mapping = attach(id, PAGE, 0);
    // It goes with the last process that has it; until then it can still be attached by its number.
    call!(libc::SYS_shmctl, id, libc::IPC_RMID, 0).ok()?;
    let mut mapping = mapping.ok()?;
    mapping.put(canary.as_bytes());
    let place = Place { canary, address: mapping.address(), descriptor: id };
    Some((mapping, place))
}

/// A child that sleeps. It is waited for until it is sure to die with us: it holds our line, which would never end.
fn child() -> Result<i32, Errno> {
    let (hear, say) = pipe_with(PipeFlags::CLOEXEC)?;
    match fork()? {
        Side::Parent(pid) => {
            drop(say);
            rustix::io::read(&hear, &mut [0; 1])?;
            Ok(pid.as_raw_nonzero().get())
        }
        Side::Child => {
            let mortal = call!(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            if mortal.and(rustix::io::write(&say, b"x")).is_err() {
                leave(1);
            }
            pause()
        }
    }
}

fn thread() -> Result<i32, Errno> {
    let (say, hear) = std::sync::mpsc::channel();
    let body = move || {
        say.send(rustix::thread::gettid().as_raw_nonzero().get()).ok();
        pause()
    };
    std::thread::Builder::new()
        .spawn(body)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))?;
    hear.recv().ok().ok_or(Errno::AGAIN)
}
