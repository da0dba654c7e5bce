//! The answer: what is written where, and the exit code.
//!
//! A verb returns an [`Answer`]; only [`Answer::deliver`] writes. "No" and "could not judge" are two
//! different things, to people and to programs.

use std::io::{self, Write};
use std::process::ExitCode;

use attest::collateral::BadPack;
use attest::policy::BadSignedPolicy;
use attest::{BadBundle, BadPolicy, CannotJudge, Check};
use serde::Serialize;

use crate::layout;

/// What a person or a program is told.
#[derive(Debug)]
pub(crate) struct Answer {
    verdict: Verdict,
    output: String,
    complaint: String,
}

/// The three ends of a judgement.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// Judged: yes.
    Accepted,
    /// Judged: no.
    Refused,
    /// Not judged.
    NotJudged,
}

impl Verdict {
    /// Accepted if no check failed.
    pub(crate) fn of(checks: &[Check]) -> Self {
        let failed = checks.iter().any(|check| check.verdict == attest::Answer::Fail);
        if failed { Self::Refused } else { Self::Accepted }
    }

    pub(crate) fn exit_code(self) -> ExitCode {
        match self {
            Self::Accepted => ExitCode::SUCCESS,
            Self::Refused => ExitCode::from(1),
            Self::NotJudged => ExitCode::from(2),
        }
    }
}

impl Answer {
    /// A text for standard output.
    pub(crate) fn text(verdict: Verdict, output: String) -> Self {
        Self { verdict, output, complaint: String::new() }
    }

    /// A text for standard error, where standard output is for entries.
    pub(crate) fn aside(verdict: Verdict, complaint: String) -> Self {
        Self { verdict, output: String::new(), complaint }
    }

    /// A document for standard output.
    pub(crate) fn json(verdict: Verdict, document: &impl Serialize) -> Self {
        match serde_json::to_string_pretty(document) {
            Ok(output) => Self::text(verdict, output + "\n"),
            Err(error) => Self::complaint(&NotJudged::new("output.unwritable", error.to_string())),
        }
    }

    /// A text for standard error: there is no verdict.
    pub(crate) fn complaint(why: &NotJudged) -> Self {
        // The parser of policies shows the place in the text.
        let message = match why.code {
            "policy.malformed" => layout::indented(&why.message, 2),
            _ => layout::printable(&why.message),
        };
        let complaint = format!("not judged: {message} ({})\n", why.code);
        Self { verdict: Verdict::NotJudged, output: String::new(), complaint }
    }

    /// Writes, and says how it ended.
    pub(crate) fn deliver(self) -> ExitCode {
        let written = io::stdout().write_all(self.output.as_bytes()).and_then(|()| io::stdout().flush());
        let complained = io::stderr().write_all(self.complaint.as_bytes());
        match written.and(complained) {
            Ok(()) => self.verdict.exit_code(),
            // `cloudtaser … | head` ends early, and has its verdict all the same.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.verdict.exit_code(),
            Err(_unwritable) => Verdict::NotJudged.exit_code(),
        }
    }
}

/// Why there is no verdict.
#[derive(Debug, Serialize, thiserror::Error)]
#[error("{message}")]
pub(crate) struct NotJudged {
    /// A stable name for this kind of problem.
    pub(crate) code: &'static str,
    /// What was expected and what was found.
    pub(crate) message: String,
}

impl NotJudged {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<CannotJudge> for NotJudged {
    fn from(error: CannotJudge) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<BadPack> for NotJudged {
    fn from(error: BadPack) -> Self {
        Self::new("pack.malformed", error.to_string())
    }
}

impl From<BadPolicy> for NotJudged {
    fn from(error: BadPolicy) -> Self {
        let code = if matches!(error, BadPolicy::Empty) {
            "policy.empty"
        } else if matches!(error, BadPolicy::TooLong { .. }) {
            "input.too_long"
        } else {
            "policy.malformed"
        };
        Self::new(code, error.to_string())
    }
}

impl From<BadSignedPolicy> for NotJudged {
    fn from(error: BadSignedPolicy) -> Self {
        match error {
            BadSignedPolicy::Policy(error) => error.into(),
            BadSignedPolicy::TooLong { .. } => Self::new("input.too_long", error.to_string()),
            BadSignedPolicy::UnknownSigner(_) => Self::new("policy.signer", error.to_string()),
            BadSignedPolicy::Signature(_) => Self::new("policy.signature", error.to_string()),
            BadSignedPolicy::Cose(_) | BadSignedPolicy::NotText | _ => {
                Self::new("policy.malformed", error.to_string())
            }
        }
    }
}

impl From<BadBundle> for NotJudged {
    fn from(error: BadBundle) -> Self {
        match error {
            BadBundle::Policy(error) => error.into(),
            BadBundle::CannotJudge(error) => error.into(),
            BadBundle::TooLong { .. } => Self::new("input.too_long", error.to_string()),
            BadBundle::NoDecision(_) => Self::new("bundle.other", error.to_string()),
            BadBundle::Format(_) => Self::new("bundle.format", error.to_string()),
            BadBundle::UnknownSigner(_) => Self::new("bundle.signer", error.to_string()),
            BadBundle::Signature(_) => Self::new("bundle.signature", error.to_string()),
            BadBundle::Cose(_) | BadBundle::Content(_) | _ => {
                Self::new("bundle.malformed", error.to_string())
            }
        }
    }
}
