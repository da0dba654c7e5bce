//! Where the canary's children come from: a process of our own that starts a decoy and an attacker whenever it is asked.
//!
//! Once everything is armed the enforcer executes nothing and forks nobody ([`crate::confine`]), while children die: by the hook
//! that kills. So who starts them is there before, and does nothing else. It hands over those who have said that they are there:
//! who executes a program is given tags by its file, and ours come after.
//!
//! Trusted: both ends, which are ours.

use std::io::{self, IoSlice, IoSliceMut, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, send, sendmsg, socketpair,
};
use rustix::process::{Pid, PidfdFlags, WaitOptions, fchdir, pidfd_open, wait};

use super::child::Child;
use crate::{confine, procfs};

/// What a child says when it is there.
pub(super) const HELLO: &[u8] = b"here\n";
/// Descriptors of a pair: of each, the process and two pipes.
const EACH: usize = 3;
const DESCRIPTORS: usize = 2 * EACH;
/// The longest reason why there is no pair, in bytes.
const LONGEST: usize = 256;
/// Our program, in the topmost folder of our own procfs, in which the nursery lives.
const OURS: &str = "self/exe";
/// Asks for a pair.
const ASK: &[u8] = b"?";

/// The enforcer's end.
#[derive(Debug)]
pub(super) struct Nursery {
    process: OwnedFd,
    line: OwnedFd,
}

/// A decoy, and who attacks it.
#[derive(Debug)]
pub(super) struct Pair {
    // Ends first: what it still holds of the decoy, it lets go of.
    pub(super) attacker: Child,
    pub(super) decoy: Child,
}

impl Nursery {
    /// Starts it.
    pub(super) fn start() -> io::Result<Self> {
        let (line, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let here = open(".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        procfs::ours()?.enter()?;
        let mut command = Command::new(OURS);
        command.args(["canary", "--nursery", "--enforcer", &std::process::id().to_string()]).env_clear();
        let child = command.stdin(theirs).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        fchdir(here)?;
        let child = child?;
        Ok(Self { process: pidfd_open(pid(child.id())?, PidfdFlags::empty())?, line })
    }

    pub(super) fn process(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    /// Readable when there is an answer.
    pub(super) fn line(&self) -> BorrowedFd<'_> {
        self.line.as_fd()
    }

    /// Asks for a pair.
    pub(super) fn ask(&self) -> io::Result<()> {
        send(&self.line, ASK, SendFlags::NOSIGNAL | SendFlags::DONTWAIT).map_err(|error| match error {
            Errno::PIPE | Errno::CONNRESET => ended(),
            other => other.into(),
        })?;
        Ok(())
    }

    /// The pair that was asked for, if it is there; or why there is none.
    pub(super) fn answer(&self) -> io::Result<Option<Pair>> {
        let mut bytes = [0; LONGEST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received = match recvmsg(&self.line, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags) {
            Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
            Err(Errno::CONNRESET) => return Err(ended()),
            other => other?,
        };
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(found) = message {
                descriptors.extend(found);
            }
        }
        let said = bytes.get(..received.bytes).unwrap_or_default();
        if said.is_empty() {
            return Err(ended());
        }
        pair(said, descriptors).map(Some)
    }
}

fn ended() -> io::Error {
    io::Error::new(
        io::ErrorKind::BrokenPipe,
        "who starts the canary's children has ended: start the enforcer anew",
    )
}

/// Decoy first, then the attacker. Without descriptors it is the reason why there are none.
fn pair(said: &[u8], descriptors: Vec<OwnedFd>) -> io::Result<Pair> {
    let why = || io::Error::other(String::from_utf8_lossy(said).into_owned());
    let [process, asks, answers, attacker, its_asks, its_answers] =
        <[OwnedFd; DESCRIPTORS]>::try_from(descriptors).map_err(|_other| why())?;
    let (one, other) = said.split_first_chunk::<4>().ok_or_else(why)?;
    let other = other.first_chunk::<4>().ok_or_else(why)?;
    let decoy = Child::new(u32::from_le_bytes(*one), process, asks, answers)?;
    let attacker = Child::new(u32::from_le_bytes(*other), attacker, its_asks, its_answers)?;
    Ok(Pair { attacker, decoy })
}

/// The nursery's whole life: until nobody asks any more.
pub(super) fn serve(enforcer: u32) -> io::Result<()> {
    nix::sys::signal::SigSet::all().thread_block()?;
    confine::keep(confine::ATTACKING)?;
    let line = io::stdin();
    let mut asked = [0; 1];
    while recv(&line, &mut asked[..], RecvFlags::empty())?.0 > 0 {
        // Those before are gone, or will be.
        while matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {}
        let started = Started::new(None, enforcer).and_then(|decoy| {
            let attacker = Started::new(Some(decoy.pid), enforcer)?;
            Ok([decoy, attacker])
        });
        match started {
            Ok(both) => hand_over(line.as_fd(), &both)?,
            Err(error) => {
                let why = error.to_string();
                let why = why.get(..why.floor_char_boundary(LONGEST)).unwrap_or_default();
                send(&line, why.as_bytes(), SendFlags::NOSIGNAL)?;
            }
        }
    }
    Ok(())
}

fn hand_over(line: BorrowedFd<'_>, both: &[Started; 2]) -> io::Result<()> {
    let pids: Vec<u8> = both.iter().flat_map(|one| one.pid.to_le_bytes()).collect();
    let descriptors: Vec<BorrowedFd<'_>> =
        both.iter().flat_map(|one| one.descriptors.iter().map(OwnedFd::as_fd)).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    sendmsg(line, &[IoSlice::new(&pids)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// A child that has said that it is there.
struct Started {
    pid: u32,
    /// The process, what it is asked by, what it answers by.
    descriptors: [OwnedFd; EACH],
}

impl Started {
    /// Starts one, to attack this process; without one, itself. What is dropped on the way ends it: nobody asks it any more.
    fn new(target: Option<u32>, enforcer: u32) -> io::Result<Self> {
        let mut command = Command::new(OURS);
        command.arg("canary").env_clear();
        if let Some(target) = target {
            command.args(["--target", &target.to_string(), "--enforcer", &enforcer.to_string()]);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        let asks = child.stdin.take().ok_or_else(gone)?;
        let mut answers = child.stdout.take().ok_or_else(gone)?;
        let mut hello = [0; HELLO.len()];
        answers.read_exact(&mut hello)?;
        let process = pidfd_open(pid(child.id())?, PidfdFlags::empty())?;
        Ok(Self { pid: child.id(), descriptors: [process, asks.into(), answers.into()] })
    }
}

fn pid(number: u32) -> io::Result<Pid> {
    i32::try_from(number)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other("a process without a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_descriptors_it_is_the_reason() {
        assert_eq!(pair(b"no room", Vec::new()).unwrap_err().to_string(), "no room");
    }

    #[test]
    fn a_nursery_that_has_ended_is_told_and_waited_for_by_nobody() {
        let (line, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let process = pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).unwrap();
        let nursery = Nursery { process, line };
        assert!(nursery.answer().unwrap().is_none(), "nobody has answered yet");
        drop(theirs);
        for error in [nursery.answer().unwrap_err(), nursery.ask().unwrap_err()] {
            assert_eq!(
                error.to_string(),
                "who starts the canary's children has ended: start the enforcer anew"
            );
        }
    }
}
