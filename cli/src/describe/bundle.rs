//! A recorded decision in words.

use attest::Bundle;
use attest::crypto::AwsLcRs;

use crate::layout::Section;

/// Who decided what, when, on what.
pub(crate) fn decision(bundle: &Bundle) -> Section {
    let appraisal = &bundle.appraisal;
    let mut section = Section::new("the recorded decision");
    section.row("decided", if appraisal.admits() { "admitted" } else { "refused" });
    section.row("request", &bundle.request);
    section.row("at", appraisal.at);
    section.row("valid until", appraisal.valid_until);
    section.row("verifier", &bundle.verifier);
    section.row("policy", format!("{} version {}", appraisal.policy, appraisal.policy_version));
    section.row("policy digest", appraisal.policy_digest);
    section.row("platform", appraisal.platform);
    section.row("roots", appraisal.roots);
    section.row("evidence", format!("{} bytes", bundle.evidence.len()));
    let [certificates, lists, documents] = bundle.endorsements.kinds().map(Vec::len);
    let endorsements =
        format!("{certificates} certificates, {lists} revocation lists, {documents} signed documents");
    section.row("endorsements", endorsements);
    for name in &bundle.attestation_keys {
        section.row("enrolled attestation key", name);
    }
    section.row("challenge", hex::encode(bundle.challenge.nonce));
    section.row("challenge purpose", &bundle.challenge.context);
    section.row("challenge expires", bundle.challenge.expires);
    section.row("challenge answered before", if bundle.challenge.answered { "yes" } else { "no" });
    let key = &bundle.offered;
    section.row("offered key", format!("{}, thumbprint {}", key.kem.name(), key.thumbprint(&AwsLcRs)));
    section
}
