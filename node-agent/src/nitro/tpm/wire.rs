//! The way to a TPM: the kernel's device, or the port of one in software.
//!
//! Trusted: the configuration, which names it. Untrusted: lengths and bytes that come back.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::Error;

/// Where the TPM is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Way {
    /// A device file.
    Device(PathBuf),
    /// A TPM in software: host and port of its commands.
    Network(String, u16),
}

/// An open TPM.
#[derive(Debug)]
pub(super) enum Line {
    Device(File, PathBuf),
    Network(String, u16),
}

impl FromStr for Way {
    type Err = String;

    /// `device:PATH`, or `swtpm:host=ADDRESS,port=NUMBER`.
    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("expected device:PATH or swtpm:host=ADDRESS,port=NUMBER, found {text:?}");
        if let Some(path) = text.strip_prefix("device:").filter(|path| path.starts_with('/')) {
            return Ok(Self::Device(path.into()));
        }
        let words = text.strip_prefix("swtpm:host=").and_then(|rest| rest.split_once(",port="));
        let (host, port) = words.ok_or_else(unknown)?;
        Ok(Self::Network(host.to_owned(), port.parse().map_err(|_why| unknown())?))
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(path) => write!(f, "device:{}", path.display()),
            Self::Network(host, port) => write!(f, "swtpm:host={host},port={port}"),
        }
    }
}

impl Line {
    /// Opens the device. Only one program at a time has it: others are waited for.
    pub(super) fn open(way: &Way) -> Result<Self, Error> {
        match way {
            Way::Device(path) => Ok(Self::Device(open(path)?, path.clone())),
            Way::Network(host, port) => Ok(Self::Network(host.clone(), *port)),
        }
    }

    /// Sends a command and takes the response to it.
    pub(super) fn exchange(&mut self, command: &[u8]) -> Result<Vec<u8>, Error> {
        match self {
            Self::Device(file, path) => {
                let place = path.display().to_string();
                pass(file, command).map_err(|source| Error::Call { place, source })
            }
            // A TPM in software serves one command a connection.
            Self::Network(host, port) => {
                let place = format!("{host}:{port}");
                call(host, *port, command).map_err(|source| Error::Call { place, source })
            }
        }
    }
}

fn open(path: &Path) -> Result<File, Error> {
    let start = Instant::now();
    loop {
        match File::options().read(true).write(true).open(path) {
            Ok(file) => return Ok(file),
            Err(source) => match source.raw_os_error().map(Errno::from_raw) {
                Some(Errno::EBUSY) if start.elapsed() < PATIENCE => thread::sleep(PAUSE),
                Some(Errno::EBUSY) => return Err(Error::Busy { path: path.to_owned() }),
                Some(Errno::EACCES | Errno::EPERM) => {
                    return Err(Error::Denied { path: path.to_owned(), source });
                }
                _ => return Err(Error::Absent { path: path.to_owned(), source }),
            },
        }
    }
}

fn call(host: &str, port: u16, command: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((host, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    pass(&mut stream, command)
}

/// One write, as the kernel's device takes it; reads until the response is as long as it says.
fn pass<S: Read + Write>(stream: &mut S, command: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(command)?;
    let (mut response, mut room) = (Vec::new(), [0; MAX_RESPONSE]);
    loop {
        match stream.read(&mut room) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => response.extend_from_slice(room.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        let expected = number(&response, 2).and_then(|length| usize::try_from(length).ok());
        match expected {
            Some(length) if length > MAX_RESPONSE => return Err(io::ErrorKind::InvalidData.into()),
            Some(length) if response.len() >= length => return Ok(response),
            _ => {}
        }
    }
}

/// Four bytes of a message, most significant first.
pub(super) fn number(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..).and_then(|rest| rest.first_chunk()).map(|bytes| u32::from_be_bytes(*bytes))
}

/// A length in four bytes.
pub(super) fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

/// The buffer of Linux' TPM driver (`TPM_BUFSIZE`).
const MAX_RESPONSE: usize = 4096;
/// How long another program may have the device, and how long a TPM in software may take.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_is_read_as_other_sections_write_it() {
        assert_eq!("device:/dev/tpm0".parse(), Ok(Way::Device("/dev/tpm0".into())));
        for text in ["device:/dev/tpm0", "swtpm:host=127.0.0.1,port=2321"] {
            assert_eq!(text.parse::<Way>().unwrap().to_string(), text);
        }
        assert_eq!("swtpm:host=127.0.0.1,port=2321".parse(), Ok(Way::Network("127.0.0.1".to_owned(), 2321)));
        for text in ["device:tpm0", "swtpm:port=2321", "swtpm:host=::1,port=99999", "tabrmd", ""] {
            let expected = format!("expected device:PATH or swtpm:host=ADDRESS,port=NUMBER, found {text:?}");
            assert_eq!(text.parse::<Way>(), Err(expected));
        }
    }

    #[test]
    fn what_opens_but_is_no_tpm_is_an_error() {
        let mut line = Line::open(&Way::Device("/dev/null".into())).unwrap();
        let error = line.exchange(&[0; 10]).unwrap_err().to_string();
        assert_eq!(error, "NitroTPM: /dev/null: unexpected end of file");
    }
}
