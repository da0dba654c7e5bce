//! Endorsements by themselves: what can be said of a certificate or a list without a report.
//!
//! For whoever keeps collateral or reads an archive. The checks are those of [`crate::Endorsements::prepare`]
//! and carry the same ids. Nothing here admits a machine: that takes evidence.
//!
//! Trusted: the anchors. Untrusted: the endorsements.

use crate::check::{Check, Checks};
use crate::verified::Rejected;
use crate::{CannotJudge, Crypto, Endorsements, Platform, Revocation, TrustAnchors, UnixTime, Unverified};

use super::Vek;
use super::chain::{Bag, Stage};

/// Verifies the one VCEK or VLEK among `endorsements`: chain, names, dates, revocation.
pub fn verify_vek(
    endorsements: &Endorsements,
    crypto: &dyn Crypto,
    anchors: &TrustAnchors,
    revocation: Revocation,
    now: UnixTime,
) -> Result<Vek, Unverified> {
    endorsements.within_budget()?;
    let bag = Bag::sort(endorsements, anchors)?;
    let (certificate, extensions) = bag.only_vek()?;
    let stage = Stage { bag: &bag, crypto, now };
    stage.vek(certificate, extensions, revocation)
}

/// Verifies every ASK and ASVK among `endorsements` against the roots: signature, name, dates. A root among
/// them must have an anchor's key, and have signed itself.
pub fn verify_authorities(
    endorsements: &Endorsements,
    crypto: &dyn Crypto,
    anchors: &TrustAnchors,
    now: UnixTime,
) -> Result<Vec<Check>, Unverified> {
    endorsements.within_budget()?;
    let bag = Bag::sort(endorsements, anchors)?;
    if bag.authorities().is_empty() && bag.self_issued().is_empty() {
        return Err(CannotJudge::MissingEndorsement("an ARK, ASK or ASVK certificate".to_owned()).into());
    }
    let stage = Stage { bag: &bag, crypto, now };
    let mut checks = Checks::default();
    for brought in bag.self_issued() {
        stage.brought_root(brought, &mut checks);
        stage.dates(brought.window(), &mut checks);
    }
    for authority in bag.authorities() {
        if let Some(root) = stage.root(authority, &mut checks) {
            stage.authority(authority, root, &mut checks);
            Stage::either_name(authority, root, &mut checks);
        }
        stage.dates(authority.window(), &mut checks);
    }
    settle(checks, anchors)
}

/// Verifies every revocation list among `endorsements` against the roots: signature, currency.
pub fn verify_revocation_lists(
    endorsements: &Endorsements,
    crypto: &dyn Crypto,
    anchors: &TrustAnchors,
    now: UnixTime,
) -> Result<Vec<Check>, Unverified> {
    endorsements.within_budget()?;
    let bag = Bag::sort(endorsements, anchors)?;
    let stage = Stage { bag: &bag, crypto, now };
    let mut checks = Checks::default();
    for list in bag.lists() {
        stage.list_of_root(list, &mut checks);
    }
    if bag.lists().is_empty() {
        return Err(CannotJudge::MissingEndorsement("a revocation list".to_owned()).into());
    }
    settle(checks, anchors)
}

fn settle(checks: Checks, anchors: &TrustAnchors) -> Result<Vec<Check>, Unverified> {
    if checks.hold() {
        return Ok(checks.into_vec());
    }
    Err(Unverified::Rejected(Rejected::new(Platform::SevSnp, checks, anchors.roots())))
}
