//! A mount that more than one rule: what this program tells its server, and what a person is told first.
//!
//! [`server`] speaks with the mount, [`words`] says what a change would change, [`signing`] has a key sign it. A person
//! sees what they sign: every text is put together here, out of contents that were read and hashed here.
//!
//! Trusted: the command line, the environment, the key or the program that signs. Untrusted: the server.

mod issuer;
pub(crate) mod server;
pub(crate) mod signing;
pub(crate) mod words;

use crate::answer::{Answer, NotJudged, Verdict};
use crate::layout;

/// Why a verb came to no end.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// Something is missing, malformed or not seen.
    NotJudged(NotJudged),
    /// The mount said no, in these words.
    Refused(String),
}

impl From<NotJudged> for Stopped {
    fn from(why: NotJudged) -> Self {
        Self::NotJudged(why)
    }
}

pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done, or shown
  1  refused by the mount, in its words
  2  not judged: something is missing, malformed or not seen";

/// What a person is told.
pub(crate) fn told(outcome: Result<String, Stopped>) -> Answer {
    match outcome {
        Ok(said) => Answer::text(Verdict::Accepted, said),
        Err(Stopped::NotJudged(why)) => Answer::complaint(&why),
        Err(Stopped::Refused(why)) => {
            let complaint = format!("refused by the mount: {}\n", layout::printable(&why));
            Answer::aside(Verdict::Refused, complaint)
        }
    }
}
