//! One protected victim, attacked again and again until told to stop: for who changes the enforcer while it guards.
//!
//! Only probes that read, in this process: an attempt takes no longer than its system calls, so that a gap is not missed.
//! Whoever is guarded by a killing enforcer sees this program killed, which is an answer too.

use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;

use crate::{Extras, Outcome, Run, Stage, catalogue};

/// How it is done.
#[derive(Clone, Debug, clap::Args)]
pub struct Steady {
    /// Where the enforcer listens.
    #[arg(long, default_value = protocol::enforcer::SOCKET)]
    socket: PathBuf,
    /// The file whose appearance ends it.
    #[arg(long)]
    until: PathBuf,
}

/// What came of it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Count {
    /// How often an attack was stopped.
    pub stopped: u64,
    /// How often it was not.
    pub got: u64,
    /// The first booty.
    pub first: Option<String>,
}

impl Steady {
    /// Attacks. `ready PID` is said when the victim of that number is protected.
    pub fn run(&self, out: &mut impl Write) -> Result<Count, String> {
        let run = Run::Protected(self.socket.clone());
        let stage = Stage::set(run, Extras::default(), std::env::temp_dir())?;
        writeln!(out, "ready {}", stage.victim.pid()).map_err(|error| error.to_string())?;
        let probes: Vec<_> = catalogue().into_iter().filter(|probe| PROBES.contains(&probe.id)).collect();
        let mut count = Count::default();
        while !self.until.exists() {
            for probe in &probes {
                count.add((probe.run)(&stage));
            }
        }
        Ok(count)
    }
}

impl Count {
    fn add(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Got(what) => {
                self.got = self.got.saturating_add(1);
                self.first.get_or_insert(what);
            }
            Outcome::Denied(_) | Outcome::Nothing(_) | Outcome::Killed(_) => {
                self.stopped = self.stopped.saturating_add(1);
            }
            // Then nothing was tried.
            Outcome::Impossible(_) => {}
        }
    }
}

/// They leave the victim as it was.
const PROBES: [&str; 2] = ["proc/mem-read", "proc/environ"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_attacked_steadily_is_in_the_catalogue() {
        for id in PROBES {
            assert!(
                catalogue().iter().any(|probe| probe.id == id && !probe.spoils && !probe.invasive),
                "{id}"
            );
        }
    }

    #[test]
    fn what_could_not_be_tried_is_not_counted() {
        let mut count = Count::default();
        let outcomes = [Outcome::Denied(1), Outcome::got("a"), Outcome::impossible("b"), Outcome::got("c")];
        for outcome in outcomes {
            count.add(outcome);
        }
        assert_eq!(count, Count { stopped: 1, got: 2, first: Some("a".into()) });
    }
}
