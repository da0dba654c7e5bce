//! What the manifest expects, what the verifier answered, and whether the two agree.

use std::fmt;

use attest::{Appraisal, CannotJudge, Check, Rejected, Unverified};

/// What the manifest says must happen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Expected {
    Ok,
    PolicyReject,
    Reject,
    ParseOnly,
    NoPanic,
}

/// What the verifier said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Answer {
    /// Genuine; with what the line has to say about it.
    Verified { note: &'static str },
    /// Genuine, and the production policy refuses, by these checks.
    PolicyRefuses { ids: Vec<String>, note: &'static str },
    /// Judged, and not genuine, by these checks.
    Refused { ids: Vec<String> },
    /// It parses, and this is missing or wrong.
    NotJudged { code: &'static str, problem: String },
    /// It does not parse.
    Malformed { problem: String },
    /// Nothing here judges it.
    Unsupported(String),
    /// The set itself is broken: a file is missing, or a key has no meaning.
    Unreadable(String),
    /// The verifier panicked.
    Panicked,
}

/// Whether an answer is the expected one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Agreement {
    Agree,
    Differ,
    Unsupported,
}

impl Expected {
    pub(crate) fn named(word: &str) -> Option<Self> {
        match word {
            "ok" => Some(Self::Ok),
            "policy-reject" => Some(Self::PolicyReject),
            "reject" => Some(Self::Reject),
            "parse-only" => Some(Self::ParseOnly),
            "no-panic" => Some(Self::NoPanic),
            _ => None,
        }
    }
}

impl Answer {
    /// Whether the evidence was judged and refused by this check.
    pub(crate) fn refused_by(&self, check: &str) -> bool {
        matches!(self, Self::Refused { ids } if ids.iter().any(|id| id == check))
    }

    pub(crate) fn agrees_with(&self, expected: Option<Expected>) -> Agreement {
        let Some(expected) = expected else { return Agreement::Unsupported };
        let agrees = match self {
            Self::Unsupported(_) => return Agreement::Unsupported,
            Self::Panicked | Self::Unreadable(_) => false,
            Self::Verified { .. } => matches!(expected, Expected::Ok | Expected::NoPanic),
            Self::PolicyRefuses { .. } => matches!(expected, Expected::PolicyReject | Expected::NoPanic),
            Self::Refused { .. } | Self::NotJudged { .. } => {
                matches!(expected, Expected::Reject | Expected::ParseOnly | Expected::NoPanic)
            }
            Self::Malformed { .. } => matches!(expected, Expected::Reject | Expected::NoPanic),
        };
        if agrees { Agreement::Agree } else { Agreement::Differ }
    }

    pub(crate) fn refused(rejected: &Rejected) -> Self {
        Self::Refused { ids: failing(rejected.checks()) }
    }

    /// A policy's refusal. What fails because this is a walk over old evidence, and not because of the
    /// machine, is no reason.
    pub(crate) fn policy_refuses(appraisal: &Appraisal, note: &'static str) -> Self {
        Self::policy_checks(&appraisal.checks, note)
    }

    /// The same, of what a policy asked where there is nothing to appraise.
    pub(crate) fn policy_checks(checks: &[Check], note: &'static str) -> Self {
        let mut ids = failing(checks);
        ids.retain(|id| !OF_THE_WALK.contains(&id.as_str()));
        if ids.is_empty() { Self::Verified { note } } else { Self::PolicyRefuses { ids, note } }
    }
}

impl From<CannotJudge> for Answer {
    fn from(error: CannotJudge) -> Self {
        Self::NotJudged { code: error.code(), problem: error.to_string() }
    }
}

impl From<Unverified> for Answer {
    fn from(unverified: Unverified) -> Self {
        match unverified {
            Unverified::Rejected(rejected) => Self::refused(&rejected),
            Unverified::CannotJudge(error) => error.into(),
            other => Self::NotJudged { code: "unverified", problem: other.to_string() },
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified { note } => write!(f, "ok  -{note}"),
            Self::PolicyRefuses { ids, note } => write!(f, "policy-reject  {}{note}", ids.join(" ")),
            Self::Refused { ids } => write!(f, "reject  {}", ids.join(" ")),
            Self::NotJudged { code, problem } => write!(f, "not-judged  {code} ({problem})"),
            Self::Malformed { problem } => write!(f, "not-judged  evidence.malformed ({problem})"),
            Self::Unsupported(why) => write!(f, "unsupported  ({why})"),
            Self::Unreadable(problem) => write!(f, "unreadable  ({problem})"),
            Self::Panicked => f.write_str("panicked  -"),
        }
    }
}

/// The ids of the checks that failed.
pub(crate) fn failing(checks: &[Check]) -> Vec<String> {
    let failed = checks.iter().filter(|check| check.verdict == attest::Answer::Fail);
    failed.map(|check| check.id.clone()).collect()
}

/// Nobody offers a key here, nobody's challenge is answered, and old sets have no current revocation list.
const OF_THE_WALK: [&str; 5] =
    ["challenge.bound", "nitro.nonce", "nitro.user_data", "snp.crl.present", "snp.crl.age"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_agrees_with_nothing() {
        let all =
            [Expected::Ok, Expected::PolicyReject, Expected::Reject, Expected::ParseOnly, Expected::NoPanic];
        for expected in all {
            assert_eq!(Answer::Panicked.agrees_with(Some(expected)), Agreement::Differ);
        }
    }

    #[test]
    fn accepting_what_must_be_refused_differs() {
        let accepted = Answer::Verified { note: "" };
        assert_eq!(accepted.agrees_with(Some(Expected::Ok)), Agreement::Agree);
        for expected in [Expected::PolicyReject, Expected::Reject, Expected::ParseOnly] {
            assert_eq!(accepted.agrees_with(Some(expected)), Agreement::Differ);
        }
    }

    #[test]
    fn refusing_genuine_evidence_differs_from_refusing_it_by_policy() {
        let refused = Answer::Refused { ids: vec!["snp.signature".to_owned()] };
        assert_eq!(refused.agrees_with(Some(Expected::PolicyReject)), Agreement::Differ);
        assert_eq!(refused.agrees_with(Some(Expected::Ok)), Agreement::Differ);
        assert_eq!(refused.agrees_with(Some(Expected::Reject)), Agreement::Agree);
    }

    #[test]
    fn an_unknown_expectation_is_unsupported() {
        assert_eq!(Expected::named("maybe"), None);
        assert_eq!(Answer::Panicked.agrees_with(None), Agreement::Unsupported);
    }
}
