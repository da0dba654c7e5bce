//! A security module on a Unix socket, where there is no device: each message behind its length in four bytes, most
//! significant first.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::nsm::{Fault, Nsm};

/// A module that is served until this is dropped.
#[derive(Debug)]
pub struct NsmSocket {
    path: PathBuf,
    ending: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl NsmSocket {
    /// Serves `nsm` at `path`, which must not exist.
    pub fn listen(nsm: Nsm, path: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        let ending = Arc::new(AtomicBool::new(false));
        let (socket, end) = (path.to_owned(), Arc::clone(&ending));
        let listening = thread::spawn(move || serve(&listener, nsm, &socket, &end));
        Ok(Self { path: path.to_owned(), ending, listening: Some(listening) })
    }

    /// Where it is served.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for NsmSocket {
    fn drop(&mut self) {
        end(&self.ending, &self.path);
        if let Some(listening) = self.listening.take() {
            drop(listening.join());
        }
    }
}

/// Ends the listening and takes the socket away, once: by then somebody else may listen at this path.
fn end(ending: &AtomicBool, path: &Path) {
    if !ending.swap(true, Ordering::Relaxed) {
        // Wakes the listener.
        drop(UnixStream::connect(path));
        drop(std::fs::remove_file(path));
    }
}

fn serve(listener: &UnixListener, nsm: Nsm, path: &Path, ending: &Arc<AtomicBool>) {
    let nsm = Arc::new(Mutex::new(nsm));
    for stream in listener.incoming().flatten() {
        if ending.load(Ordering::Relaxed) {
            return;
        }
        let (nsm, path, ending) = (Arc::clone(&nsm), path.to_owned(), Arc::clone(ending));
        // A caller who goes away in the middle is nobody's trouble.
        thread::spawn(move || drop(converse(stream, &nsm, || end(&ending, &path))));
    }
}

fn converse(mut stream: UnixStream, nsm: &Mutex<Nsm>, leave: impl Fn()) -> io::Result<()> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let length = u64::from(u32::from_be_bytes(length)).min(LONGEST_HEARD);
        let mut request = Vec::new();
        Read::by_ref(&mut stream).take(length).read_to_end(&mut request)?;
        let mut nsm = nsm.lock().unwrap_or_else(PoisonError::into_inner);
        if nsm.gone() {
            leave();
            return Ok(());
        }
        let (fault, answer) = (nsm.faulty(), nsm.answer(&request));
        drop(nsm);
        if !send(&mut stream, fault, &answer)? {
            return Ok(());
        }
    }
}

/// Sends an answer, and says whether the conversation goes on.
fn send(stream: &mut UnixStream, fault: Fault, answer: &[u8]) -> io::Result<bool> {
    let long = [answer, &[0; 0x3000]].concat();
    let (announced, sent) = match fault {
        Fault::Half => (answer.len(), answer.get(..answer.len() / 2).unwrap_or_default()),
        Fault::Long => (long.len(), long.as_slice()),
        Fault::Slow(pause) => {
            thread::sleep(pause);
            (answer.len(), answer)
        }
        Fault::Healthy
        | Fault::GoneAfter(_)
        | Fault::Refuse(_)
        | Fault::Other
        | Fault::UnknownField
        | Fault::Garbage => (answer.len(), answer),
    };
    let length = u32::try_from(announced).unwrap_or(u32::MAX).to_be_bytes();
    stream.write_all(&[&length, sent].concat())?;
    Ok(announced == sent.len())
}

/// Longer requests are refused by their length; their rest is not waited for.
const LONGEST_HEARD: u64 = 0x2000;
