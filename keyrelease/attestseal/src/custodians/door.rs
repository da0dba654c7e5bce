//! The socket where custodians knock: one request, one reply, one after the other.
//!
//! A caller has five seconds for a request of a few kilobytes, and the next waits in the kernel's queue.
//! The socket takes the place of one that a killed process left, or that a process on its way out has.
//!
//! Untrusted: whoever connects; the file's permissions are the operator's first fence, evidence and digests
//! are the real one.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use openbao_plugin::log;
use protocol::unseal::{Failure, MAX_REQUEST, Reply, body_length, parse_request, to_frame};
use release_client::agent::fill;

use super::Desk;

/// An open socket. Dropped, it is closed and its file removed.
#[derive(Debug)]
pub(crate) struct Door {
    path: PathBuf,
    inode: u64,
    closed: Arc<AtomicBool>,
}

impl Door {
    /// Binds, and serves from a thread.
    pub(crate) fn open(path: &Path, desk: Desk) -> io::Result<Self> {
        let beside = path.with_extension("new");
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&beside)?;
        fs::set_permissions(&beside, Permissions::from_mode(0o660))?;
        let inode = fs::symlink_metadata(&beside)?.ino();
        fs::rename(&beside, path)?;
        listener.set_nonblocking(true)?;
        let closed = Arc::new(AtomicBool::new(false));
        let door = Self { path: path.to_owned(), inode, closed: Arc::clone(&closed) };
        thread::Builder::new()
            .name("custodians".to_owned())
            .spawn(move || attend(&listener, &desk, &closed))?;
        Ok(door)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        // Only our own: another process may have taken the place.
        if fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            drop(fs::remove_file(&self.path));
        }
    }
}

fn attend(listener: &UnixListener, desk: &Desk, closed: &AtomicBool) {
    while !closed.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((line, _)) => {
                if let Err(error) = serve(line, desk) {
                    log::debug("custodian's connection broke", &[("error", &error)]);
                }
            }
            Err(_none_or_no_descriptor) => thread::sleep(PAUSE),
        }
        desk.tidy();
    }
}

fn serve(mut line: UnixStream, desk: &Desk) -> io::Result<()> {
    line.set_nonblocking(false)?;
    line.set_write_timeout(Some(PATIENCE))?;
    let deadline = Instant::now().checked_add(PATIENCE);
    let mut header = [0; 4];
    fill(&mut line, &mut header, deadline)?;
    let reply = match body_length(header, MAX_REQUEST) {
        Ok(length) => {
            let mut body = vec![0; length];
            fill(&mut line, &mut body, deadline)?;
            parse_request(&body).map_or_else(|error| malformed(&error), |request| desk.answer(&request))
        }
        Err(error) => malformed(&error),
    };
    line.write_all(&to_frame(&reply).map_err(io::Error::other)?)
}

fn malformed(error: &protocol::unseal::BadFrame) -> Reply {
    Reply::Failed(Failure { code: "unseal.malformed".to_owned(), message: error.to_string() })
}

/// For a whole request.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at the queue and at what has had its time.
const PAUSE: Duration = Duration::from_millis(100);
