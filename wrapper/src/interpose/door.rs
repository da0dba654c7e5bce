//! The door at which programs ask for their values, and who may stand before it.
//!
//! A Unix socket with a random name. Whoever connects must be a process of ours: a descendant of this one, by the
//! kernel's word, and still the one that connected when its turn comes. One message asks: the entries of
//! the environment that bear references, each with its NUL. One answers.
//!
//! Untrusted: every caller and all it says. Messages and callers are bounded; those without a turn wait in the
//! kernel's queue, and strangers are sent away before they say anything.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, recvmsg, sendmsg,
    socket_with,
};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::rand::{GetRandomFlags, getrandom};

use crate::local::kernel::peer_process;
use crate::local::who::descends_from_us;

/// Hexadecimal digits in the abstract namespace.
pub(super) type Name = [u8; 32];

/// Callers that were let in and have not asked yet.
const ROOM: usize = 64;
/// Rooms full that are let in in one go, before others get their turn: who comes fast holds nobody up.
const ROUNDS: usize = 4;
/// Callers that wait outside.
const QUEUE: i32 = 4096;
/// Bytes of a question. Two entries of the longest kind that execve(2) takes do not fit; one does.
const MAX_QUESTION: usize = 192 * 1024;
/// Entries of a question; as many as the library sends.
const MAX_ENTRIES: usize = 512;

/// A listening socket, and those who came.
#[derive(Debug)]
pub(super) struct Door {
    listener: OwnedFd,
    name: Name,
    callers: Vec<Caller>,
}

/// A process of the program's tree.
#[derive(Debug)]
struct Caller {
    line: OwnedFd,
    pid: Pid,
    /// By which it is known even when its number is given to another.
    itself: OwnedFd,
}

/// What somebody asks.
#[derive(Debug)]
pub(super) struct Question {
    /// Who.
    pub(super) pid: Pid,
    /// Entries of its environment.
    pub(super) entries: Vec<Vec<u8>>,
    line: OwnedFd,
}

/// What it is told.
#[derive(Debug)]
pub(super) enum Answer {
    /// To carry its references on.
    Stay,
    /// Its entries, expanded, in this memory, and where each begins.
    Values { memory: OwnedFd, len: u32, starts: Vec<u32> },
    /// To end with this code.
    End(u8),
}

impl Door {
    pub(super) fn open() -> io::Result<Self> {
        let name = random_name()?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let listener = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        bind(&listener, &SocketAddrUnix::new_abstract_name(&name)?)?;
        listen(&listener, QUEUE)?;
        Ok(Self { listener, name, callers: Vec::new() })
    }

    pub(super) const fn name(&self) -> &Name {
        &self.name
    }

    /// What to wait for.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let listener = (self.callers.len() < ROOM).then(|| self.listener.as_fd());
        self.callers.iter().map(|caller| caller.line.as_fd()).chain(listener)
    }

    /// Lets in who came, and returns what was asked. Whoever asks badly is sent away.
    pub(super) fn questions(&mut self) -> io::Result<Vec<Question>> {
        let mut questions = Vec::new();
        for _ in 0..ROUNDS {
            let came = self.let_in()?;
            for caller in std::mem::take(&mut self.callers) {
                match caller.hear() {
                    Heard::Question(entries) => {
                        questions.push(Question { pid: caller.pid, entries, line: caller.line });
                    }
                    Heard::Nothing => self.callers.push(caller),
                    Heard::Nonsense => {}
                }
            }
            if came == 0 {
                break;
            }
        }
        Ok(questions)
    }

    /// How many came, strangers included.
    fn let_in(&mut self) -> io::Result<usize> {
        let mut came: usize = 0;
        while self.callers.len() < ROOM && came < ROOM {
            let line = match accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(line) => line,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(error) => return Err(error.into()),
            };
            came = came.saturating_add(1);
            self.callers.extend(Caller::known(line));
        }
        Ok(came)
    }
}

impl Caller {
    /// The process at the other end, if it is one of ours.
    fn known(line: OwnedFd) -> Option<Self> {
        let pid = socket_peercred(&line).ok()?.pid;
        // Kernels before 6.5 say the number alone: whoever is quick enough to be given the number of a caller that has
        // just ended is taken for it there.
        let itself = peer_process(line.as_fd()).or_else(|_old| Ok(pidfd_open(pid, PidfdFlags::empty())?));
        let itself: OwnedFd = itself.map_err(|_gone: io::Error| ()).ok()?;
        let ours = descends_from_us(itself.try_clone().ok()?).is_ok_and(|ours| ours);
        ours.then_some(Self { line, pid, itself })
    }

    fn lives(&self) -> bool {
        let mut fds = [PollFd::new(&self.itself, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) == Ok(0)
    }

    fn hear(&self) -> Heard {
        let mut question = vec![0; MAX_QUESTION];
        let mut control = RecvAncillaryBuffer::default();
        let mut into = [IoSliceMut::new(&mut question)];
        let message = match recvmsg(&self.line, &mut into, &mut control, RecvFlags::DONTWAIT) {
            Ok(message) => message,
            Err(Errno::AGAIN | Errno::INTR) => return Heard::Nothing,
            Err(_gone) => return Heard::Nonsense,
        };
        question.truncate(message.bytes);
        let whole = !message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
        match entries(&question).filter(|_| whole && self.lives()) {
            Some(entries) => Heard::Question(entries),
            None => Heard::Nonsense,
        }
    }
}

/// What came over a line.
enum Heard {
    Question(Vec<Vec<u8>>),
    Nothing,
    Nonsense,
}

/// Strings that end with NUL, at least one.
fn entries(question: &[u8]) -> Option<Vec<Vec<u8>>> {
    let whole = question.strip_suffix(b"\0")?;
    let entries: Vec<Vec<u8>> = whole.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    (entries.len() <= MAX_ENTRIES).then_some(entries)
}

impl Question {
    /// Tells the caller, who may have gone meanwhile.
    pub(super) fn answer(self, answer: Answer) -> io::Result<()> {
        let (what, code, len, starts, memory) = match answer {
            Answer::Stay => (0, 0, 0, Vec::new(), None),
            Answer::Values { memory, len, starts } => (1, 0, len, starts, Some(memory)),
            Answer::End(code) => (2, code, 0, Vec::new(), None),
        };
        let mut message = vec![what, code, 0, 0];
        message.extend(std::iter::once(len).chain(starts).flat_map(u32::to_le_bytes));
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<BorrowedFd<'_>> = memory.iter().map(AsFd::as_fd).collect();
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        match sendmsg(&self.line, &[IoSlice::new(&message)], &mut control, SendFlags::NOSIGNAL) {
            Ok(_) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn random_name() -> io::Result<Name> {
    let mut random = [0_u8; 16];
    if getrandom(&mut random, GetRandomFlags::empty())? != random.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut name = [0; 32];
    hex::encode_to_slice(random, &mut name).map_err(io::Error::other)?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{connect, send};

    fn knock(door: &Door) -> OwnedFd {
        let line =
            socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        connect(&line, &SocketAddrUnix::new_abstract_name(door.name()).unwrap()).unwrap();
        line
    }

    /// A process of ours asks: the test itself.
    fn asked(questions: &[&[u8]]) -> Vec<Vec<Vec<u8>>> {
        let mut door = Door::open().unwrap();
        let lines: Vec<OwnedFd> = questions
            .iter()
            .map(|question| {
                let line = knock(&door);
                send(&line, question, SendFlags::NOSIGNAL).unwrap();
                line
            })
            .collect();
        let heard = door.questions().unwrap().into_iter().map(|question| question.entries).collect();
        drop(lines);
        heard
    }

    #[test]
    fn a_question_is_strings_with_their_ends() {
        assert_eq!(asked(&[b"A=x\0B=y\0"]), [[b"A=x".to_vec(), b"B=y".to_vec()]]);
    }

    #[test]
    fn a_question_that_is_cut_or_has_no_end_is_not_heard() {
        assert_eq!(asked(&[b"A=x"]), Vec::<Vec<Vec<u8>>>::new());
        let mut long = vec![b'x'; MAX_QUESTION + 1];
        long.push(0);
        assert_eq!(asked(&[&long]), Vec::<Vec<Vec<u8>>>::new());
        assert_eq!(asked(&[&[0; MAX_ENTRIES + 1]]), Vec::<Vec<Vec<u8>>>::new());
        assert_eq!(asked(&[&[0; MAX_ENTRIES]]).len(), 1);
    }

    #[test]
    fn a_caller_that_says_nothing_holds_nobody_up() {
        let mut door = Door::open().unwrap();
        let _silent: Vec<OwnedFd> = (0..10).map(|_| knock(&door)).collect();
        assert!(door.questions().unwrap().is_empty());
        let line = knock(&door);
        send(&line, b"A=x\0", SendFlags::NOSIGNAL).unwrap();
        assert_eq!(door.questions().unwrap().len(), 1);
        assert_eq!(door.descriptors().count(), 11);
    }

    #[test]
    fn a_full_room_lets_nobody_in_until_one_leaves() {
        let mut door = Door::open().unwrap();
        let mut silent: Vec<OwnedFd> = (0..ROOM).map(|_| knock(&door)).collect();
        let line = knock(&door);
        send(&line, b"A=x\0", SendFlags::NOSIGNAL).unwrap();
        assert!(door.questions().unwrap().is_empty());
        assert_eq!(door.descriptors().count(), ROOM, "the listener is not listened to");
        silent.pop();
        assert_eq!(door.questions().unwrap().len() + door.questions().unwrap().len(), 1);
    }
}
