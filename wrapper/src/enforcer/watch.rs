//! What becomes of the enforcer while the program runs.
//!
//! Its hooks are pinned: they go on when its process ends, for an update as for an attack. So that is told, and shown in the
//! status and the score, and no reason to end the program. When it is back it is asked again, and told again what we shall not
//! send. Where an enforcer is required and the one that came back does not protect us, or no longer enforces, the program ends.
//!
//! Trusted: as for [`super::Enforcer`].

use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::bond::{Bond, Line};
use super::{Enforcer, answer, socket};
use crate::config::Enforcement;
use crate::keeper::{Core, Error, Event, Part, UNPROTECTED};
use crate::say;

/// Between two looks whether it is back.
const AGAIN: Duration = Duration::from_secs(10);

/// The keeper's eye on the enforcer.
#[derive(Debug)]
pub struct Watch {
    demand: Enforcement,
    socket: PathBuf,
    /// When to look whether it is back; none while it is there.
    look: Option<Instant>,
}

impl Watch {
    /// For a keeper that is protected.
    #[must_use]
    pub fn new(demand: Enforcement) -> Self {
        Self { demand, socket: socket(), look: None }
    }

    fn lost(&mut self, core: &mut Core<'_>, why: &str, now: Instant) {
        say(format_args!("ENFORCER_LOST: {why}; its hooks go on, the program does too"));
        core.enforced_by(Enforcer::Absent(why.to_owned()));
        self.look = now.checked_add(AGAIN);
    }

    fn is_back(&mut self, core: &mut Core<'_>, now: Instant) -> Result<(), String> {
        self.look = now.checked_add(AGAIN);
        let Ok(line) = Line::to(&self.socket) else { return Ok(()) };
        let bond: Bond = match line.confirm() {
            Ok(Ok(bond)) => bond,
            Ok(Err(_unprotected)) => return Err("the enforcer that came back does not protect us".to_owned()),
            Err(silence) => return Err(silence.to_string()),
        };
        let shortfall = answer::shortfall(bond.matrix());
        say("ENFORCER_BACK: it protects us as before");
        self.look = None;
        core.enforced_by(Enforcer::Bound(bond));
        core.register();
        shortfall.map_or(Ok(()), |shortfall| Err(shortfall.to_string()))
    }
}

impl Part for Watch {
    fn waits(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        Vec::new()
    }

    fn wakes(&self) -> Option<Instant> {
        self.look
    }

    fn turn(&mut self, core: &mut Core<'_>, _events: &[Event]) -> Result<(), Error> {
        let now = Instant::now();
        if core.enforcer().is_some_and(Bond::is_over) {
            self.lost(core, "the enforcer has gone", now);
        } else if self.look.is_some_and(|look| now >= look)
            && let Err(why) = self.is_back(core, now)
        {
            say(format_args!("ENFORCER_LOST: {why}"));
            if self.demand == Enforcement::Required {
                core.end_program(UNPROTECTED);
                self.look = None;
            }
        }
        Ok(())
    }
}
