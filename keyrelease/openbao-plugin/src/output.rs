//! Who may write to standard output and error: nobody but the log and the one handshake line.
//!
//! The real files move to private descriptors; 1 and 2 become the ends of a pipe, and a thread
//! turns every line that arrives there into a log line whose text is a JSON string. So a
//! dependency that prints what a caller sent it can neither stop the server nor forge its log.
//!
//! Untrusted: everything that comes out of the pipe.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::thread;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::stdio::{dup2_stderr, dup2_stdout, stderr, stdout};

use crate::log;

/// Takes over both descriptors, opens the log, and gives back the real standard output.
pub(crate) fn capture() -> io::Result<Handshake> {
    let real_out = fcntl_dupfd_cloexec(stdout(), FIRST_PRIVATE)?;
    let real_err = fcntl_dupfd_cloexec(stderr(), FIRST_PRIVATE)?;
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    dup2_stdout(&write)?;
    dup2_stderr(&write)?;
    log::open(File::from(real_err));
    thread::Builder::new().name("output".to_owned()).spawn(move || relay(File::from(read)))?;
    Ok(Handshake(File::from(real_out)))
}

/// The real standard output, good for one line.
#[derive(Debug)]
pub(crate) struct Handshake(File);

impl Handshake {
    /// Prints the line that tells the host where to connect, and closes the file: the host
    /// throws away what comes later, and stops reading at a line over 64 KiB.
    pub(crate) fn print(mut self, line: &str) -> io::Result<()> {
        self.0.write_all(line.as_bytes())?;
        self.0.flush()
    }
}

fn relay(pipe: impl Read) {
    let mut lines = BufReader::new(pipe);
    let mut line = Vec::new();
    // An over-long line comes out in pieces.
    while let Ok(1..) = lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
        let text = String::from_utf8_lossy(&line);
        log::debug(text.trim_end(), &[("printed_by", &"the plugin or a dependency")]);
        line.clear();
    }
}

/// Keeps 0, 1 and 2 what they are.
const FIRST_PRIVATE: i32 = 3;

/// What one log line can carry of it.
const MAX_LINE: u64 = 1000;
