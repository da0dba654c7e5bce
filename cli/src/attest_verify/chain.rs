//! Evidence without what its vendor says of the machine: as far as it goes.
//!
//! A TD quote brings its own chain. With nothing but the quote it can be said that a quoting enclave on a
//! genuine platform signed it, and what a policy thinks of the TD; not whether the platform is up to date, nor
//! whether its key was revoked. That is no verdict, unless something is wrong already.

use attest::crypto::AwsLcRs;
use attest::{CannotJudge, Check, Endorsements, Evidence, Policy, TrustAnchors, UnixTime, Unverified, tdx};

/// What can be checked of evidence whose endorsements are not complete; `None` if nothing can.
pub(super) fn alone(
    evidence: &Evidence<'_>,
    endorsements: &Endorsements,
    anchors: &TrustAnchors,
    policy: Option<&Policy>,
    at: UnixTime,
) -> Option<Vec<Check>> {
    let Evidence::Tdx(quote) = evidence else { return None };
    match tdx::verify_quote_chain(quote, endorsements, &AwsLcRs, anchors, at) {
        Ok(chain) => {
            let asked = policy.map(|policy| policy.inspect_td(&chain)).unwrap_or_default();
            Some([chain.checks, asked].concat())
        }
        Err(Unverified::Rejected(rejected)) => Some(rejected.checks().to_vec()),
        Err(Unverified::CannotJudge(CannotJudge::MissingEndorsement(_)) | _) => None,
    }
}
