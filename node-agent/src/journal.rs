//! One line per request, on standard error.
//!
//! A line says who asked (user and process as the kernel knows them), which hardware spoke and how it
//! ended. It never holds what was asked: no nonce, no purpose, no key, no evidence.

use std::fmt;
use std::io::{self, Write as _};
use std::time::Duration;

use attest::Platform;

/// Who is at the other end of the socket. The process id is 0 when it lives in another pid namespace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Caller {
    pub(crate) uid: u32,
    pub(crate) pid: i32,
}

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
    pub(crate) caller: Caller,
    pub(crate) outcome: &'a Outcome,
    pub(crate) took: Duration,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Caller { uid, pid } = self.caller;
        let platform = self.outcome.platform.map_or("-", Platform::name);
        let (word, took) = (&self.outcome.word, self.took.as_millis());
        write!(f, "uid={uid} pid={pid} platform={platform} outcome={word} ms={took}")?;
        match &self.outcome.detail {
            Some(detail) => write!(f, " detail={detail:?}"),
            None => Ok(()),
        }
    }
}

/// Writes a line. If standard error is gone there is nobody left to tell.
pub(crate) fn write(line: &dyn fmt::Display) {
    drop(writeln!(io::stderr(), "{line}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_whatever_the_detail() {
        let caller = Caller { uid: 1000, pid: 0 };
        let detail = Some("two\nlines".to_owned());
        let outcome = Outcome { platform: Some(Platform::Tpm2), word: "agent.hardware".to_owned(), detail };
        let line = Line { caller, outcome: &outcome, took: Duration::from_millis(7) };
        let expected = r#"uid=1000 pid=0 platform=tpm2 outcome=agent.hardware ms=7 detail="two\nlines""#;
        assert_eq!(line.to_string(), expected);
    }
}
