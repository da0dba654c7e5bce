//! Candidates: objects on their way in, with what verification said of each.
//!
//! Work for the processor alone. Trusted: the anchors. Untrusted: the objects.

use attest::collateral::{Filed, Issuers, Unfit, verify, wants};
use attest::crypto::AwsLcRs;
use attest::{Digest, Evidence, TrustAnchors, UnixTime};

use super::Bag;

/// An object with its digest and what it was found to be.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) digest: Digest<32>,
    pub(crate) object: Vec<u8>,
    pub(crate) found: Result<Filed, Unfit>,
}

impl Candidate {
    pub(crate) fn verified(
        digest: Digest<32>,
        object: &[u8],
        issuers: &Issuers,
        anchors: &TrustAnchors,
        now: UnixTime,
    ) -> Self {
        let found = verify(object, issuers, &AwsLcRs, anchors, now);
        Self { digest, object: object.to_vec(), found }
    }
}

/// What an admitted machine brought that a store lacks: only what its evidence asks for, and only what is genuine.
pub(crate) fn fresh(
    evidence: &Evidence<'_>,
    bag: &Bag,
    known: impl Fn(&Digest<32>) -> bool,
    anchors: &TrustAnchors,
    now: UnixTime,
) -> Vec<Candidate> {
    let unknown: Vec<(Digest<32>, &[u8])> = bag.named().filter(|(name, _)| !known(name)).collect();
    let wants = if unknown.is_empty() { Vec::new() } else { wants(evidence).unwrap_or_default() };
    if wants.is_empty() {
        return Vec::new();
    }
    let mut issuers = Issuers::default();
    issuers.add_of(evidence);
    for certificate in &bag.endorsements().certificates {
        issuers.add(certificate);
    }
    let verified =
        unknown.into_iter().map(|(name, object)| Candidate::verified(name, object, &issuers, anchors, now));
    let wanted = |filed: &Filed| wants.iter().any(|want| want.kind == filed.kind && want.fits(&filed.key));
    verified.filter(|candidate| candidate.found.as_ref().is_ok_and(wanted)).collect()
}
