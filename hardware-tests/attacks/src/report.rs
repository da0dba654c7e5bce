//! What is said of each probe after both runs, and the table of it.
//!
//! A denial proves something only where the same attack works without the enforcer; and what can no longer be *tried* is not
//! denied, but unproved.

use std::fmt::Write;

use libc::{EACCES, EPERM};
use serde::Serialize;

use crate::allowed::Allowed;
use crate::{Outcome, Probe};

/// One probe, and what came of it in each run that there was.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The probe's id.
    pub id: &'static str,
    /// Its vector.
    pub vector: &'static str,
    /// What the attacker does.
    pub what: &'static str,
    /// While nobody is protected.
    pub bare: Option<Outcome>,
    /// While the victim is.
    pub protected: Option<Outcome>,
    /// What is said of it.
    pub verdict: Verdict,
}

/// What is said of a probe.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Worked, and is refused or comes to nothing.
    Denied,
    /// Worked, and who tries it is killed.
    Killed,
    /// Works, and is on the list of known limits.
    Known,
    /// Works as before.
    StillPossible,
    /// Worked, and could not be tried.
    Unproved,
    /// Does not work on this machine even so.
    ImpossibleBare,
    /// Must go on working, and does.
    Open,
    /// Must go on working, and does not.
    Closed,
    /// There was one run only.
    OneRun,
}

impl Verdict {
    /// Judges.
    #[must_use]
    pub fn of(probe: &Probe, bare: Option<&Outcome>, protected: Option<&Outcome>, allowed: &Allowed) -> Self {
        let (Some(bare), Some(protected)) = (bare, protected) else { return Self::OneRun };
        match (bare, protected) {
            (Outcome::Got(_), Outcome::Got(_)) if probe.must_work() => Self::Open,
            (Outcome::Got(_), _) if probe.must_work() => Self::Closed,
            (Outcome::Got(_), Outcome::Got(_)) if allowed.knows(probe.id) => Self::Known,
            // What works protected works, whatever came of it bare.
            (_, Outcome::Got(_)) if probe.must_work() => Self::Open,
            (_, Outcome::Got(_)) => Self::StillPossible,
            (Outcome::Got(_), Outcome::Denied(EPERM | EACCES) | Outcome::Nothing(_)) => Self::Denied,
            (Outcome::Got(_), Outcome::Killed(_)) => Self::Killed,
            // Some other error is not a guard's word: the attack went wrong for a reason of its own.
            (Outcome::Got(_), Outcome::Impossible(_) | Outcome::Denied(_)) => Self::Unproved,
            _ => Self::ImpossibleBare,
        }
    }

    /// Whether the enforcer has failed, or the suite to prove that it has not.
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::StillPossible | Self::Unproved | Self::Closed)
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Killed => "killed",
            Self::Known => "known limit",
            Self::StillPossible => "STILL POSSIBLE",
            Self::Unproved => "UNPROVED",
            Self::ImpossibleBare => "impossible bare",
            Self::Open => "open",
            Self::Closed => "CLOSED",
            Self::OneRun => "-",
        }
    }
}

/// All lines, for people.
#[must_use]
pub fn table(lines: &[Line]) -> String {
    let mut rows = vec![["probe", "vector", "bare", "protected", "verdict"].map(str::to_owned)];
    for line in lines {
        rows.push([
            line.id.to_owned(),
            line.vector.to_owned(),
            line.bare.as_ref().map_or_else(|| "-".to_owned(), brief),
            line.protected.as_ref().map_or_else(|| "-".to_owned(), brief),
            line.verdict.text().to_owned(),
        ]);
    }
    let mut widths = [0; 5];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// An outcome in few words.
fn brief(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Got(what) => format!("got {}", cut(what)),
        Outcome::Denied(number) => error_name(*number),
        Outcome::Nothing(what) => format!("nothing: {}", cut(what)),
        Outcome::Killed(number) => format!("killed by signal {number}"),
        Outcome::Impossible(why) => format!("impossible: {}", cut(why)),
    }
}

/// A table has no room for more.
const ROOM: usize = 72;

fn cut(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= ROOM {
        line.to_owned()
    } else {
        line.chars().take(ROOM).chain(['…']).collect()
    }
}

fn error_name(number: i32) -> String {
    let error = std::io::Error::from_raw_os_error(number).to_string();
    let error = error.split(" (os error").next().unwrap_or_default().to_owned();
    format!("error {number}: {error}")
}

/// How many of each verdict, and which ones went wrong.
#[must_use]
pub fn summary(lines: &[Line]) -> String {
    let ids =
        |verdict| lines.iter().filter(|line| line.verdict == verdict).map(|line| line.id).collect::<Vec<_>>();
    let count = |verdict| ids(verdict).len();
    let mut text = format!(
        "{} probes: {} denied, {} killed, {} impossible bare",
        lines.len(),
        count(Verdict::Denied),
        count(Verdict::Killed),
        count(Verdict::ImpossibleBare),
    );
    for (verdict, name) in [
        (Verdict::Open, "open as they must be"),
        (Verdict::Known, "known limits"),
        (Verdict::OneRun, "run once"),
    ] {
        if count(verdict) > 0 {
            push(&mut text, format_args!(", {} {name}", count(verdict)));
        }
    }
    let possible = ids(Verdict::StillPossible);
    push(&mut text, format_args!(", {} STILL POSSIBLE", possible.len()));
    if !possible.is_empty() {
        push(&mut text, format_args!(": {}", possible.join(" ")));
    }
    for (verdict, name) in [(Verdict::Unproved, "UNPROVED"), (Verdict::Closed, "CLOSED")] {
        if count(verdict) > 0 {
            push(&mut text, format_args!(", {} {name}: {}", count(verdict), ids(verdict).join(" ")));
        }
    }
    text
}

fn push(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    text.write_fmt(words).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBE: Probe = Probe::new("a/b", "ptrace", "", |_| Outcome::Denied(1));
    const NEED: Probe = Probe::new("runtime/b", crate::OPEN, "", |_| Outcome::Denied(1));

    fn said(probe: &Probe, bare: &Outcome, protected: &Outcome) -> Verdict {
        Verdict::of(probe, Some(bare), Some(protected), &Allowed::default())
    }

    #[test]
    fn a_denial_that_happens_without_the_enforcer_too_proves_nothing() {
        assert_eq!(said(&PROBE, &Outcome::Denied(1), &Outcome::Denied(1)), Verdict::ImpossibleBare);
        assert_eq!(said(&PROBE, &Outcome::got("x"), &Outcome::Denied(1)), Verdict::Denied);
        assert_eq!(said(&PROBE, &Outcome::got("x"), &Outcome::nothing("y")), Verdict::Denied);
        assert_eq!(said(&PROBE, &Outcome::got("x"), &Outcome::Killed(9)), Verdict::Killed);
    }

    #[test]
    fn what_can_no_longer_be_tried_is_unproved() {
        assert_eq!(said(&PROBE, &Outcome::got("x"), &Outcome::impossible("y")), Verdict::Unproved);
        assert_eq!(said(&PROBE, &Outcome::got("x"), &Outcome::Denied(libc::ESRCH)), Verdict::Unproved);
        assert!(Verdict::Unproved.is_failure());
    }

    #[test]
    fn what_works_protected_is_a_failure_unless_it_is_known() {
        assert_eq!(said(&PROBE, &Outcome::got("x"), &Outcome::got("x")), Verdict::StillPossible);
        assert_eq!(said(&PROBE, &Outcome::Denied(1), &Outcome::got("x")), Verdict::StillPossible);
        let known =
            Allowed::parse("## Attacks that still work\n| | | |\n| | | |\n| `a/b` | everywhere | why |\n")
                .unwrap();
        let both = Outcome::got("x");
        assert_eq!(Verdict::of(&PROBE, Some(&both), Some(&both), &known), Verdict::Known);
        assert!(Verdict::StillPossible.is_failure() && !Verdict::Known.is_failure());
    }

    #[test]
    fn what_a_runtime_needs_must_work_in_both_runs() {
        assert_eq!(said(&NEED, &Outcome::got("x"), &Outcome::got("x")), Verdict::Open);
        assert_eq!(said(&NEED, &Outcome::got("x"), &Outcome::Denied(1)), Verdict::Closed);
        assert!(Verdict::Closed.is_failure());
    }

    #[test]
    fn the_summary_names_what_went_wrong() {
        let line =
            |verdict| Line { id: "a/b", vector: "ptrace", what: "", bare: None, protected: None, verdict };
        assert_eq!(
            summary(&[line(Verdict::Denied), line(Verdict::StillPossible), line(Verdict::Closed)]),
            "3 probes: 1 denied, 0 killed, 0 impossible bare, 1 STILL POSSIBLE: a/b, 1 CLOSED: a/b"
        );
        assert_eq!(
            summary(&[line(Verdict::Killed)]),
            "1 probes: 0 denied, 1 killed, 0 impossible bare, 0 STILL POSSIBLE"
        );
    }
}
