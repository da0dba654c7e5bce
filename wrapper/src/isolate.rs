//! A process of its own for everything that talks to others.
//!
//! Keys, TLS and parsers live and die there. What comes back is secret memory, by descriptor, and a list of
//! what lies where. The process that stays stays small, and never holds anything but values.
//!
//! Trusted: the other half; it is this program. Its message is checked all the same.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use secretmem::{Region, Values};

use crate::graft::kernel::{self, Side};
use crate::graft::{Secrets, Unfit, wait_for};
use crate::release::{Place, Released};
use crate::signals::{News, Signals};
use crate::supervise;

/// The longest list of places, in bytes.
const MAX_LIST: usize = 64 * 1024;

/// Which half of the program this is.
#[derive(Debug)]
pub enum Half {
    /// The one that fetches.
    Fetcher(Line),
    /// The one that stays.
    Keeper(Fetching),
}

/// The fetcher's end of the line between the halves.
#[derive(Debug)]
pub struct Line(OwnedFd);

/// The keeper's end, and the process at the other.
#[derive(Debug)]
pub struct Fetching {
    line: OwnedFd,
    fetcher: Pid,
}

/// Splits the program in two halves, joined by a line.
pub fn split() -> io::Result<Half> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    match kernel::fork()? {
        Side::Parent(fetcher) => Ok(Half::Keeper(Fetching { line: ours, fetcher })),
        Side::Child => {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            Ok(Half::Fetcher(Line(theirs)))
        }
    }
}

impl Line {
    /// Gives the memory to the keeper. Our own mapping ends here.
    pub fn give(&self, released: Released) -> io::Result<()> {
        let list = to_list(&released.places, released.len);
        if list.len() > MAX_LIST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let memory = released.parcel.give();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [memory.as_fd()];
        if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        sendmsg(&self.0, &[IoSlice::new(list.as_bytes())], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

impl Fetching {
    /// Waits for the memory, or for the fetcher's end, or for a signal that ends us.
    pub fn wait(self, signals: &Signals) -> Result<Secrets, Error> {
        loop {
            let mut fds =
                [signals.as_fd(), self.line.as_fd()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            match poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Error::Os(error.into())),
            }
            let [_, line] = &fds;
            if !line.revents().is_empty() {
                return self.receive();
            }
            while let Some(news) = signals.next()? {
                if let News::Forward(signal @ (libc::SIGTERM | libc::SIGINT | libc::SIGHUP | libc::SIGQUIT)) =
                    news
                {
                    kill_process(self.fetcher, Signal::KILL).map_err(io::Error::from)?;
                    return Err(Error::Interrupted(signal));
                }
            }
        }
    }

    fn receive(&self) -> Result<Secrets, Error> {
        let mut list = vec![0; MAX_LIST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut list)];
        let message =
            recvmsg(&self.line, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC).map_err(io::Error::from)?;
        let truncated = message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
        let memory = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            RecvAncillaryMessage::ScmCredentials(_) | _ => None,
        });
        let status = wait_for(self.fetcher).map_err(Error::Wait)?;
        let Some(memory) = memory else {
            return Err(Error::Failed(supervise::code(status)));
        };
        let list = list.get(..message.bytes).filter(|_| !truncated).ok_or(Error::List)?;
        secrets(memory, str::from_utf8(list).map_err(|_not_text| Error::List)?)
    }
}

/// The length of the memory, then a line for each variable.
fn to_list(places: &[Place], len: usize) -> String {
    let lines = places.iter().map(|place| format!("\n{} {} {}", place.start, place.len, place.variable));
    std::iter::once(len.to_string()).chain(lines).collect()
}

fn secrets(memory: OwnedFd, list: &str) -> Result<Secrets, Error> {
    let mut lines = list.split('\n');
    let len = lines.next().and_then(|len| len.parse().ok()).ok_or(Error::List)?;
    let values = Values::adopt(Region::receive(memory, len)?)?;
    let mut entries = Vec::new();
    for line in lines {
        let mut words = line.splitn(3, ' ');
        let mut number = || words.next().and_then(|word| word.parse().ok()).ok_or(Error::List);
        let (start, len) = (number()?, number()?);
        let variable = words.next().ok_or(Error::List)?.to_owned();
        entries.push((variable, values.span(start, len).ok_or(Error::List)?));
    }
    Ok(Secrets::new(values, entries)?)
}

/// Why the keeper has no secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The fetcher has told why, and ended with this code.
    #[error("nothing was released")]
    Failed(u8),
    /// A signal told us to end before there was a program to pass it to.
    #[error("ended by signal {0} while waiting for a release")]
    Interrupted(i32),
    /// A list that the fetcher would not have written.
    #[error("malformed list of released values")]
    List,
    /// Values that no environment can hold.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// Too little secret memory on this side.
    #[error(transparent)]
    Memory(#[from] secretmem::Error),
    /// The fetcher could not be waited for.
    #[error(transparent)]
    Wait(crate::graft::Error),
    /// The kernel refused something.
    #[error("waiting for a release: {0}")]
    Os(#[from] io::Error),
}

impl Error {
    /// The fetcher's own code where it failed, 128 and the signal's number after a signal, else 125.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(code) => {
                if *code == 0 {
                    125
                } else {
                    *code
                }
            }
            Self::Interrupted(signal) => u8::try_from(signal.saturating_add(128)).unwrap_or(125),
            Self::List | Self::Unfit(_) | Self::Memory(_) | Self::Wait(_) | Self::Os(_) => 125,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secretmem::Parcel;

    fn memory() -> OwnedFd {
        let mut parcel = Parcel::create(8).unwrap();
        parcel.bytes_mut().unwrap().copy_from_slice(b"..secret");
        parcel.give()
    }

    #[test]
    fn a_list_survives_the_line() {
        let place = Place { variable: "PASSWORD".to_owned(), start: 2, len: 6 };
        let secrets = secrets(memory(), &to_list(&[place], 8)).unwrap();
        assert_eq!(secrets.references().next().unwrap().0, "PASSWORD");
    }

    #[test]
    fn a_list_that_reaches_beyond_its_memory_is_refused() {
        for list in ["", "8\n2 7 X", "8\n2 X", "8\n-1 2 X", "8\n2 6"] {
            assert!(matches!(secrets(memory(), list), Err(Error::List)), "{list:?}");
        }
        assert!(matches!(secrets(memory(), "5000\n2 6 X"), Err(Error::Memory(_))));
    }
}
