//! Facts kept true: measured before the first evidence, when the enforcer is there or has been waited for, and again whenever
//! they changed.
//!
//! Untrusted: nothing new; see [`super`].

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Measured, Settings, enforcer, gather};
use crate::journal;
use crate::registers::Register;

/// A register that takes facts in, and what it took in.
pub type Place = (Measured, Box<dyn Register>);

/// Waits for the enforcer, no longer than `settings` say: facts that are measured without it stay on record until the machine
/// reboots. Whether to go on: not if `end` has something to be read.
pub fn await_enforcer(settings: &Settings, end: BorrowedFd<'_>) -> io::Result<bool> {
    let began = Instant::now();
    while began.elapsed() < settings.enforcer_within && !enforcer::answers(&settings.enforcer) {
        match poll(&mut [PollFd::new(end, PollFlags::POLLIN)], PollTimeout::from(BETWEEN)) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(true)
}

/// Measures the facts now, and from now on each time that they changed, in a thread of its own.
pub fn keep(settings: &Settings, places: Vec<Place>) -> io::Result<()> {
    if places.is_empty() {
        journal::write(&"facts: no register takes them in: expected [tdx], or a section with a TPM");
        return Ok(());
    }
    let mut told = measure(settings, &places, &[]);
    let settings = settings.clone();
    let look = move || {
        loop {
            thread::sleep(INTERVAL);
            told = measure(&settings, &places, &told);
        }
    };
    thread::Builder::new().name("facts".to_owned()).spawn(look).map(drop)
}

/// Measures; what went wrong is told once, not every time.
fn measure(settings: &Settings, places: &[Place], before: &[String]) -> Vec<String> {
    let (facts, mut problems) = gather(Path::new("/"), settings);
    for (measured, register) in places {
        match measured.measure(&facts, register.as_ref()) {
            Ok(true) => journal::write(&format_args!("facts: measured into {}", register.name())),
            Ok(false) => {}
            Err(problem) => problems.push(problem.to_string()),
        }
    }
    for problem in problems.iter().filter(|problem| !before.contains(problem)) {
        journal::write(&format_args!("facts: {problem}"));
    }
    problems
}

/// Between two looks for the enforcer, in milliseconds.
const BETWEEN: u8 = 250;
/// Gathering costs some milliseconds: about one part in five thousand of a processor.
const INTERVAL: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use super::*;

    fn waiting(folder: &Path, seconds: u64) -> Settings {
        let enforcer_within = Duration::from_secs(seconds);
        Settings { enforcer: folder.join("enforcer.sock"), enforcer_within, ..Settings::usual() }
    }

    #[test]
    fn an_enforcer_that_does_not_come_is_waited_for_as_long_as_told() {
        let folder = tempfile::tempdir().unwrap();
        let (end, _ends) = nix::unistd::pipe().unwrap();
        let began = Instant::now();
        assert!(await_enforcer(&waiting(folder.path(), 1), end.as_fd()).unwrap());
        assert!(began.elapsed() >= Duration::from_secs(1));
    }

    #[test]
    fn an_agent_that_is_told_to_end_waits_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let (end, ends) = nix::unistd::pipe().unwrap();
        nix::unistd::write(&ends, b"!").unwrap();
        assert!(!await_enforcer(&waiting(folder.path(), 3600), end.as_fd()).unwrap());
    }
}
