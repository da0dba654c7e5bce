//! The whole decision, top to bottom.
//!
//! One pure function stands between evidence and a sealed secret. The server runs it on a request, an
//! auditor runs it on a [`crate::Bundle`]: same bytes in, same appraisal out.
//!
//! Trusted: the [`Context`]. Untrusted: the [`Question`].

use crate::check::Checks;
use crate::node::{Boot, Ids, Proven};
use crate::policy::Along;
use crate::{Admitted, CannotJudge, Challenge, Crypto, Endorsements, Evidence, Known, OfferedKey, Platform};
use crate::{
    Policy, Prepared, Refused, Revocation, Standing, TrustAnchors, UnixTime, Unverified, oaep, protection,
};

/// What somebody sent.
#[derive(Debug)]
pub struct Question<'a> {
    /// The parsed evidence.
    pub evidence: &'a Evidence<'a>,
    /// The challenge that it answers.
    pub challenge: Challenge,
    /// The key to seal to.
    pub offered: OfferedKey,
}

/// What the verifier believes.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The cryptographic library.
    pub crypto: &'a dyn Crypto,
    /// The policy that judges.
    pub policy: &'a Policy,
    /// What it knows of the machine beside the evidence. `None`: it keeps no such knowledge, and nothing is asked.
    pub standing: Option<&'a dyn Known>,
}

/// Admitted or refused.
pub type Decision = Result<Admitted, Refused>;

/// Judges a question under endorsements that were verified before.
pub fn decide(
    question: Question<'_>,
    prepared: Result<&Prepared, &Unverified>,
    context: Context<'_>,
    now: UnixTime,
) -> Result<Decision, CannotJudge> {
    let verified = match prepared {
        Ok(prepared) => question.evidence.verify(context.crypto, prepared, now),
        Err(unverified) => Err(unverified.clone()),
    };
    let claims = match verified {
        Ok(claims) => claims,
        Err(Unverified::Rejected(rejected)) => return Ok(Err(context.policy.refuse(&rejected, now))),
        Err(Unverified::CannotJudge(error)) => return Err(error),
    };
    let mut asked = Checks::default();
    oaep::ask_origin(&claims, &question.offered, &mut asked);
    let key = question.challenge.redeem(context.crypto, question.offered, &claims, now);
    let endorsed = context.standing.and_then(Known::endorsed);
    let proven = Proven { ids: Ids::of(&claims, endorsed), boot: Boot::of(&claims) };
    let whom = context.policy.subject(context.crypto, &claims.machine().endorsed(&proven.ids));
    let standing = context.standing.map(|known| {
        let node = known.node(&proven);
        Standing { node, ..known.standing(&whom) }
    });
    if let Some(standing) = &standing {
        standing.ask(&whom, &mut asked);
        standing.node.iter().for_each(|node| node.ask(&proven, &mut asked));
    }
    let workload = standing.as_ref().and_then(|standing| standing.workload.as_ref());
    let came = standing.as_ref().and_then(|standing| standing.protection.as_ref());
    let came = came.map(|presented| protection::Came::new(context.crypto, presented));
    let along = Along { workload, protection: came.as_ref() };
    let decision = context.policy.appraise_with(&claims, key, asked, along, now);
    Ok(match decision {
        Ok(admitted) => Ok(admitted.knowing(standing, proven)),
        Err(refused) => Err(refused.knowing(standing, &proven)),
    })
}

/// Parses evidence that a caller sent under the name of a platform.
pub fn parse(platform: Platform, bytes: &[u8]) -> Result<Evidence<'_>, CannotJudge> {
    Evidence::parse(platform, bytes).map_err(|problem| CannotJudge::Evidence { platform, problem })
}

/// Verifies endorsements as a release does: with revocation.
pub fn prepare(
    evidence: &Evidence<'_>,
    endorsements: &Endorsements,
    crypto: &dyn Crypto,
    anchors: &TrustAnchors,
    now: UnixTime,
) -> Result<Prepared, Unverified> {
    endorsements.prepare(crypto, evidence, anchors, Revocation::Required, now)
}
