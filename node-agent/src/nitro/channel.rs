//! The way to a security module: the kernel's device, or a stand-in's socket.
//!
//! Each request opens it anew, so that a module that was gone is found again. A socket carries the bytes that the
//! device would, each message behind its length in four bytes, most significant first: that is how a simulated module
//! is reached where the kernel has none. Which of the two a path is, the file system says.
//!
//! Untrusted: lengths and bytes that come back.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;

use super::{Error, kernel};

/// Sends a request and takes the response to it.
pub(super) fn exchange(path: &Path, request: &[u8]) -> Result<Vec<u8>, Error> {
    if request.len() > MAX_REQUEST {
        return Err(Error::Request { limit: MAX_REQUEST, found: request.len() });
    }
    let kind = fs::metadata(path).map_err(|error| failed("open", path, error))?.file_type();
    if kind.is_char_device() {
        by_device(path, request)
    } else if kind.is_socket() {
        by_socket(path, request)
    } else {
        Err(Error::Kind { path: path.to_owned() })
    }
}

fn by_device(path: &Path, request: &[u8]) -> Result<Vec<u8>, Error> {
    let device =
        File::options().read(true).write(true).open(path).map_err(|error| failed("open", path, error))?;
    let mut response = vec![0; MAX_RESPONSE];
    let length = kernel::exchange(&device, request, &mut response)
        .map_err(|error| failed("ioctl NSM_IOCTL_RAW", path, error))?;
    response.truncate(length);
    Ok(response)
}

fn by_socket(path: &Path, request: &[u8]) -> Result<Vec<u8>, Error> {
    let mut stream = UnixStream::connect(path).map_err(|error| failed("connect", path, error))?;
    let length = u32::try_from(request.len()).unwrap_or(u32::MAX).to_be_bytes();
    stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
        .and_then(|()| stream.write_all(&[&length, request].concat()))
        .map_err(|error| failed("write", path, error))?;
    let mut header = [0; 4];
    take(&mut stream, &mut header, path)?;
    let expected = usize::try_from(u32::from_be_bytes(header)).unwrap_or(usize::MAX);
    if expected > MAX_RESPONSE {
        return Err(Error::Response { limit: MAX_RESPONSE, found: expected });
    }
    let mut response = vec![0; expected];
    take(&mut stream, &mut response, path)?;
    Ok(response)
}

/// Fills `room`, or says how far it came.
fn take(stream: &mut UnixStream, room: &mut [u8], path: &Path) -> Result<(), Error> {
    let expected = room.len();
    let mut found = 0;
    while let Some(rest) = room.get_mut(found..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest) {
            Ok(0) => return Err(Error::Cut { expected, found }),
            Ok(count) => found = found.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed("read", path, error)),
        }
    }
    Ok(())
}

fn failed(call: &'static str, path: &Path, source: io::Error) -> Error {
    let path = path.to_owned();
    match source.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT | Errno::ENODEV | Errno::ENXIO | Errno::ECONNREFUSED) => {
            Error::Absent { path, source }
        }
        Some(Errno::EACCES | Errno::EPERM) => Error::Denied { path, source },
        Some(Errno::EAGAIN | Errno::ETIMEDOUT) => Error::TimedOut { path, source },
        Some(Errno::EMSGSIZE) => Error::Refused(super::Refusal::Input),
        _ => Error::Call { call, path, source },
    }
}

/// `NSM_REQUEST_MAX_SIZE` and `NSM_RESPONSE_MAX_SIZE` of the kernel.
const MAX_REQUEST: usize = 0x1000;
const MAX_RESPONSE: usize = 0x3000;
/// How long a stand-in may take. The kernel's driver has a limit of its own.
const PATIENCE: Duration = Duration::from_secs(10);
