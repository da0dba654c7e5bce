//! The socket's file: everybody may knock, and it is put into place in one step, so that another enforcer, which is to take
//! over, leaves no moment without one.
//!
//! Trusted: whoever may write into the folder, which is root.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Clients that may stand before the door.
const CROWD: i32 = 256;
/// Descriptors that are asked for: a line and a descriptor of the process for each client.
const DESCRIPTORS: u64 = 16 * 1024;

/// A socket that listens, until dropped.
#[derive(Debug)]
pub struct Door {
    listener: OwnedFd,
    path: PathBuf,
    inode: (u64, u64),
}

impl Door {
    /// Listens there, in the place of whoever did.
    pub fn open(path: &Path) -> Result<Self, Occupied> {
        let told = |source: io::Error| Occupied { path: path.to_owned(), source };
        make_descriptors();
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let listener = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
        let listener = listener.map_err(|error| told(error.into()))?;
        let mut draft = path.as_os_str().to_owned();
        draft.push(".new");
        let draft = PathBuf::from(draft);
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(told(error)),
            _ => {}
        }
        let bound = SocketAddrUnix::new(&draft).and_then(|address| bind(&listener, &address));
        bound.and_then(|()| listen(&listener, CROWD)).map_err(|error| told(error.into()))?;
        // Who may have what is decided by who it is.
        fs::set_permissions(&draft, Permissions::from_mode(0o666)).map_err(told)?;
        let inode = identity(&draft).map_err(told)?;
        fs::rename(&draft, path).map_err(told)?;
        Ok(Self { listener, path: path.to_owned(), inode })
    }

    pub(super) fn accept(&self) -> Result<OwnedFd, Errno> {
        accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
    }
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // Another's, by now: it has taken over.
        if identity(&self.path).is_ok_and(|found| found == self.inode) {
            fs::remove_file(&self.path).unwrap_or_default();
        }
    }
}

/// As many as we may have; with fewer, clients find the door shut earlier.
fn make_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(DESCRIPTORS, |most| most.min(DESCRIPTORS));
    if limit.current.is_some_and(|now| now < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit }).unwrap_or_default();
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
#[error("listening on {path}: {source}")]
pub struct Occupied {
    path: PathBuf,
    source: io::Error,
}
