//! The library as a descriptor that programs load it from.
//!
//! `LD_PRELOAD` names `/proc/self/fd/N`, and N is a sealed memfd that each process inherits. That needs no file of the
//! image (one binary ships), no directory that can be written to, and none that programs may run from: a root file
//! system that is read-only and a tmpfs that is `noexec` do not matter, nor `vm.memfd_noexec`, because a loader maps the
//! descriptor and does not execute it. The path outlives a change of user and a `chroot` that has `/proc`.
//! It does not outlive a carrier that closes descriptors it does not know; what it starts is then seen as not reached.
//!
//! The image is stamped: the door's name, the number of the descriptor and what our references begin with stand in
//! it, so that no variable of ours has to travel along.
//!
//! Trusted: the image, which `build.rs` made. Sealed before anybody else has it: no program can change another's.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use super::door;

static CONSTRUCTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/constructor.so"));
static GETENV: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/getenv.so"));

/// What the source of the library has where the stamp goes.
const BLANK: &[u8; STAMP] = b"cloudtaser interposer: the wrapper writes its stamp over this...";
const STAMP: usize = 64;
/// Bytes of it for what references begin with.
const PREFIX: usize = 27;
/// What the image is called in `/proc/PID/maps`.
pub(super) const NAME: &str = "cloudtaser-interposer";

/// What the library does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// Rewrites `environ` before `main`.
    Constructor,
    /// Answers `getenv(3)`.
    Getenv,
}

/// The library, stamped and sealed, to be loaded from the descriptor `number`.
pub(super) fn sealed(form: Form, door: &door::Name, number: u32, prefix: &str) -> io::Result<OwnedFd> {
    let image = match form {
        Form::Constructor => CONSTRUCTOR,
        Form::Getenv => GETENV,
    };
    let image = stamped(image, &stamp(door, number, prefix).ok_or(io::ErrorKind::InvalidInput)?);
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Where the administrator allows no other (vm.memfd_noexec); kernels before 6.3 do not know the flag.
    let memory =
        memfd_create(NAME, flags | MemfdFlags::NOEXEC_SEAL).or_else(|_unknown| memfd_create(NAME, flags))?;
    let mut file = File::from(memory);
    file.write_all(&image.ok_or(io::ErrorKind::InvalidData)?)?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(file.into())
}

fn stamp(door: &door::Name, number: u32, prefix: &str) -> Option<Vec<u8>> {
    let len = u8::try_from(prefix.len()).ok().filter(|_| prefix.len() <= PREFIX)?;
    let mut stamp = Vec::with_capacity(STAMP);
    stamp.extend(door);
    stamp.extend(number.to_le_bytes());
    stamp.push(len);
    stamp.extend(prefix.bytes());
    stamp.resize(STAMP, 0);
    Some(stamp)
}

fn stamped(image: &[u8], stamp: &[u8]) -> Option<Vec<u8>> {
    let at = image.windows(STAMP).position(|window| window == BLANK)?;
    let (before, rest) = image.split_at_checked(at)?;
    Some([before, stamp, rest.get(STAMP..)?].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::fd::AsFd as _;

    #[test]
    fn the_stamp_is_written_once_and_nothing_else_changes() {
        for image in [CONSTRUCTOR, GETENV] {
            let stamp = stamp(&[b'd'; 32], 199, "ctref:0123456789abcdef:").unwrap();
            let stamped = stamped(image, &stamp).unwrap();
            assert_eq!(stamped.len(), image.len());
            assert_eq!(stamped.windows(STAMP).filter(|window| *window == stamp).count(), 1);
            assert_eq!(stamped.windows(STAMP).filter(|window| *window == BLANK).count(), 0);
            let at = stamped.windows(STAMP).position(|window| window == stamp).unwrap();
            assert_eq!((&stamped[..at], &stamped[at + STAMP..]), (&image[..at], &image[at + STAMP..]));
        }
    }

    #[test]
    fn nobody_changes_the_image_any_more() {
        let image = sealed(Form::Constructor, &[b'd'; 32], 199, "ctref:").unwrap();
        let mut file = File::from(image.as_fd().try_clone_to_owned().unwrap());
        let refused = file.write_all(b"x").unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
        assert!(file.read(&mut [0; 4]).is_ok());
    }

    #[test]
    fn what_does_not_fit_is_not_stamped() {
        assert_eq!(stamp(&[0; 32], 1, &"x".repeat(PREFIX + 1)), None);
        assert_eq!(stamp(&[0; 32], 1, &"x".repeat(PREFIX)).unwrap().len(), STAMP);
    }
}
