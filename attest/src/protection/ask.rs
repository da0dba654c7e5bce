//! The checks on a report: is it the one that was signed, can it be read, is it enough?
//!
//! Asked where a report came, where the hardware signed one, or where what is asked for demands one. A record holds report
//! and demand, so that a replay asks again and counts again.
//!
//! Trusted: the demand, as much as the policy is. Untrusted: the report.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{BadReport, Check, Report, Score, judged};
use crate::check::Checks;
use crate::workload::Purpose;
use crate::{Appraisal, Crypto, Digest};

/// How much protection something demands of who is given it.
#[derive(Clone, Debug, Default, Eq, PartialEq, Encode, Decode, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Demand {
    /// The least points.
    #[n(0)]
    pub min_protection: u16,
    /// What has to be reached, however many points there are.
    #[n(1)]
    pub require_protection: Vec<Check>,
}

impl Demand {
    /// Whether nothing is demanded.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.min_protection == 0 && self.require_protection.is_empty()
    }

    /// The first demand that these points and checks do not meet: the id of the check, what was expected, and what was found.
    #[must_use]
    pub fn unmet(&self, points: u16, reached: &[Check]) -> Option<(String, String, String)> {
        if points < self.min_protection {
            return Some(("protection.score".to_owned(), self.least(), format!("{points} points")));
        }
        let missing = self.require_protection.iter().find(|check| !reached.contains(check))?;
        Some((id_of(*missing), format!("{missing} reached"), "not reached".to_owned()))
    }

    fn least(&self) -> String {
        match self.min_protection {
            0 => "any score".to_owned(),
            least => format!("at least {least} points"),
        }
    }
}

/// What a verifier was brought, and what it demands: part of a record.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Presented {
    /// The report, as it was received.
    #[n(0)]
    pub report: Option<ByteVec>,
    /// What was asked for demands this.
    #[n(1)]
    pub demand: Demand,
}

impl Presented {
    /// What a verifier was brought; nothing, where there is neither a report nor a demand.
    #[must_use]
    pub fn new(report: Option<Vec<u8>>, demand: Demand) -> Option<Self> {
        let nothing = report.is_none() && demand.is_none();
        (!nothing).then(|| Self { report: report.map(Into::into), demand })
    }

    /// The report, if one came that can be read.
    pub(crate) fn report(&self) -> Option<Report> {
        Report::parse(self.report.as_ref()?).ok()
    }
}

/// A report with the digest that the verifier itself computed.
pub(crate) struct Came<'p> {
    digest: Option<Digest<32>>,
    report: Option<Result<Report, BadReport>>,
    demand: &'p Demand,
}

impl<'p> Came<'p> {
    pub(crate) fn new(crypto: &dyn Crypto, presented: &'p Presented) -> Self {
        let bytes = presented.report.as_ref();
        Self {
            digest: bytes.map(|bytes| crypto.sha256(&[bytes])),
            report: bytes.map(|bytes| Report::parse(bytes)),
            demand: &presented.demand,
        }
    }
}

/// Asks about the report that came and the one that the hardware signed. An unbound answer (no `purpose`) proves no report:
/// then it is read, and counted without what freshness gives.
pub(crate) fn ask(
    purpose: Option<Purpose<'_>>,
    came: Option<&Came<'_>>,
    appraisal: &Appraisal,
    checks: &mut Checks,
) {
    if let Some(purpose) = purpose {
        binds(purpose.protection, came.and_then(|came| came.digest), checks);
    }
    let Some(came) = came else { return };
    let expected = "a protection report in its one encoding";
    match &came.report {
        None => {
            checks.ask("protection.report", false, expected, "none, and what is asked for demands one");
        }
        Some(Err(why)) => {
            checks.ask("protection.report", false, expected, why.to_string());
        }
        Some(Ok(report)) => {
            checks.ask("protection.report", true, expected, report.program.as_str());
            let measures = judged(report, appraisal);
            let score = Score::of(&measures);
            let enough = score.points >= came.demand.min_protection;
            checks.ask("protection.score", enough, came.demand.least(), score.to_string());
            for demanded in &came.demand.require_protection {
                let answer = measures.iter().find(|measured| measured.check == *demanded);
                let found = answer.map_or("not measured", |answer| answer.found.as_str());
                let reached = score.reached.contains(demanded);
                checks.ask(&id_of(*demanded), reached, format!("{demanded} reached"), found);
            }
        }
    }
}

fn binds(signed: Option<Digest<32>>, came: Option<Digest<32>>, checks: &mut Checks) {
    let (expected, found) = match (signed, came) {
        (None, None) => return,
        (None, Some(came)) => {
            ("a protection report that the hardware signed".to_owned(), format!("{came}, unsigned"))
        }
        (Some(signed), None) => {
            (format!("protection report {signed}, which the hardware signed"), "no report".to_owned())
        }
        (Some(signed), Some(came)) => {
            (format!("protection report {signed}, which the hardware signed"), format!("report {came}"))
        }
    };
    checks.ask("protection.bound", signed == came, expected, found);
}

fn id_of(check: Check) -> String {
    format!("protection.check.{check}")
}
