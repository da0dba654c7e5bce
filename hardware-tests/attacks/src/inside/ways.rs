//! How a process sends: each call that moves bytes out, and each dress that bytes may wear.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::pipe::pipe;

use crate::call;
use crate::kernel::Mapping;
use crate::told::{Found, absent};

/// What is sent, and where it lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Secret<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) address: u64,
}

/// In which dresses an outsider knows it.
pub(super) fn shapes(secret: &str) -> Vec<Vec<u8>> {
    let bytes = secret.as_bytes();
    let plain = ["base64-json", "base64-after-1", "base64-after-2", "hex", "hex-upper", "xor"];
    let dressed = plain.into_iter().filter_map(|way| dress(way, bytes));
    dressed.chain([bytes.to_vec()]).collect()
}

/// The bytes alone, without what stands around them.
fn dress(way: &str, secret: &[u8]) -> Option<Vec<u8>> {
    let after = |before: &[u8]| STANDARD.encode([before, secret].concat()).into_bytes();
    match way {
        "base64-json" => Some(after(b"")),
        "base64-after-1" => Some(after(b".")),
        "base64-after-2" => Some(after(b"..")),
        "hex" => Some(hex::encode(secret).into_bytes()),
        "hex-upper" => Some(hex::encode_upper(secret).into_bytes()),
        "xor" => Some(secret.iter().map(|byte| !byte).collect()),
        _ => None,
    }
}

/// The whole message.
fn message(way: &str, secret: &[u8]) -> Vec<u8> {
    let filler = |length: usize| vec![b'x'; length];
    match (way, dress(way, secret)) {
        ("base64-json", Some(bytes)) => [b"{\"note\":\"", &bytes[..], b"\"}"].concat(),
        (_, Some(bytes)) => bytes,
        ("embedded", None) => [filler(1500), secret.to_vec(), filler(1500)].concat(),
        ("beyond", None) => [filler(5120), secret.to_vec()].concat(),
        (_, None) => secret.to_vec(),
    }
}

/// Sends it that way, to there.
pub(super) fn send(way: &str, kind: &str, place: &Path, secret: &Secret<'_>) -> Found {
    match kind {
        "memory" => into_another(place, secret)?,
        "datagram" => {
            UnixDatagram::unbound()?.send_to(secret.bytes, place)?;
        }
        "socket" => {
            let socket = UnixStream::connect(place)?;
            by_call(way, &socket.as_fd().try_clone_to_owned()?, secret)?;
            socket.shutdown(Shutdown::Write)?;
        }
        "pipe" | "file" => {
            let file = std::fs::OpenOptions::new().read(kind == "file").write(true).open(place)?;
            by_call(way, &file.into(), secret)?;
        }
        other => return Err(absent(format!("nowhere is called {other}"))),
    }
    Ok("it was sent".into())
}

fn by_call(way: &str, to: &OwnedFd, secret: &Secret<'_>) -> io::Result<()> {
    let (bytes, address, length) = (secret.bytes, secret.address, secret.bytes.len());
    match way {
        "pwrite" => drop(rustix::io::pwrite(to, bytes, 100)?),
        "writev" => drop(rustix::io::writev(to, &[IoSlice::new(b"first "), IoSlice::new(bytes)])?),
        "pwritev" => drop(rustix::io::pwritev(to, &[IoSlice::new(b"first "), IoSlice::new(bytes)], 100)?),
        "send" => drop(rustix::net::send(to, bytes, rustix::net::SendFlags::empty())?),
        "sendmsg" => messages(to, &[&[bytes]])?,
        "sendmsg-second" => messages(to, &[&[b"first ", bytes]])?,
        "sendmmsg" => messages(to, &[&[b"first "], &[bytes]])?,
        "split" => halves(to, bytes)?,
        "untouched-page" => untouched(to, bytes)?,
        "sendfile" => drop(call!(libc::SYS_sendfile, to, &in_a_file(bytes)?.0, 0, length)?),
        "splice" => drop(call!(libc::SYS_splice, &in_a_file(bytes)?.0, 0, to, 0, length, 0)?),
        "vmsplice" => lent(to, address, length)?,
        "tee" => {
            let (hear, say) = pipe()?;
            lent(&say, address, length)?;
            call!(libc::SYS_tee, &hear, to, length, 0)?;
        }
        "mmap" => Mapping::shared(to, 4096)?.put(bytes),
        _ => drop(rustix::io::write(to, &message(way, bytes))?),
    }
    Ok(())
}

fn halves(to: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    let (first, second) = bytes.split_at(bytes.len().div_euclid(2));
    rustix::io::write(to, first)?;
    rustix::io::write(to, second)?;
    Ok(())
}

/// `struct mmsghdr`: a `msghdr` of 56 bytes (parts at 16, their number at 24), and 8 bytes for the length.
fn messages(to: &OwnedFd, messages: &[&[&[u8]]]) -> io::Result<()> {
    let parts: Vec<Vec<u8>> = messages.iter().map(|parts| vectors(parts)).collect();
    let mut headers = Vec::new();
    for (vectors, parts) in parts.iter().zip(messages) {
        let words = [0, 0, vectors.as_ptr().expose_provenance(), parts.len(), 0, 0, 0, 0];
        headers.extend(words.map(usize::to_ne_bytes).concat());
    }
    match messages {
        [_] => call!(libc::SYS_sendmsg, to, &headers[..], 0)?,
        _ => call!(libc::SYS_sendmmsg, to, &mut headers[..], messages.len(), 0)?,
    };
    Ok(())
}

/// An array of `struct iovec`.
fn vectors(parts: &[&[u8]]) -> Vec<u8> {
    parts
        .iter()
        .flat_map(|part| [part.as_ptr().expose_provenance(), part.len()])
        .flat_map(usize::to_ne_bytes)
        .collect()
}

/// A file that nobody wrote to by a call: its bytes were put into a mapping.
fn in_a_file(bytes: &[u8]) -> io::Result<(OwnedFd, Mapping)> {
    let file = memfd_create("leak", MemfdFlags::CLOEXEC)?;
    ftruncate(&file, 4096)?;
    let mut mapping = Mapping::shared(&file, 4096)?;
    mapping.put(bytes);
    Ok((file, mapping))
}

/// A second mapping of the same file, none of whose pages anybody has touched.
fn untouched(to: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    let (file, _mapping) = in_a_file(bytes)?;
    let fresh = Mapping::readable(&file, 4096)?;
    call!(libc::SYS_write, to, fresh.address(), bytes.len())?;
    Ok(())
}

fn lent(to: &OwnedFd, address: u64, length: usize) -> io::Result<()> {
    let vector = [address.to_ne_bytes(), length.to_ne_bytes()].concat();
    call!(libc::SYS_vmsplice, to.as_raw_fd(), &vector[..], 1, 0)?;
    Ok(())
}

/// The place is a process and an address in it.
fn into_another(place: &Path, secret: &Secret<'_>) -> io::Result<()> {
    let text = place.to_string_lossy();
    let mut words = text.split(' ').filter_map(|word| word.parse::<u64>().ok());
    let (pid, address) = words.next().zip(words.next()).ok_or_else(|| absent("no process and no address"))?;
    let length = secret.bytes.len();
    let ours = [secret.address.to_ne_bytes(), length.to_ne_bytes()].concat();
    let theirs = [address.to_ne_bytes(), length.to_ne_bytes()].concat();
    call!(libc::SYS_process_vm_writev, pid, &ours[..], 1, &theirs[..], 1, 0)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dress_is_known_to_who_receives_it() {
        let secret = "0123456789abcdef";
        let known = shapes(secret);
        let plain = ["write", "embedded", "beyond"];
        for way in plain.iter().chain(&[
            "base64-json",
            "base64-after-1",
            "base64-after-2",
            "hex",
            "hex-upper",
            "xor",
        ]) {
            let sent = message(way, secret.as_bytes());
            let seen = known.iter().any(|shape| sent.windows(shape.len()).any(|window| window == shape));
            assert!(seen, "{way}");
        }
    }

    #[test]
    fn what_is_beyond_is_behind_what_is_searched() {
        let sent = message("beyond", b"secret");
        assert!(sent.len() > 4096 + b"secret".len());
        assert!(sent.ends_with(b"secret"));
    }
}
