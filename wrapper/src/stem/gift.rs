//! What a new process is given before it becomes a program that nobody traces.
//!
//! It waits for one message on its line; meanwhile the keeper makes the terminal the program's. With the message comes
//! a descriptor: the library, which the program will be made to load, or memory with entries of its environment in
//! clear, for the way that has this.
//!
//! Trusted: the keeper. Values go from secret memory to the new program's stack by `execve(2)` itself; no copy is made.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, IntoRawFd as _, OwnedFd};

use minicbor::{Decode, Encode};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use secretmem::Region;

use crate::line::Line;

/// What comes with the message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode)]
pub enum Gift {
    /// The library, to be inherited as the descriptor of this number.
    #[n(0)]
    Library(#[n(0)] u32),
    /// So many bytes of secret memory: strings, each with its NUL.
    #[n(1)]
    Entries(#[n(0)] u32),
}

/// Entries of an environment in secret memory, where there are any.
#[derive(Debug, Default)]
pub(super) struct Given(Option<Region>);

impl Gift {
    /// The keeper's part: the program may begin.
    pub fn send(line: &Line, descriptor: &OwnedFd) -> io::Result<()> {
        line.send(b".", Some(descriptor.as_fd()))
    }

    /// The new process's part.
    pub(super) fn receive(self, line: &Line) -> io::Result<Given> {
        let message = line.receive()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let descriptor = message.descriptor.ok_or(io::ErrorKind::InvalidData)?;
        match self {
            Self::Library(number) => inherit(&descriptor, number).map(|()| Given(None)),
            Self::Entries(len) => {
                let len = usize::try_from(len).map_err(io::Error::other)?;
                Region::receive(descriptor, len).map(|region| Given(Some(region))).map_err(io::Error::other)
            }
        }
    }
}

impl Given {
    pub(super) fn entries(&self) -> impl Iterator<Item = &CStr> {
        let bytes = self.0.as_ref().map(Region::bytes).unwrap_or_default();
        let strings = bytes.split_inclusive(|byte| *byte == 0);
        strings
            .filter_map(|string| CStr::from_bytes_with_nul(string).ok())
            .filter(|string| !string.is_empty())
    }

    /// Whether an entry has this name.
    pub(super) fn names(&self, name: &[u8]) -> bool {
        let named =
            |entry: &CStr| entry.to_bytes().strip_prefix(name).is_some_and(|rest| rest.starts_with(b"="));
        self.entries().any(named)
    }
}

/// Leaves the descriptor open under that number for whatever we become.
fn inherit(descriptor: &OwnedFd, number: u32) -> io::Result<()> {
    let number = i32::try_from(number).map_err(io::Error::other)?;
    let copy = fcntl_dupfd_cloexec(descriptor, number)?;
    if copy.as_raw_fd() != number {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    fcntl_setfd(&copy, FdFlags::empty())?;
    // The number alone is of use from here on.
    let _number = copy.into_raw_fd();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use secretmem::Parcel;
    use std::fs::File;

    #[test]
    fn entries_are_read_where_they_lie() {
        let mut parcel = Parcel::create(32).unwrap();
        parcel.bytes_mut().unwrap()[..18].copy_from_slice(b"A=one\0\0\0B=\0\0\0\0C=tw");
        let (ours, theirs) = Line::pair().unwrap();
        Gift::send(&ours, &parcel.give()).unwrap();
        let given = Gift::Entries(32).receive(&theirs).unwrap();
        assert_eq!(given.entries().collect::<Vec<_>>(), [c"A=one", c"B=", c"C=tw"]);
        assert_eq!(
            ["A", "B", "A=one", ""].map(|name| given.names(name.as_bytes())),
            [true, true, false, false]
        );
    }

    #[test]
    fn the_library_gets_its_number_or_the_program_does_not_begin() {
        let (ours, theirs) = Line::pair().unwrap();
        let library: OwnedFd = File::open("/dev/null").unwrap().into();
        let taken = u32::try_from(library.as_raw_fd()).unwrap();
        Gift::send(&ours, &library).unwrap();
        let busy = Gift::Library(taken).receive(&theirs).unwrap_err();
        assert_eq!(busy.raw_os_error(), Some(libc::EBUSY));
        drop(ours);
        let silent = Gift::Library(taken).receive(&theirs).unwrap_err();
        assert_eq!(silent.kind(), io::ErrorKind::UnexpectedEof);
    }
}
