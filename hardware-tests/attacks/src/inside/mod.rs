//! What a protected process may not do itself: the probe orders the victim to, and a child of the victim's does it.
//!
//! The child inherits what the victim is to the enforcer, and whatever it does to itself goes with it.

mod code;
mod itself;
mod leak;
mod supervised;
mod ways;

use std::io::{Read as _, Write as _};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{WaitOptions, waitpid};

use crate::kernel::{Side, fork, leave};
use crate::victim::{Holding, Order, Report};
use crate::{Outcome, Probe, Stage};

/// Theme by theme.
pub(crate) const THEMES: &[&[Probe]] = &[itself::PROBES, code::PROBES, supervised::PROBES, leak::PROBES];

/// Orders the stage's victim, and tells what its child says came of it.
fn ordered(stage: &Stage, name: &str, argument: &str) -> Outcome {
    let order = Order::Inside { name: name.to_owned(), argument: argument.to_owned() };
    match stage.victim.ask(&order) {
        Ok(Report::Told { what }) => serde_json::from_str(&what).unwrap_or_else(|error| {
            Outcome::impossible(format!("the victim's words {what} are none: {error}"))
        }),
        Ok(other) => Outcome::impossible(format!("the victim said {other:?}")),
        Err(error) => Outcome::impossible(format!("the victim does not answer: {error}")),
    }
}

/// Does what is known by this name, in the victim.
pub(crate) fn perform(name: &str, argument: &str, holding: &Holding) -> Report {
    if name == leak::REGISTER {
        return outcome(&leak::register(argument, holding));
    }
    let done = in_child(|| match name.strip_prefix(leak::PREFIX) {
        Some(way) => leak::perform(way, argument, holding),
        None if name == code::WATCH => crate::told::told(code::watched(argument)),
        None => itself::perform(name),
    });
    outcome(&done.unwrap_or_else(|error| Outcome::impossible(format!("no child of the victim's: {error}"))))
}

fn outcome(outcome: &Outcome) -> Report {
    Report::Told { what: serde_json::to_string(outcome).unwrap_or_default() }
}

fn in_child(act: impl FnOnce() -> Outcome) -> std::io::Result<Outcome> {
    let (hear, say) = pipe_with(PipeFlags::CLOEXEC)?;
    match fork()? {
        Side::Child => {
            let words = serde_json::to_vec(&act()).unwrap_or_default();
            leave(i32::from(std::fs::File::from(say).write_all(&words).is_err()))
        }
        Side::Parent(pid) => {
            drop(say);
            let mut words = Vec::new();
            std::fs::File::from(hear).read_to_end(&mut words)?;
            let status = waitpid(Some(pid), WaitOptions::empty())?;
            let signal = status.and_then(|(_, status)| status.terminating_signal());
            Ok(match (serde_json::from_slice(&words), signal) {
                (Ok(outcome), _) => outcome,
                (Err(_), Some(signal)) => Outcome::Killed(signal),
                (Err(error), None) => {
                    Outcome::impossible(format!("no words from the victim's child: {error}"))
                }
            })
        }
    }
}
