//! A line between two of our processes: whole messages, each with a descriptor or without.
//!
//! Sequenced packets of a Unix socket pair: a message arrives whole or not at all, and the end of the other
//! process is the end of the line. Nothing is encoded here.
//!
//! Trusted: the other end; it is this program. Lengths are bounded all the same, and what is cut is refused.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// The longest message, in bytes.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// One end of a line; closed on exec.
#[derive(Debug)]
pub struct Line(OwnedFd);

/// What came over a line.
#[derive(Debug)]
pub struct Message {
    /// Never empty.
    pub bytes: Vec<u8>,
    /// The descriptor that came along; closed on exec.
    pub descriptor: Option<OwnedFd>,
}

impl Line {
    /// Both ends of a new line.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(one), Self(other)))
    }

    /// Sends one message, which has at least one byte.
    pub fn send(&self, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        if bytes.is_empty() || bytes.len() > MAX_MESSAGE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<BorrowedFd<'_>> = descriptor.into_iter().collect();
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        sendmsg(&self.0, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Waits for the next message; none at the end of the line.
    pub fn receive(&self) -> io::Result<Option<Message>> {
        let mut bytes = vec![0; MAX_MESSAGE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut into = [IoSliceMut::new(&mut bytes)];
            match recvmsg(&self.0, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => {}
                // The other end died with unread messages before it.
                Err(Errno::CONNRESET) => return Ok(None),
                other => break other?,
            }
        };
        let descriptor = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            RecvAncillaryMessage::ScmCredentials(_) | _ => None,
        });
        if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        bytes.truncate(received.bytes);
        bytes.shrink_to_fit();
        Ok((!bytes.is_empty()).then_some(Message { bytes, descriptor }))
    }

    /// As [`receive`](Self::receive), for as long as `limit`.
    pub fn receive_within(&self, limit: Duration) -> io::Result<Option<Message>> {
        let limit = Timespec::try_from(limit).map_err(io::Error::other)?;
        loop {
            let mut fds = [PollFd::from_borrowed_fd(self.0.as_fd(), PollFlags::IN)];
            match poll(&mut fds, Some(&limit)) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) => return self.receive(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Line {
    fn from(end: OwnedFd) -> Self {
        Self(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn messages_stay_apart_and_descriptors_stay_with_theirs() {
        let (one, other) = Line::pair().unwrap();
        let file = File::open("/dev/null").unwrap();
        one.send(b"first", Some(file.as_fd())).unwrap();
        one.send(b"second", None).unwrap();
        let [first, second] = [(); 2].map(|()| other.receive().unwrap().unwrap());
        assert_eq!((first.bytes.as_slice(), second.bytes.as_slice()), (&b"first"[..], &b"second"[..]));
        assert!(first.descriptor.is_some() && second.descriptor.is_none());
    }

    #[test]
    fn the_end_of_the_other_is_the_end_of_the_line() {
        let (one, other) = Line::pair().unwrap();
        other.send(b"unread", None).unwrap();
        drop(one);
        assert!(other.receive().unwrap().is_none());
        assert_eq!(other.send(b"late", None).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn nothing_and_too_much_are_not_sent() {
        let (one, _other) = Line::pair().unwrap();
        for bytes in [vec![], vec![0; MAX_MESSAGE + 1]] {
            assert_eq!(one.send(&bytes, None).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        }
        one.send(&vec![0; MAX_MESSAGE], None).unwrap();
    }

    #[test]
    fn who_does_not_answer_in_time_is_not_waited_for() {
        let (one, _other) = Line::pair().unwrap();
        let late = one.receive_within(Duration::from_millis(1)).unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }
}
