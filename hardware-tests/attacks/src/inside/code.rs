//! Files that a protected process executes from, changed on the disk while it does.
//!
//! The kernel refuses writing to the program of a process, and to nothing else that is mapped for execution.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use super::ordered;
use crate::kernel::{Side, fork, leave};
use crate::told::{Found, nothing, told};
use crate::{Outcome, Probe, Stage, call};

pub(super) const WATCH: &str = "watch-code";

pub(crate) const PROBES: &[Probe] = &[Probe::new(
    "code/library-edit",
    "proc-mem",
    "write to the file of a library that the victim has mapped",
    edited,
)];

/// The victim maps it while a child of ours waits, and then writes.
fn edited(stage: &Stage) -> Outcome {
    let path = stage.directory.join("library");
    let (before, after) = (vec![b'a'; 4096], b"b");
    let begun = fs::write(&path, before).and_then(|()| Ok(fork()?));
    match begun {
        Err(error) => told(Err(error)),
        Ok(Side::Child) => {
            std::thread::sleep(Duration::from_secs(1));
            let file = File::options().write(true).open(&path);
            leave(i32::from(file.and_then(|file| file.write_all_at(after, 0)).is_err()))
        }
        Ok(Side::Parent(_)) => {
            let outcome = ordered(stage, WATCH, &path.to_string_lossy());
            fs::remove_file(&path).ok();
            outcome
        }
    }
}

/// In the victim's child: maps it as a loader does, and looks for five seconds what it would execute.
pub(super) fn watched(path: &str) -> Found {
    let file = File::open(path)?;
    let rights = libc::PROT_READ | libc::PROT_EXEC;
    let address =
        call!(libc::SYS_mmap, 0, 4096, rights, libc::MAP_PRIVATE, &std::os::fd::OwnedFd::from(file), 0)?;
    let address = u64::try_from(address).map_err(io::Error::other)?;
    let memory = File::open("/proc/self/mem")?;
    let mut byte = [0];
    for _ in 0..50 {
        memory.read_exact_at(&mut byte, address)?;
        if byte == *b"b" {
            return Ok("another's code in its memory".into());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(nothing("its code is what it was"))
}
