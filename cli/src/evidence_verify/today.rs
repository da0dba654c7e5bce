//! What the same evidence and policy would get today: expired since, revoked since?
//!
//! The challenge was for one moment, so its expiry says nothing and is left out. A chip that was revoked
//! since shows only in a newer list, which the auditor brings.

use std::path::PathBuf;

use attest::crypto::AwsLcRs;
use attest::{Answer, Bundle, Check, TrustAnchors, UnixTime};
use serde::Serialize;

use crate::answer::NotJudged;
use crate::collateral;

/// The decision as it would be made today.
#[derive(Debug, Serialize)]
pub(super) struct Today {
    pub(super) at: UnixTime,
    pub(super) verdict: Holds,
    /// What fails.
    pub(super) checks: Vec<Check>,
    /// The ids of those that did not fail then.
    pub(super) since: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<NotJudged>,
}

/// How it would end.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Holds {
    Admitted,
    Refused,
    NotJudged,
}

/// Judges again, at `at`, with whatever newer lists there are. The lists stay in the bundle.
pub(super) fn look(
    bundle: &mut Bundle,
    anchors: &TrustAnchors,
    newer: &[PathBuf],
    at: UnixTime,
) -> Result<Today, NotJudged> {
    let newer = collateral::read(newer)?;
    bundle.endorsements.certificates.extend(newer.certificates);
    bundle.endorsements.revocation_lists.extend(newer.revocation_lists);
    bundle.endorsements.documents.extend(newer.documents);
    let checks = match bundle.replay_at(&AwsLcRs, anchors, at) {
        Ok(replay) => replay.appraisal.checks,
        Err(error) => {
            let (checks, since) = (Vec::new(), Vec::new());
            return Ok(Today { at, verdict: Holds::NotJudged, checks, since, error: Some(error.into()) });
        }
    };
    let failed = |check: &Check| check.verdict == Answer::Fail && !check.id.starts_with("challenge.");
    let checks: Vec<Check> = checks.into_iter().filter(failed).collect();
    let failed_then = |id: &str| bundle.appraisal.failing().any(|check| check.id == id);
    let since = checks.iter().map(|check| check.id.clone()).filter(|id| !failed_then(id)).collect();
    let verdict = if checks.is_empty() { Holds::Admitted } else { Holds::Refused };
    Ok(Today { at, verdict, checks, since, error: None })
}
