//! Facts kept true: measured before the first evidence, and again whenever they changed.
//!
//! Untrusted: nothing new; see [`super`].

use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::{Measured, Settings, gather};
use crate::journal;
use crate::registers::Register;

/// A register that takes facts in, and what it took in.
pub type Place = (Measured, Box<dyn Register>);

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

/// Gathering costs some milliseconds: about one part in five thousand of a processor.
const INTERVAL: Duration = Duration::from_mins(1);
