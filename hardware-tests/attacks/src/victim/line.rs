//! The line itself: a pair of sequenced-packet sockets, whose far end a victim inherits.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::words::Packet;

/// One end.
#[derive(Debug)]
pub(crate) struct Line {
    socket: OwnedFd,
}

/// What a packet brought.
#[derive(Debug)]
pub(super) struct Heard<T> {
    pub(super) number: u32,
    pub(super) words: T,
    pub(super) file: Option<OwnedFd>,
}

impl Line {
    /// Both ends. The second is inherited over `execve`, the first is not.
    pub(super) fn pair() -> Result<(Self, OwnedFd), Errno> {
        let (near, far) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::empty(), None)?;
        rustix::io::fcntl_setfd(&near, rustix::io::FdFlags::CLOEXEC)?;
        Ok((Self { socket: near }, far))
    }

    /// The end that a victim inherited.
    pub(super) const fn of(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// How long hearing may take.
    pub(super) fn patience(&self, time: Duration) -> Result<(), Errno> {
        set_socket_timeout(&self.socket, Timeout::Recv, Some(time))
    }

    /// Says something, and passes a file with it.
    pub(super) fn say<T: Serialize>(
        &self,
        number: u32,
        words: T,
        file: Option<BorrowedFd<'_>>,
    ) -> Result<(), Errno> {
        let bytes = serde_json::to_vec(&Packet { number, words }).ok().ok_or(Errno::INVAL)?;
        let files = file.map(|file| [file]);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if let Some(files) = &files
            && !ancillary.push(SendAncillaryMessage::ScmRights(files))
        {
            return Err(Errno::NOBUFS);
        }
        sendmsg(&self.socket, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Hears something; `PIPE` when the other side is gone.
    pub(super) fn hear<T: DeserializeOwned>(&self) -> Result<Heard<T>, Errno> {
        let mut room = vec![0; 64 * 1024];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let heard = recvmsg(
            &self.socket,
            &mut [IoSliceMut::new(&mut room)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        let bytes = room.get(..heard.bytes).unwrap_or_default();
        if bytes.is_empty() {
            return Err(Errno::PIPE);
        }
        let packet: Packet<T> = serde_json::from_slice(bytes).ok().ok_or(Errno::BADMSG)?;
        let mut file = None;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(mut files) = message {
                file = files.next();
            }
        }
        Ok(Heard { number: packet.number, words: packet.words, file })
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
