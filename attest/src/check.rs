//! Checks: what was asked, what was expected, what was found.
//!
//! Every question that the verifier or a policy asks is one [`Check`] with a stable id such as
//! `snp.policy.debug`, so that a plugin, a report and an auditor speak of the same thing. All checks run,
//! in a fixed order: two faults are two entries.

use minicbor::{Decode, Encode};

/// One question and its answer.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode, serde::Serialize)]
pub struct Check {
    /// The stable name, for example `snp.tcb.committed`.
    #[n(0)]
    pub id: String,
    /// The answer.
    #[n(1)]
    pub verdict: Answer,
    /// What would have been right, in words.
    #[n(2)]
    pub expected: String,
    /// What the evidence, the endorsement or the challenge said.
    #[n(3)]
    pub found: String,
}

/// The answer to one check.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[cbor(index_only)]
pub enum Answer {
    /// As expected.
    #[n(0)]
    Pass,
    /// Not as expected.
    #[n(1)]
    Fail,
    /// Not as expected, or not asked, and somebody wrote down that this is accepted.
    #[n(2)]
    Waived,
}

/// The checks of one verification, in the order in which they ran.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checks(Vec<Check>);

impl Checks {
    /// Records a check; returns whether it passed.
    pub(crate) fn ask(
        &mut self,
        id: &str,
        passed: bool,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> bool {
        let verdict = if passed { Answer::Pass } else { Answer::Fail };
        self.0.push(Check { id: id.to_owned(), verdict, expected: expected.into(), found: found.into() });
        passed
    }

    /// Records a check that somebody waived.
    pub(crate) fn waive(&mut self, id: &str, expected: impl Into<String>, found: impl Into<String>) {
        let verdict = Answer::Waived;
        self.0.push(Check { id: id.to_owned(), verdict, expected: expected.into(), found: found.into() });
    }

    /// Appends the checks of an earlier stage.
    pub(crate) fn extend(&mut self, earlier: &[Check]) {
        self.0.extend_from_slice(earlier);
    }

    /// Appends the checks of a later stage.
    pub(crate) fn append(&mut self, mut later: Self) {
        self.0.append(&mut later.0);
    }

    /// Whether nothing failed.
    pub(crate) fn hold(&self) -> bool {
        self.0.iter().all(|check| check.verdict != Answer::Fail)
    }

    /// How many were asked.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Check> {
        self.0.iter_mut()
    }

    pub(crate) fn into_vec(self) -> Vec<Check> {
        self.0
    }
}
