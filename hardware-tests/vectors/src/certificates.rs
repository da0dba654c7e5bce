//! Entries of TPM keys' certificates by themselves: attestation keys, endorsement keys, authorities.
//!
//! Few sources have the authorities between a key and its root. Where neither the entry nor the library has
//! the issuer, only the path is missing: the answer says so, and everything else was asked.

use anyhow::Result;
use attest::crypto::AwsLcRs;
use attest::tpm::EkRoots;
use attest::{Endorsements, Revocation, TrustAnchors, UnixTime, Unverified, tpm};

use crate::entry::{Entry, Set};
use crate::files;
use crate::verdict::{self, Answer};

/// Whether an entry is about certificates.
pub(crate) fn are_in(entry: &Entry) -> bool {
    LEAVES.contains(&entry.kind()) || AUTHORITIES.contains(&entry.kind())
}

/// Puts certificates to the verifier.
pub(crate) fn ask(set: &Set, entry: &Entry) -> Result<Answer> {
    let now = entry.verify_at()?;
    let certificates = certificates(set, entry)?;
    let anchors = TrustAnchors::vendor();
    if AUTHORITIES.contains(&entry.kind()) {
        let brought = Endorsements { certificates, ..Endorsements::default() };
        let result = tpm::verify_authorities(&brought, &AwsLcRs, &anchors, now);
        return Ok(result.map_or_else(Answer::from, |_| Answer::Verified { note: "" }));
    }
    Ok(leaf(certificates, &anchors, now))
}

/// A certificate is of a key that attests or of one that endorses: what it is not is no fault of it.
fn leaf(mut certificates: Vec<Vec<u8>>, anchors: &TrustAnchors, now: UnixTime) -> Answer {
    let alone = certificates.len() == 1;
    certificates.extend(tpm::vendor_intermediates());
    let brought = Endorsements { certificates, ..Endorsements::default() };
    let attests = || tpm::verify_ak_certificate(&brought, &AwsLcRs, anchors, Revocation::InsecureWaived, now);
    let endorses = || {
        // Google's root vouches for both kinds of keys of its machines.
        let roots = EkRoots::of_manufacturers(&tpm::vendor_authorities())?;
        tpm::verify_ek_certificate(&brought, &roots, &AwsLcRs, now)
    };
    let first = answer(attests(), alone);
    if matches!(first, Answer::Verified { .. }) {
        return first;
    }
    let second = answer(endorses(), alone);
    if matches!(second, Answer::Verified { .. }) { second } else { first }
}

fn answer<T>(result: Result<T, Unverified>, alone: bool) -> Answer {
    let refused = match result {
        Ok(_) => return Answer::Verified { note: "" },
        Err(Unverified::Rejected(rejected)) => rejected,
        Err(unverified) => return unverified.into(),
    };
    match verdict::failing(refused.checks()).as_slice() {
        [chain] if alone && ["tpm.ak.chain", "tpm.ek.chain"].contains(&chain.as_str()) => {
            Answer::Verified { note: NO_ISSUER }
        }
        _ => Answer::refused(&refused),
    }
}

/// The DER of every file of the entry, of each once.
fn certificates(set: &Set, entry: &Entry) -> Result<Vec<Vec<u8>>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    let named = entry.roles().map(|(_, path)| path);
    for path in named.chain(entry.files()) {
        for der in files::der(&set.read(path)?) {
            if !all.contains(&der) {
                all.push(der);
            }
        }
    }
    Ok(all)
}

const LEAVES: [&str; 3] = ["ak-certificate", "ek-certificate", "ak-ek-certificate"];
const AUTHORITIES: [&str; 2] = ["root-ca", "ca-chain"];
const NO_ISSUER: &str = " (no path: its issuer is not in the set)";
