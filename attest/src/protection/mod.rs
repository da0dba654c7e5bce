//! Protection: what a wrapper measured of itself, and what that is worth once a verifier has judged it.
//!
//! Evidence says what a machine is, not how well a process on it guards what it is given. The wrapper attacks itself
//! before it asks for anything, and writes down what happened: a [`Report`]. The hardware signs the report's SHA-256 within
//! the [`Purpose`](crate::workload::Purpose), so that report and key belong together. The [`Score`] is counted from the
//! report and from the verdict, never taken from the report.
//!
//! A report is worth what the program is worth that wrote it: where the policy pins what was measured, and the wrapper is
//! part of that, it is the wrapper's word; elsewhere it is anybody's. What only a verdict can give ([`Check::is_attested`])
//! nobody can claim about himself.
//!
//! Trusted: the verdict. Untrusted: the report, which is read with bounds and quoted, and never believed for an attested check.

mod ask;
mod report;
mod score;

pub use ask::{Demand, Presented};
pub use report::{Attack, BadReport, By, Measured, Outcome, Report, State, Theft};
pub use score::{Check, NotACheck, Score, judged};

pub(crate) use ask::{Came, ask};
