//! Nitro entries: documents of enclaves and instances, and the root by itself.

use anyhow::Result;
use attest::crypto::AwsLcRs;
use attest::{
    AttestedKey, Claims, Endorsements, Evidence, Platform, Revocation, Stale, TrustAnchors, Unverified,
    Verified, nitro,
};

use crate::entry::{Entry, Set};
use crate::policy;
use crate::verdict::{Answer, Expected};

/// Puts a Nitro entry to the verifier.
pub(crate) fn ask(set: &Set, entry: &Entry) -> Result<Answer> {
    let Some(path) = entry.main_file() else { return Ok(Answer::Unsupported("no file".to_owned())) };
    let (bytes, now) = (set.read(&path)?, entry.verify_at()?);
    match entry.kind() {
        "root-ca" => {
            let verified = nitro::verify_root(&bytes, &AwsLcRs, &TrustAnchors::vendor(), now);
            Ok(verified.map_or_else(Answer::from, |_| Answer::Verified { note: "" }))
        }
        "attestation-document" => document(entry, &bytes),
        other => Ok(Answer::Unsupported(format!("kind {other}"))),
    }
}

fn document(entry: &Entry, bytes: &[u8]) -> Result<Answer> {
    let now = entry.verify_at()?;
    let platform = Platform::recognise(bytes).filter(|found| *found == Platform::NitroTpm);
    let evidence = match Evidence::parse(platform.unwrap_or(Platform::Nitro), bytes) {
        Ok(evidence) => evidence,
        Err(problem) => return Ok(Answer::Malformed { problem: problem.to_string() }),
    };
    let verified = || -> Result<Verified<Claims>, Unverified> {
        let (brought, anchors) = (Endorsements::default(), TrustAnchors::vendor());
        let prepared = brought.prepare(&AwsLcRs, &evidence, &anchors, Revocation::Required, now)?;
        evidence.verify(&AwsLcRs, &prepared, now)
    };
    let claims = match verified() {
        Ok(claims) => claims,
        Err(unverified) => return Ok(unverified.into()),
    };
    if entry.expected() != Some(Expected::PolicyReject) {
        return Ok(Answer::Verified { note: "" });
    }
    let Claims::Nitro(document) = claims.claims() else {
        return Ok(Answer::Unsupported("claims of another platform".to_owned()));
    };
    let pcrs: Vec<_> = document.document.pcrs.iter().map(|pcr| (pcr.index, pcr.value.to_string())).collect();
    let nobody: Result<AttestedKey, Stale> = Err(Stale::NotBound);
    match policy::nitro(&pcrs)?.appraise(&claims, nobody, now) {
        Ok(_) => Ok(Answer::Verified { note: "" }),
        Err(refused) => Ok(Answer::policy_refuses(refused.appraisal(), "")),
    }
}
