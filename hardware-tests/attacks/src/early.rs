//! The moment of `execve`: a program's new memory is there before it is decided what the program may.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::kernel::{Side, fork, leave};
use crate::told::{Found, nothing};

/// What the memory from before has, which is a copy of ours.
static OURS: [u8; 16] = *b"of the attacker.";
/// How often it is tried.
const ROUNDS: u32 = 30;
/// For how long its memory is asked for each time.
const ROUND: Duration = Duration::from_millis(20);

/// Opens the memory of a program for writing while it is being executed, many times over.
pub(crate) fn reached(command: &mut Command) -> Found {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut answer = Err(nothing("it was never met"));
    for _ in 0..ROUNDS {
        let pid = match fork()? {
            Side::Child => {
                drop(command.exec());
                leave(1)
            }
            Side::Parent(pid) => pid,
        };
        let met = hammered(pid);
        // Ended already, perhaps.
        kill_process(pid, Signal::KILL).ok();
        waitpid(Some(pid), WaitOptions::empty())?;
        match met {
            Ok(Some(())) => return Ok("its memory, to be written, before it had begun".into()),
            Ok(None) => {}
            Err(refused) => answer = Err(refused),
        }
    }
    answer
}

/// Asks until it has what it wants, or the time is over; then it says what it was refused with last.
fn hammered(pid: Pid) -> io::Result<Option<()>> {
    let (path, began) = (format!("/proc/{pid}/mem"), Instant::now());
    let mut refused = Ok(None);
    while began.elapsed() < ROUND {
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if is_refusal(&error) => {
                refused = Err(error);
                continue;
            }
            // It has ended.
            Err(_) => break,
        };
        match is_from_before(&file) {
            Ok(true) => {}
            Ok(false) => return Ok(Some(())),
            Err(error) => refused = Err(error),
        }
    }
    refused
}

/// Whether the memory is that of the program before, a copy of ours or our own, which is still there or is gone.
pub(crate) fn is_from_before(memory: &File) -> io::Result<bool> {
    let address = u64::try_from(OURS.as_ptr().expose_provenance()).unwrap_or(0);
    let mut found = [0; 16];
    match memory.read_at(&mut found, address) {
        Ok(length) => Ok(length == 0 || found == OURS),
        Err(error) if is_refusal(&error) => Err(error),
        // Another: nothing is there at this place.
        Err(_) => Ok(false),
    }
}

/// Of the file, or of what is done with one that was opened before.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES))
}
