//! One line per request, on standard error.
//!
//! A line says who asked (user, process and pod as the kernel knows them), which hardware spoke and how it
//! ended. It never holds what was asked: no nonce, no purpose, no key, no evidence. Whoever is refused again and again
//! does not fill the journal: of each outcome but evidence so many lines are written ([`Journal`]), and then one that says
//! how many were not.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use attest::Platform;

use crate::caller::Caller;
use crate::rates::{Pace, Rates};

/// How a request ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) platform: Option<Platform>,
    /// `evidence`, or the code of the failure.
    pub(crate) word: String,
    /// What only the operator can act on.
    pub(crate) detail: Option<String>,
}

/// One line.
#[derive(Clone, Debug)]
pub(crate) struct Line<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) outcome: &'a Outcome,
    pub(crate) took: Duration,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let caller = self.caller;
        let platform = self.outcome.platform.map_or("-", Platform::name);
        let (word, took) = (&self.outcome.word, self.took.as_millis());
        write!(f, "{caller} platform={platform} outcome={word} ms={took}")?;
        match &self.outcome.detail {
            Some(detail) => write!(f, " detail={detail:?}"),
            None => Ok(()),
        }
    }
}

/// The lines of requests, no more of them than somebody could read.
#[derive(Debug)]
pub(crate) struct Journal {
    start: Instant,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    rates: Rates<String>,
    /// Lines of each outcome that were not written since the last that was.
    unsaid: BTreeMap<String, u64>,
}

impl Journal {
    pub(crate) fn new() -> Self {
        let kept = Kept { rates: Rates::new(REFUSALS), unsaid: BTreeMap::new() };
        Self { start: Instant::now(), kept: Mutex::new(kept) }
    }

    pub(crate) fn note(&self, line: &Line<'_>) {
        if let Some(text) = self.text(line, self.start.elapsed()) {
            write(&text);
        }
    }

    /// What is to be written. Evidence has a line each: its pace is that of requests.
    fn text(&self, line: &Line<'_>, now: Duration) -> Option<String> {
        let word = &line.outcome.word;
        if word == EVIDENCE {
            return Some(line.to_string());
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.rates.take(word, now) {
            let unsaid = kept.unsaid.entry(word.clone()).or_default();
            *unsaid = unsaid.saturating_add(1);
            return None;
        }
        Some(match kept.unsaid.remove(word) {
            None => line.to_string(),
            Some(unsaid) => format!("{line} unsaid={unsaid}"),
        })
    }
}

/// The outcome of a request that was served.
pub(crate) const EVIDENCE: &str = "evidence";
/// Lines of one outcome.
const REFUSALS: Pace = Pace { per_second: 1, burst: 50 };

/// Writes a line. If standard error is gone there is nobody left to tell.
pub(crate) fn write(line: &dyn fmt::Display) {
    drop(writeln!(io::stderr(), "{line}"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::process::Peer;

    fn outcome(word: &str, detail: Option<&str>) -> Outcome {
        let detail = detail.map(str::to_owned);
        Outcome { platform: Some(Platform::Tpm2), word: word.to_owned(), detail }
    }

    fn caller() -> Caller {
        Caller::unplaced(Peer { uid: 1000, pid: 0 })
    }

    #[test]
    fn a_line_stays_one_line_whatever_the_detail() {
        let outcome = outcome("agent.hardware", Some("two\nlines"));
        let line = Line { caller: &caller(), outcome: &outcome, took: Duration::from_millis(7) };
        let expected = r#"uid=1000 pid=0 platform=tpm2 outcome=agent.hardware ms=7 detail="two\nlines""#;
        assert_eq!(line.to_string(), expected);
    }

    #[test]
    fn a_flood_of_one_outcome_is_counted_and_hides_no_other() {
        let journal = Journal::new();
        let texts = |word: &str, count: usize, now| {
            let (caller, outcome) = (caller(), outcome(word, None));
            let line = Line { caller: &caller, outcome: &outcome, took: Duration::ZERO };
            (0..count).filter_map(|_| journal.text(&line, Duration::from_secs(now))).collect::<Vec<_>>()
        };
        assert_eq!(texts("agent.denied", 10_000, 0).len(), 50);
        assert_eq!(texts("agent.busy", 1, 0).len(), 1);
        assert_eq!(texts(EVIDENCE, 1000, 0).len(), 1000);
        let later = texts("agent.denied", 9, 1);
        assert_eq!(later, ["uid=1000 pid=0 platform=tpm2 outcome=agent.denied ms=0 unsaid=9950"]);
        assert!(texts("agent.denied", 1, 2)[0].ends_with("unsaid=8"));
    }
}
