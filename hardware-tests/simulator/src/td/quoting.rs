//! The host's quoting service on a Unix socket.

use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::Td;

/// What goes wrong at the service.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum QuotingFault {
    /// Nothing.
    #[default]
    Healthy,
    /// Each request is refused with this error code.
    Refused(u32),
    /// Hangs up in the middle of the answer.
    HangsUp,
    /// Answers with a message that says another length than it has.
    Garbled,
}

/// A service that answers until dropped. One caller at a time.
#[derive(Debug)]
pub struct Quoting {
    path: PathBuf,
    ended: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl Quoting {
    /// Listens at `path`.
    pub fn listen(td: &Td, fault: QuotingFault, path: &Path) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        let (td, ended) = (td.clone(), Arc::new(AtomicBool::new(false)));
        let server = thread::spawn({
            let ended = Arc::clone(&ended);
            move || {
                let callers = listener.incoming().take_while(|_| !ended.load(Ordering::SeqCst));
                // Who hangs up has no answer.
                callers.for_each(|stream| drop(stream.and_then(|stream| answer(&td, fault, stream))));
            }
        });
        Ok(Self { path: path.to_owned(), ended, server: Some(server) })
    }

    /// The address, as an agent's configuration has it.
    #[must_use]
    pub fn address(&self) -> String {
        format!("unix:{}", self.path.display())
    }
}

impl Drop for Quoting {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let woken = UnixStream::connect(&self.path);
        if woken.is_ok()
            && let Some(server) = self.server.take()
        {
            let _ended = server.join();
        }
        drop(std::fs::remove_file(&self.path));
    }
}

fn answer(td: &Td, fault: QuotingFault, mut stream: UnixStream) -> io::Result<()> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(0).min(MAX_MESSAGE);
    let mut message = vec![0; length];
    stream.read_exact(&mut message)?;
    let quote = report_in(&message).and_then(|report| td.quoted(report)).ok_or(INVALID_PARAMETER);
    let answer = match fault {
        QuotingFault::Healthy | QuotingFault::HangsUp => response(quote),
        QuotingFault::Refused(code) => response(Err(code)),
        QuotingFault::Garbled => [response(quote), vec![0]].concat(),
    };
    let framed = [&word(answer.len()).to_be_bytes()[..], &answer].concat();
    let sent = if fault == QuotingFault::HangsUp { framed.get(..100).unwrap_or_default() } else { &framed };
    stream.write_all(sent)?;
    stream.shutdown(Shutdown::Both)
}

/// A request for a quote, of version 1, over a report and with no list of keys.
fn report_in(message: &[u8]) -> Option<&[u8]> {
    let (head, report) = message.split_first_chunk::<24>()?;
    let expected = [
        &[1, 0, 0, 0][..],
        &0_u32.to_le_bytes(),
        &word(message.len()).to_le_bytes(),
        &0_u32.to_le_bytes(),
        &word(report.len()).to_le_bytes(),
        &0_u32.to_le_bytes(),
    ]
    .concat();
    (head.as_slice() == expected).then_some(report)
}

fn response(quote: Result<Vec<u8>, u32>) -> Vec<u8> {
    let (code, quote) = quote.map_or_else(|code| (code, Vec::new()), |quote| (0, quote));
    let size = word(quote.len()).saturating_add(24);
    let head = [1, 1, size, code, 0, word(quote.len())].map(u32::to_le_bytes).concat();
    [head, quote].concat()
}

fn word(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

const MAX_MESSAGE: usize = 64 * 1024;
/// `QGS_MSG_ERROR_INVALID_PARAMETER`.
const INVALID_PARAMETER: u32 = 0x0001_2003;
