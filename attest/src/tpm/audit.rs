//! Certificates of TPM keys by themselves, for those who look at them without a quote.
//!
//! What comes out is a list of checks, never a key to verify with.

use super::authority::{IDS, purpose};
use super::path::{Anchor, Bag, Path};
use crate::check::{Check, Checks};
use crate::verified::Rejected;
use crate::x509::Certificate;
use crate::{CannotJudge, Crypto, Endorsements, Platform, Revocation, TrustAnchors, UnixTime, Unverified};

/// Verifies the one certificate of an attestation key among `endorsements`, with its path.
pub fn verify_ak_certificate(
    endorsements: &Endorsements,
    crypto: &dyn Crypto,
    anchors: &TrustAnchors,
    revocation: Revocation,
    now: UnixTime,
) -> Result<Vec<Check>, Unverified> {
    endorsements.within_budget()?;
    let mut bag = Bag::open(endorsements)?;
    if revocation == Revocation::InsecureWaived {
        bag.waive_revocation();
    }
    let leaf = bag.only_leaf()?;
    let roots = anchors.tpm_authorities.iter().map(Anchor::open).collect::<Result<Vec<_>, _>>()?;
    let mut checks = Checks::default();
    purpose(leaf, &mut checks);
    super::gce::Instance::of(leaf)?;
    path_of(leaf, &bag, &roots, crypto, now, &mut checks)?;
    settled(checks, anchors)
}

/// Verifies authorities by themselves: each is a pinned root, or has a path to one.
pub fn verify_authorities(
    endorsements: &Endorsements,
    crypto: &dyn Crypto,
    anchors: &TrustAnchors,
    now: UnixTime,
) -> Result<Vec<Check>, Unverified> {
    endorsements.within_budget()?;
    let bag = Bag::open(endorsements)?;
    if bag.certificates.is_empty() {
        return Err(CannotJudge::MissingEndorsement("a certificate of an authority".to_owned()).into());
    }
    let roots = anchors.tpm_authorities.iter().map(Anchor::open).collect::<Result<Vec<_>, _>>()?;
    let mut checks = Checks::default();
    for certificate in &bag.certificates {
        let authority = certificate.is_authority();
        let found = if authority { "an authority" } else { "none" };
        checks.ask("tpm.authority.constraints", authority, "an authority", found);
        path_of(certificate, &bag, &roots, crypto, now, &mut checks)?;
    }
    settled(checks, anchors)
}

/// A pinned root's path is that it signed itself with the pinned key.
fn path_of(
    leaf: &Certificate<'_>,
    bag: &Bag<'_>,
    roots: &[Anchor],
    crypto: &dyn Crypto,
    now: UnixTime,
    checks: &mut Checks,
) -> Result<(), CannotJudge> {
    let path = Path::find(leaf, bag, roots, crypto);
    let expected = "signatures up to a provider's root";
    let found = path.as_ref().map_or_else(
        || format!("no path from {:?}, issued by {:?}", leaf.common_name(), leaf.issuer_common_name()),
        |path| path.anchor.common_name.clone(),
    );
    checks.ask("tpm.ak.chain", path.is_some(), expected, found);
    path.map(|path| path.judge(bag, crypto, now, &IDS, checks)).transpose().map(drop)
}

fn settled(checks: Checks, anchors: &TrustAnchors) -> Result<Vec<Check>, Unverified> {
    if checks.hold() {
        return Ok(checks.into_vec());
    }
    Err(Unverified::Rejected(Rejected::new(Platform::Tpm2, checks, anchors.roots())))
}
