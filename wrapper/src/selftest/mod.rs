//! The wrapper attacks itself, before anything is fetched, and writes down what came of it.
//!
//! The keeper lays out a decoy: a canary in memory of the kind that values will lie in. A process of our own, which the stem makes as it makes
//! all others, tries to take it ([`attack`]); who refused is found out from the answers (`blame`), and what
//! follows from all of it is the [`Report`] (`measures`). Nothing here ends the wrapper: what could not be tried is
//! missed, and the report says why.
//!
//! Trusted: this program. The report is its word about itself: worth what the measured wrapper is worth, and on a
//! machine that somebody else rules, nothing.

mod attack;
mod blame;
mod decoys;
mod kernel;
mod measures;
mod promise;
mod spoils;
mod surroundings;

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use protocol::protection::{Assessment, Report, Score};
use rustix::process::{Pid, Signal, kill_process};
use rustix::rand::{GetRandomFlags, getrandom};
use secretmem::{Parcel, Region};

use crate::config::{Config, Way};
use crate::enforcer::Enforcer;
use crate::graft::wait_for;
use crate::line::Line;
use crate::stem::{Order, Stem};

pub use measures::Arrival;
pub use spoils::{Attempt, Prey, Spoils};

use measures::Facts;
use spoils::CANARY;

/// How long the attacker may take, which needs a few milliseconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the wrapper found out about itself.
#[derive(Clone, Debug)]
pub struct Protection {
    report: Report,
}

impl Protection {
    /// Has itself attacked, and reports.
    #[must_use]
    pub fn measure(stem: &Stem, config: &Config, enforcer: &Enforcer) -> Self {
        let circumstances = surroundings::circumstances();
        let decoy = Decoy::lay_out();
        let attacker = decoy.as_ref().map_err(Clone::clone).and_then(|decoy| Attacker::begin(stem, decoy));
        // Read while the attacker is at work.
        let (weaknesses, encrypted) = (surroundings::weaknesses(), surroundings::encrypted());
        let spoils = attacker.and_then(Attacker::end).unwrap_or_default();
        let mut attacks = blame::attacks(&spoils, &circumstances);
        let promised = promise::Promise::of(enforcer);
        promised.overrule(&mut attacks);
        let facts = Facts {
            mapping: decoy.and_then(|decoy| decoy.mapping),
            dumpable: circumstances.dumpable,
            canary: None,
            weaknesses,
            encrypted,
            enforcer: promised,
        };
        let arrival = expected(&config.delivery.ways, spoils.untraceable.is_none());
        let measures = measures::measures(&facts, &attacks, &config.login.method, arrival);
        let program = concat!("cloudtaser-wrapper ", env!("CARGO_PKG_VERSION")).to_owned();
        let version = Report::VERSION;
        Self { report: Report { version, program, attacker: circumstances.attacker(), attacks, measures } }
    }

    /// The report.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The enforcer has gone, or come back: what it is worth for the checks. The attacks are those of the start.
    pub fn enforced_by(&mut self, enforcer: &Enforcer) {
        measures::enforced(&mut self.report.measures, &promise::Promise::of(enforcer));
    }

    /// What it is worth by itself, without a verdict.
    #[must_use]
    pub fn score(&self) -> Score {
        Score::of(&self.report.measures)
    }

    /// What there is to show, with the way that values really went.
    #[must_use]
    pub fn assessed(&self, taken: Option<Way>) -> Assessment {
        let mut report = self.report.clone();
        if let Some(way) = taken {
            measures::delivered(&mut report.measures, way);
        }
        Assessment::from(&report)
    }

    /// The line for the operator.
    #[must_use]
    pub fn told(&self) -> String {
        format!("protection {}", self.score())
    }
}

/// The way that will be taken, as far as can be known before there is a program.
fn expected(ways: &[Way], traceable: bool) -> Arrival {
    let works = |way: &Way| *way != Way::Graft || traceable;
    ways.iter().copied().find(works).map_or(Arrival::None, Arrival::Expected)
}

/// A canary in memory of the kind that values will lie in, and one more whose descriptor is left open.
struct Decoy {
    prey: Prey,
    mapping: Result<measures::Mapping, String>,
    _page: Region,
    _left_open: Option<OwnedFd>,
}

impl Decoy {
    fn lay_out() -> Result<Self, String> {
        let mut canary = [0; CANARY];
        getrandom(&mut canary, GetRandomFlags::empty()).map_err(|error| format!("canary: {error}"))?;
        let mut page = Region::create(CANARY).map_err(|error| error.to_string())?;
        let place = page.bytes_mut().map_err(|error| error.to_string())?;
        place.copy_from_slice(&canary);
        let address = u64::try_from(place.as_ptr().addr()).unwrap_or(u64::MAX);
        let (mapping, end) = match surroundings::mapping(address) {
            Ok((mapping, end)) => (Ok(mapping), end),
            Err(why) => (Err(why), address),
        };
        let left_open = open_canary(&canary);
        let prey = Prey {
            pid: rustix::process::getpid().as_raw_pid(),
            address,
            end,
            canary,
            left_open: left_open.as_ref().map(AsRawFd::as_raw_fd),
        };
        Ok(Self { prey, mapping, _page: page, _left_open: left_open })
    }
}

/// Memory whose descriptor stays open, as it must not: what does `pidfd_getfd(2)` make of it?
fn open_canary(canary: &[u8]) -> Option<OwnedFd> {
    let mut parcel = Parcel::create(CANARY).ok()?;
    parcel.bytes_mut().ok()?.copy_from_slice(canary);
    Some(parcel.give())
}

/// A process of ours that attacks us.
struct Attacker {
    pid: Pid,
    line: Line,
}

impl Attacker {
    fn begin(stem: &Stem, decoy: &Decoy) -> Result<Self, String> {
        let prey = minicbor::to_vec(&decoy.prey).map_err(told)?;
        let (line, theirs) = Line::pair().map_err(told)?;
        let pid = stem.order(&Order::Attack, theirs).map_err(told)?;
        // One that has gone is found out at its end.
        line.send(&prey, None).unwrap_or_default();
        Ok(Self { pid, line })
    }

    /// What it brought back. It has answered, or never will.
    fn end(self) -> Result<Spoils, String> {
        let answer = self.line.receive_within(PATIENCE);
        kill_process(self.pid, Signal::KILL).unwrap_or_default();
        wait_for(self.pid).map_err(told)?;
        let answer = answer.map_err(told)?.ok_or("attack: no answer")?;
        minicbor::decode(&answer.bytes).map_err(told)
    }
}

fn told(error: impl std::fmt::Display) -> String {
    format!("attack: {error}")
}

/// The attacker's part, in the process that the stem has made.
pub fn attack(line: &Line) -> std::io::Result<()> {
    let message = line.receive()?.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let prey = minicbor::decode(&message.bytes).map_err(std::io::Error::other)?;
    let spoils = minicbor::to_vec(attack::attack(&prey)).map_err(std::io::Error::other)?;
    line.send(&spoils, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_way_that_works_is_expected() {
        let (graft, plain) = (Arrival::Expected(Way::Graft), Arrival::Expected(Way::Environ));
        assert_eq!(expected(&[Way::Graft, Way::Environ], true), graft);
        assert_eq!(expected(&[Way::Graft, Way::Environ], false), plain);
        assert_eq!(expected(&[Way::Graft], false), Arrival::None);
    }
}
