//! Who is admitted and who is not, in every mount that admits: what a revocation touches, and what was done where.
//!
//! Each mount of the plugin keeps its own bars, so each is told. [`mounts`] speaks with them, [`entities`] closes the
//! tokens that OpenBao itself has given, [`words`] says what was done and what was not. Every step may be repeated: what was
//! done stays done, and what was not is tried again.
//!
//! Trusted: the command line and the environment. Untrusted: every answer of the server.

pub(crate) mod entities;
pub(crate) mod mounts;
pub(crate) mod words;

use serde::Serialize;

use crate::answer::{Answer, NotJudged, Verdict};
use crate::args::Format;

/// How many of the steps succeeded.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) done: usize,
    pub(crate) left: usize,
}

impl Tally {
    pub(crate) fn of(steps: impl Iterator<Item = bool>) -> Self {
        let mut tally = Self::default();
        for done in steps {
            let counter = if done { &mut tally.done } else { &mut tally.left };
            *counter = counter.saturating_add(1);
        }
        tally
    }

    pub(crate) fn verdict(self) -> Verdict {
        match (self.done, self.left) {
            (_, 0) => Verdict::Accepted,
            (0, _) => Verdict::NotJudged,
            _ => Verdict::Refused,
        }
    }
}

/// What was done, as text or as a document.
pub(crate) fn told<T: Serialize>(
    found: Result<(Verdict, T), NotJudged>,
    format: Format,
    text: impl FnOnce(&T) -> String,
) -> Answer {
    match (found, format) {
        (Ok((verdict, done)), Format::Text) => Answer::text(verdict, text(&done)),
        (Ok((verdict, done)), Format::Json) => Answer::json(verdict, &done),
        (Err(why), Format::Text) => Answer::complaint(&why),
        (Err(error), Format::Json) => Answer::json(Verdict::NotJudged, &Unjudged { error }),
    }
}

/// Words that a mount takes for a reason.
pub(crate) fn reason(text: &str) -> Result<String, String> {
    let words = text.trim();
    if words.is_empty() || words.len() > MOST_WORDS || words.contains(char::is_control) {
        return Err(format!("expected 1 to {MOST_WORDS} printable bytes, found {}", words.len()));
    }
    Ok(words.to_owned())
}

/// The longest reason that a mount takes, in bytes.
const MOST_WORDS: usize = 200;

#[derive(Serialize)]
struct Unjudged {
    error: NotJudged,
}

pub(crate) const SELECTORS: &str = "\
Selectors:
  hardware=HEX        a chip               measurement=HEX    everything that measured this
  instance=HEX        a node or a guest    policy=NAME@7      what version 7 and older ones admitted
  product-line=Milan  a vendor's line      platform=sev-snp   a platform";

pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done in every mount
  1  done in part: what was not is said first, and the command may be repeated
  2  nothing was done";
