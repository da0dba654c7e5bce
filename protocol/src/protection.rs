//! A wrapper's report of its own protection, and the score.
//!
//! The words are those of the verifier, who counts the score again in every replay. A [`Report`] travels in its one encoding
//! ([`Report::to_cbor`]) as [`crate::release::Presentation::protection`]; on the local socket it is JSON of the same fields.
//!
//! Untrusted: a report is worth what the program is worth that wrote it, and is proof of nothing where that program was not
//! measured. Only a verdict gives the checks of [`Check::is_attested`].

use serde::{Deserialize, Serialize};

pub use attest::protection::{
    Attack, BadReport, By, Check, Demand, Measured, NotACheck, Outcome, Report, Score, State, Theft,
};

/// What a wrapper says of itself on its own machine: `protection` of `GET /v1/status`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assessment {
    /// What the report is worth by itself: without what only a verdict gives.
    pub score: Score,
    /// The report.
    pub report: Report,
}

impl From<&Report> for Assessment {
    fn from(report: &Report) -> Self {
        Self { score: Score::of(&report.measures), report: report.clone() }
    }
}
