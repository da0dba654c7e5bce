//! One value on its way to one reader.
//!
//! The reader's descriptor is one end of a socket pair: what `/proc/PID/fd/N` leads to cannot be opened by anybody,
//! root included. The value is written to the other end, straight from secret memory, and that end is closed: the
//! reader sees the bytes and then the end of the file. What does not fit in the socket at once follows when there is
//! room. A reader whose value is exchanged meanwhile, or whose keeper dies, sees an error and not a shorter value.
//!
//! Untrusted: the reader, which may never read. It costs us one descriptor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, recv, send, shutdown, socketpair,
};

/// The end that we hold, and how far we are.
#[derive(Debug)]
pub(super) struct Gift {
    line: OwnedFd,
    sent: usize,
}

/// Whether a value has been given.
#[derive(Debug)]
pub(super) enum Given {
    /// All of it.
    Whole,
    /// The reader must read first.
    Partly(Gift),
}

impl Gift {
    /// Writes as much of `value` as fits, and returns the reader's end.
    pub(super) fn of(value: &[u8]) -> io::Result<(OwnedFd, Given)> {
        let flags = SocketFlags::CLOEXEC;
        let (line, reader) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // As long as this byte is not read, the end of our end is an error for the reader (unix(7), ECONNRESET).
        send(&reader, b".", SendFlags::NOSIGNAL)?;
        shutdown(&reader, Shutdown::Write)?;
        Ok((reader, Self { line, sent: 0 }.go_on(value)?))
    }

    /// Writes on. `value` must be the same as before.
    pub(super) fn go_on(mut self, value: &[u8]) -> io::Result<Given> {
        loop {
            let rest = value.get(self.sent..).unwrap_or_default();
            if rest.is_empty() {
                recv(&self.line, &mut [0_u8; 1], RecvFlags::DONTWAIT)?;
                return Ok(Given::Whole);
            }
            match send(&self.line, rest, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(sent) => self.sent = self.sent.saturating_add(sent),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(Given::Partly(self)),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Gift {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.line.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{ErrorKind, Read as _, Write as _};

    #[test]
    fn a_reader_sees_the_value_and_then_the_end() {
        for value in [&b""[..], b"hunter2"] {
            let (reader, given) = Gift::of(value).unwrap();
            assert!(matches!(given, Given::Whole));
            let mut read = Vec::new();
            File::from(reader).read_to_end(&mut read).unwrap();
            assert_eq!(read, value);
        }
    }

    #[test]
    fn a_value_larger_than_the_socket_comes_in_pieces() {
        let value: Vec<u8> = (0..1_u32 << 20).map(|at| u8::try_from(at % 251).unwrap()).collect();
        let (reader, mut given) = Gift::of(&value).unwrap();
        let (mut reader, mut read, mut pieces) = (File::from(reader), Vec::new(), 0);
        while let Given::Partly(gift) = given {
            let mut piece = vec![0; 100_000];
            let len = reader.read(&mut piece).unwrap();
            read.extend(&piece[..len]);
            given = gift.go_on(&value).unwrap();
            pieces += 1;
        }
        reader.read_to_end(&mut read).unwrap();
        assert!(pieces > 1);
        assert!(read == value);
    }

    #[test]
    fn a_value_that_breaks_off_is_an_error_and_not_a_shorter_value() {
        let value = vec![7; 1 << 20];
        let (reader, given) = Gift::of(&value).unwrap();
        drop(given);
        let error = File::from(reader).read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }

    #[test]
    fn a_reader_cannot_write() {
        let (reader, _given) = Gift::of(&vec![7; 1 << 20]).unwrap();
        let error = File::from(reader).write(b"x").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_reader_that_went_away_ends_the_gift() {
        let value = vec![7; 1 << 20];
        let (reader, given) = Gift::of(&value).unwrap();
        drop(reader);
        let Given::Partly(gift) = given else { panic!("it does not fit") };
        assert_eq!(gift.go_on(&value).unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
