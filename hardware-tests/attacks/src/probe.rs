//! One way to a secret, and what came of trying it.
//!
//! Got is said only by who holds the victim's bytes or has seen the effect: a return code proves nothing.

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::Stage;

/// The vector of probes that must go on working: what a runtime, or an administrator, needs.
pub const OPEN: &str = "open";

/// One way.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Probe {
    /// `theme/way`, unique.
    pub id: &'static str,
    /// The vector's name in the enforcer's catalogue, or [`OPEN`].
    pub vector: &'static str,
    /// What an attacker does.
    pub what: &'static str,
    /// Does it.
    pub run: fn(&Stage) -> Outcome,
    /// Whether it changes the node as a whole, and so needs `--invasive`.
    pub invasive: bool,
    /// Whether the victim is not what it was afterwards, and is started anew.
    pub spoils: bool,
}

impl Probe {
    /// A way that is harmless to the node and to the victim.
    #[must_use]
    pub const fn new(
        id: &'static str,
        vector: &'static str,
        what: &'static str,
        run: fn(&Stage) -> Outcome,
    ) -> Self {
        Self { id, vector, what, run, invasive: false, spoils: false }
    }

    /// It changes the node.
    #[must_use]
    pub const fn invasive(self) -> Self {
        Self { invasive: true, ..self }
    }

    /// It changes the victim.
    #[must_use]
    pub const fn spoils(self) -> Self {
        Self { spoils: true, ..self }
    }

    /// Whether it is a need of the node's, not an attack.
    #[must_use]
    pub fn must_work(&self) -> bool {
        self.vector == OPEN
    }
}

/// What came of it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", content = "detail", rename_all = "kebab-case")]
pub enum Outcome {
    /// The attacker has it: what.
    Got(String),
    /// A call was refused, with this error number.
    Denied(i32),
    /// Each call went through, and nothing of the victim's came of it: what did.
    Nothing(String),
    /// The attacker was killed by this signal.
    Killed(i32),
    /// This machine does not have what it needs, or it fails here by itself: why.
    Impossible(String),
}

impl Outcome {
    /// The attacker has it.
    #[must_use]
    pub fn got(what: impl Into<String>) -> Self {
        Self::Got(what.into())
    }

    /// Nothing came of it.
    #[must_use]
    pub fn nothing(what: impl Into<String>) -> Self {
        Self::Nothing(what.into())
    }

    /// It cannot be tried here.
    #[must_use]
    pub fn impossible(why: impl Into<String>) -> Self {
        Self::Impossible(why.into())
    }

    /// Whether the attacker has it.
    #[must_use]
    pub const fn is_got(&self) -> bool {
        matches!(self, Self::Got(_))
    }

    /// Whether it was stopped.
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        matches!(self, Self::Denied(_) | Self::Nothing(_) | Self::Killed(_))
    }
}

impl From<Errno> for Outcome {
    fn from(number: Errno) -> Self {
        Self::Denied(number.raw_os_error())
    }
}

impl From<std::io::Error> for Outcome {
    fn from(error: std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(number) => Self::Denied(number),
            None => Self::Nothing(error.to_string()),
        }
    }
}

/// A probe in which a refused call ends the attempt.
pub type Attempt = Result<Outcome, Outcome>;

/// Both ways out are outcomes.
#[must_use]
pub fn flat(attempt: Attempt) -> Outcome {
    attempt.unwrap_or_else(|outcome| outcome)
}

/// Got when the canary is in the bytes.
#[must_use]
pub fn found(bytes: &[u8], canary: &str, what: &str) -> Outcome {
    if !canary.is_empty() && bytes.windows(canary.len()).any(|window| window == canary.as_bytes()) {
        Outcome::got(format!("the canary {what}"))
    } else {
        Outcome::nothing(format!("{} bytes without the canary {what}", bytes.len()))
    }
}
