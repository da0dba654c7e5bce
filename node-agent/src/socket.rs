//! The socket file: made without a gap, taken from nobody, removed if it is still ours.
//!
//! A lock file beside it says that an agent is alive, so that two that start at once do not both believe
//! the other's socket to be stale. The new socket gets its mode under another name and is then moved into
//! place.
//!
//! Trusted: whoever may write into the directory.

use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// A socket that listens, until dropped.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) listener: UnixListener,
    path: PathBuf,
    inode: (u64, u64),
    /// Held as long as the socket is; the kernel lets go of it when the process ends.
    _lock: File,
}

impl Socket {
    pub(crate) fn bind(path: &Path, mode: u32) -> Result<Self, Occupied> {
        let called = |source| Occupied::Call { path: path.to_owned(), source };
        let lock = lock(path)?;
        expect_nobody(path)?;
        let draft = beside(path, ".new");
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(called(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&draft).map_err(called)?;
        fs::set_permissions(&draft, Permissions::from_mode(mode)).map_err(called)?;
        let inode = identity(&draft).map_err(called)?;
        fs::rename(&draft, path).map_err(called)?;
        Ok(Self { listener, path: path.to_owned(), inode, _lock: lock })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.inode) {
            drop(fs::remove_file(&self.path));
        }
    }
}

fn lock(path: &Path) -> Result<File, Occupied> {
    let lock_path = beside(path, ".lock");
    let called = |source| Occupied::Call { path: lock_path.clone(), source };
    // Whoever can open the file can lock it, and so keep the agent from starting.
    let file = File::options().create(true).append(true).mode(0o600).open(&lock_path).map_err(called)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Occupied::Alive { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(called(source)),
    }
}

/// There may be nothing, or a socket at which nobody listens.
fn expect_nobody(path: &Path) -> Result<(), Occupied> {
    let called = |source| Occupied::Call { path: path.to_owned(), source };
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(called)?,
    };
    if !metadata.file_type().is_socket() {
        return Err(Occupied::NotASocket { path: path.to_owned() });
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(called(error)),
        Ok(_) => Err(Occupied::Alive { path: path.to_owned() }),
    }
}

/// Another file in the socket's folder, named after it.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Occupied {
    /// Somebody listens there.
    #[error("{path}: somebody listens there already")]
    Alive {
        /// The socket.
        path: PathBuf,
    },
    /// Something else has the name.
    #[error("{path}: expected nothing or a stale socket, found another kind of file")]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// A failed call.
    #[error("{path}: {source}")]
    Call {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_removed_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        drop(UnixListener::bind(&path).unwrap());
        let socket = Socket::bind(&path, 0o640).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        UnixStream::connect(&path).unwrap();
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_live_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let ours = Socket::bind(&path, 0o600).unwrap();
        assert!(matches!(Socket::bind(&path, 0o600), Err(Occupied::Alive { .. })));
        drop(ours);
        let others = UnixListener::bind(&path).unwrap();
        assert!(matches!(Socket::bind(&path, 0o600), Err(Occupied::Alive { .. })));
        UnixStream::connect(&path).unwrap();
        drop(others);
    }

    #[test]
    fn another_file_of_that_name_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(Socket::bind(&path, 0o600), Err(Occupied::NotASocket { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[test]
    fn a_socket_that_somebody_put_in_our_place_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.sock");
        let ours = Socket::bind(&path, 0o600).unwrap();
        fs::remove_file(&path).unwrap();
        let _theirs = UnixListener::bind(&path).unwrap();
        drop(ours);
        UnixStream::connect(&path).unwrap();
    }
}
