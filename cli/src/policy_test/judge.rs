//! Judging a case, by the functions that servers use.

use std::fmt;

use attest::crypto::AwsLcRs;
use attest::{Answer, Appraisal, Bundle, CannotJudge, Challenge, Context, Evidence, Prepared};
use attest::{Policy, Question, Revocation, TrustAnchors, UnixTime, Unverified, decide};
use serde::Serialize;

use crate::answer::NotJudged;
use crate::{collateral, input, trust};

use super::case::{Asked, Brought, Case, Expectation, Subject};

/// What came out, in the words of an expectation, with those that were waived.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Found {
    #[serde(flatten)]
    outcome: Expectation,
}

impl Found {
    pub(super) fn is(&self, expected: &Expectation) -> bool {
        self.outcome == *expected
    }

    fn of(appraisal: &Appraisal) -> Self {
        let ids = |verdict: Answer| {
            let checks = appraisal.checks.iter().filter(move |check| check.verdict == verdict);
            checks.map(|check| check.id.clone()).collect::<Vec<_>>()
        };
        let failing = ids(Answer::Fail);
        let outcome = if failing.is_empty() {
            Expectation::Admit { waived: ids(Answer::Waived) }
        } else {
            Expectation::Refuse { failing }
        };
        Self { outcome }
    }

    fn without_verdict(error: &CannotJudge) -> Self {
        Self { outcome: Expectation::NotJudged { code: error.code().to_owned() } }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.outcome.fmt(f)
    }
}

/// Judges, as of the case's instant.
pub(super) fn judge(case: &Case) -> Result<Found, NotJudged> {
    let anchors = trust::anchors(&case.roots)?;
    let judged = match &case.subject {
        Subject::Bundle(file) => bundle(case, file, anchors)?,
        Subject::Evidence(brought) => evidence(case, brought, anchors)?,
    };
    Ok(judged.map_or_else(|error| Found::without_verdict(&error), |appraisal| Found::of(&appraisal)))
}

type Judged = Result<Appraisal, CannotJudge>;

/// The recorded evidence and challenge, under the case's policy.
fn bundle(case: &Case, file: &[u8], anchors: TrustAnchors) -> Result<Judged, NotJudged> {
    let bundle = Bundle::insecure_peek(file, &AwsLcRs)?;
    let at = case.at.unwrap_or(bundle.appraisal.at);
    let anchors = anchors.with_attestation_keys(bundle.attestation_keys.iter().cloned());
    let evidence = match attest::parse(bundle.platform, &bundle.evidence) {
        Ok(evidence) => evidence,
        Err(error) => return Ok(Err(error)),
    };
    let prepared = attest::prepare(&evidence, &bundle.endorsements, &AwsLcRs, &anchors, at);
    let question = Question { evidence: &evidence, challenge: bundle.challenge, offered: bundle.offered };
    Ok(decided(question, prepared.as_ref(), &case.policy, at))
}

fn evidence(case: &Case, brought: &Brought, anchors: TrustAnchors) -> Result<Judged, NotJudged> {
    let at = case.at.unwrap_or(UnixTime(0));
    let platform = input::platform(brought.platform, &brought.evidence)?;
    let parsed = match attest::parse(platform, &brought.evidence) {
        Ok(parsed) => parsed,
        Err(error) => return Ok(Err(error)),
    };
    let endorsements = collateral::read(&brought.endorsements)?;
    let anchors = anchors.with_attestation_keys(brought.enrolled.iter().cloned());
    let revocation =
        if brought.without_revocation { Revocation::InsecureWaived } else { Revocation::Required };
    let prepared = endorsements.prepare(&AwsLcRs, &parsed, &anchors, revocation, at);
    match &brought.asked {
        Some(asked) => Ok(decided(question(&parsed, asked)?, prepared.as_ref(), &case.policy, at)),
        None => Ok(inspected(&parsed, prepared, &case.policy, at)),
    }
}

fn question<'a>(evidence: &'a Evidence<'a>, asked: &Asked) -> Result<Question<'a>, NotJudged> {
    let (nonce, context) = (asked.nonce.0, asked.context.clone());
    let challenge = Challenge { nonce, context, expires: asked.expires, answered: asked.answered };
    Ok(Question { evidence, challenge, offered: asked.offered()? })
}

fn decided(
    question: Question<'_>,
    prepared: Result<&Prepared, &Unverified>,
    policy: &Policy,
    at: UnixTime,
) -> Judged {
    let context = Context { crypto: &AwsLcRs, policy, standing: None };
    Ok(match decide(question, prepared, context, at)? {
        Ok(admitted) => admitted.appraisal().clone(),
        Err(refused) => refused.appraisal().clone(),
    })
}

/// Without a challenge: what the policy says of the claims, and of nothing else.
fn inspected(
    evidence: &Evidence<'_>,
    prepared: Result<Prepared, Unverified>,
    policy: &Policy,
    at: UnixTime,
) -> Judged {
    let verified = prepared.and_then(|prepared| evidence.verify(&AwsLcRs, &prepared, at));
    match verified {
        Ok(claims) => Ok(policy.inspect(&claims, at)),
        Err(Unverified::Rejected(rejected)) => Ok(policy.refuse(&rejected, at).appraisal().clone()),
        Err(Unverified::CannotJudge(error)) => Err(error),
        Err(_other) => Err(CannotJudge::MissingEndorsement("a newer version of this program".to_owned())),
    }
}
