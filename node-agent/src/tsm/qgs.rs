//! The host's quoting service: a TD report goes there, a quote comes back.
//!
//! A message has a header of 16 bytes, little-endian, and before it its length, big-endian. The service is at
//! vsock port 4050 of the host, or where the configuration says.
//!
//! Source: Intel SGX DCAP, `qgs_msg_lib.h` (version 1.0) and the framing of `tdx_attest.c`. Untrusted: the host.

use std::fmt;
use std::io::{self, Read, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, VsockAddr, connect, socket};

/// Where the quoting service is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Address {
    /// A port of another machine on this host.
    Vsock {
        /// Which machine; 2 is the host.
        cid: u32,
        /// The port.
        port: u32,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Intel's service on the host.
    pub const HOST: Self = Self::Vsock { cid: 2, port: 4050 };

    /// Each message takes its place in the time that the whole exchange has.
    fn open(&self) -> io::Result<UnixStream> {
        match self {
            Self::Unix(path) => UnixStream::connect(path),
            Self::Vsock { cid, port } => {
                let flags = SockFlag::SOCK_CLOEXEC;
                let stream: OwnedFd = socket(AddressFamily::Vsock, SockType::Stream, flags, None)?;
                connect(stream.as_raw_fd(), &VsockAddr::new(*cid, *port))?;
                // A stream is a stream: reading, writing and time limits are the same calls.
                Ok(UnixStream::from(stream))
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vsock { cid, port } => write!(f, "vsock:{cid}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let other = || format!("expected vsock:CID:PORT or unix:/PATH, found {text:?}");
        if let Some(path) = text.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
            return Ok(Self::Unix(path.into()));
        }
        let (cid, port) =
            text.strip_prefix("vsock:").and_then(|rest| rest.split_once(':')).ok_or_else(other)?;
        match (cid.parse(), port.parse()) {
            (Ok(cid), Ok(port)) => Ok(Self::Vsock { cid, port }),
            _ => Err(other()),
        }
    }
}

/// Has a report turned into a quote.
pub(super) fn quote(address: &Address, report: &[u8]) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Call { address: address.clone(), source };
    let mut stream = address.open().map_err(failed)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
    stream.write_all(&request(report)).map_err(failed)?;
    let end = Instant::now().checked_add(PATIENCE);
    let mut length = [0; 4];
    fill(&mut stream, &mut length, end).map_err(failed)?;
    let found = u32::from_be_bytes(length);
    let length = usize::try_from(found).ok().filter(|length| (RESPONSE_HEAD..=MAX_MESSAGE).contains(length));
    let mut message = vec![0; length.ok_or_else(|| malformed("a message of 24 to 65536 bytes", found))?];
    fill(&mut stream, &mut message, end).map_err(failed)?;
    quote_in(&message)
}

/// Reads all of it before the end.
fn fill(stream: &mut UnixStream, mut rest: &mut [u8], end: Option<Instant>) -> io::Result<()> {
    while !rest.is_empty() {
        let left = end.and_then(|end| end.checked_duration_since(Instant::now()));
        let left = left.filter(|left| !left.is_zero()).ok_or(io::ErrorKind::TimedOut)?;
        stream.set_read_timeout(Some(left))?;
        match stream.read(rest) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => rest = rest.get_mut(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// `qgs_msg_get_quote_req_t` with a report and no list of keys, and its length before it.
fn request(report: &[u8]) -> Vec<u8> {
    let report_length = u32::try_from(report.len()).unwrap_or(u32::MAX);
    let size = report_length.saturating_add(24);
    let mut frame = size.to_be_bytes().to_vec();
    frame.extend([VERSION, 0].map(u16::to_le_bytes).concat());
    frame.extend([GET_QUOTE, size, 0, report_length, 0].map(u32::to_le_bytes).concat());
    frame.extend(report);
    frame
}

/// `qgs_msg_get_quote_resp_t`: header, length of the key's id, length of the quote, both.
fn quote_in(message: &[u8]) -> Result<Vec<u8>, Error> {
    let short = || malformed("a header of 24 bytes", u32::try_from(message.len()).unwrap_or(u32::MAX));
    let (head, rest) = message.split_first_chunk::<RESPONSE_HEAD>().ok_or_else(short)?;
    let mut words =
        head.chunks_exact(4).map(|word| word.iter().rev().fold(0, |sum, byte| (sum << 8) | u32::from(*byte)));
    let mut word = || words.next().unwrap_or(0);
    let [version, kind, size, code, id_length, quote_length] =
        [word(), word(), word(), word(), word(), word()];
    if version & 0xffff != u32::from(VERSION) {
        return Err(malformed("major version 1", version & 0xffff));
    }
    if kind != QUOTE {
        return Err(malformed("message type 1", kind));
    }
    if code != 0 {
        return Err(Error::Refused { code });
    }
    if usize::try_from(size) != Ok(message.len()) {
        return Err(malformed("the length of the message", size));
    }
    let length = |length: u32| usize::try_from(length).unwrap_or(usize::MAX);
    match rest.split_at_checked(length(id_length)) {
        Some((_, quote)) if quote.len() == length(quote_length) && !quote.is_empty() => Ok(quote.to_vec()),
        _ => Err(malformed("a quote that fills the message", quote_length)),
    }
}

fn malformed(expected: &'static str, found: u32) -> Error {
    Error::Malformed { expected, found }
}

/// Why there is no quote.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service is not there, or went away.
    #[error("quoting service at {address}: {source}")]
    Call {
        /// Where it was looked for.
        address: Address,
        /// What the kernel said.
        source: io::Error,
    },
    /// The service refused.
    #[error("quoting service: refused with error {code:#x}")]
    Refused {
        /// Intel's code (`tdx_attest_error_t` and `quote3_error_t`).
        code: u32,
    },
    /// The service answered something else.
    #[error("quoting service: expected {expected}, found {found}")]
    Malformed {
        /// What was expected.
        expected: &'static str,
        /// What is there.
        found: u32,
    },
}

const VERSION: u16 = 1;
/// `GET_QUOTE_REQ`, `GET_QUOTE_RESP`.
const GET_QUOTE: u32 = 0;
const QUOTE: u32 = 1;
const RESPONSE_HEAD: usize = 24;
const MAX_MESSAGE: usize = 64 * 1024;
/// As long as the kernel waits.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(words: [u32; 5], rest: &[u8]) -> Vec<u8> {
        [&[1, 0, 1, 0], words.map(u32::to_le_bytes).concat().as_slice(), rest].concat()
    }

    #[test]
    fn a_request_is_framed_as_intels_library_frames_it() {
        let frame = request(&[7; 1024]);
        let head = "00000418 0100 0000 00000000 18040000 00000000 00040000 00000000".replace(' ', "");
        assert_eq!(hex::encode(&frame[..28]), head);
        assert_eq!(frame[28..], [7; 1024]);
    }

    #[test]
    fn the_quote_comes_after_the_keys_id() {
        assert_eq!(quote_in(&answer([1, 29, 0, 2, 3], b"idquo")).unwrap(), b"quo");
    }

    #[test]
    fn an_answer_that_is_no_quote_is_told_as_such() {
        let told = |message: Vec<u8>| quote_in(&message).unwrap_err().to_string();
        let cases = [
            (answer([0, 27, 0, 0, 3], b"quo"), "quoting service: expected message type 1, found 0"),
            (answer([1, 27, 0x11001, 0, 0], b""), "quoting service: refused with error 0x11001"),
            (
                answer([1, 28, 0, 0, 3], b"quo"),
                "quoting service: expected the length of the message, found 28",
            ),
            (
                answer([1, 27, 0, 0, 2], b"quo"),
                "quoting service: expected a quote that fills the message, found 2",
            ),
            (
                answer([1, 27, 0, u32::MAX, 3], b"quo"),
                "quoting service: expected a quote that fills the message, found 3",
            ),
            (
                answer([1, 24, 0, 0, 0], b""),
                "quoting service: expected a quote that fills the message, found 0",
            ),
            (vec![0; 23], "quoting service: expected a header of 24 bytes, found 23"),
            (vec![2; 24], "quoting service: expected major version 1, found 514"),
        ];
        for (message, expected) in cases {
            assert_eq!(told(message), expected);
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        let whole = answer([1, 29, 0, 2, 3], b"idquo");
        assert!((0..whole.len()).all(|cut| quote_in(&whole[..cut]).is_err()));
        assert!(quote_in(&[whole.as_slice(), b"x"].concat()).is_err());
    }

    #[test]
    fn an_address_is_a_port_of_the_host_or_a_socket() {
        assert_eq!("vsock:2:4050".parse(), Ok(Address::HOST));
        assert_eq!("unix:/run/qgs".parse(), Ok(Address::Unix("/run/qgs".into())));
        for wrong in ["", "vsock:2", "vsock:2:-1", "vsock:4294967296:1", "unix:run", "/run/qgs", "tcp:1:2"] {
            let expected = format!("expected vsock:CID:PORT or unix:/PATH, found {wrong:?}");
            assert_eq!(wrong.parse::<Address>(), Err(expected));
        }
    }
}
