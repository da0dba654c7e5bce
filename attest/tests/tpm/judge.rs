//! The way of every quote through the library, and what came out.

use attest::crypto::{AwsLcRs, Crypto, RustCrypto};
use attest::tpm::Name;
use attest::{Answer, Check, Claims, Endorsements, Evidence, Platform, Prepared, Revocation, TrustAnchors};
use attest::{UnixTime, Unverified, Verified};

pub(crate) const NOW: UnixTime = UnixTime(1_795_000_000);

pub(crate) const PROVIDERS: [&dyn Crypto; 2] = [&AwsLcRs, &RustCrypto];

/// Parses, prepares and verifies with the key's name enrolled.
pub(crate) fn judge(
    crypto: &dyn Crypto,
    bytes: &[u8],
    enrolled: &[Name],
) -> Result<Verified<Claims>, Unverified> {
    let evidence = Evidence::parse(Platform::Tpm2, bytes).unwrap();
    let prepared = prepare(crypto, &evidence, enrolled)?;
    evidence.verify(crypto, &prepared, NOW)
}

pub(crate) fn prepare(
    crypto: &dyn Crypto,
    evidence: &Evidence<'_>,
    enrolled: &[Name],
) -> Result<Prepared, Unverified> {
    let anchors = TrustAnchors::vendor().with_attestation_keys(enrolled.iter().cloned());
    Endorsements::default().prepare(crypto, evidence, &anchors, Revocation::Required, NOW)
}

/// The claims, which every provider must agree about.
pub(crate) fn genuine(bytes: &[u8], enrolled: &Name) -> Verified<Claims> {
    let mut verified =
        PROVIDERS.map(|crypto| judge(crypto, bytes, std::slice::from_ref(enrolled)).unwrap()).into_iter();
    let (first, second) = (verified.next().unwrap(), verified.next().unwrap());
    assert_eq!(first.checks(), second.checks());
    first
}

pub(crate) fn quoted(claims: &Verified<Claims>) -> &attest::tpm::Claims {
    let Claims::Tpm(claims) = claims.claims() else { unreachable!("claims of a TPM quote") };
    claims
}

/// The failing checks, which every provider must agree about.
pub(crate) fn refusals(bytes: &[u8], enrolled: &[Name]) -> Vec<String> {
    let ids = PROVIDERS.map(|crypto| failing(&judge(crypto, bytes, enrolled).unwrap_err()));
    assert_eq!(ids[0], ids[1]);
    ids[0].clone()
}

pub(crate) fn failing(unverified: &Unverified) -> Vec<String> {
    let Unverified::Rejected(rejected) = unverified else { unreachable!("{unverified}") };
    ids(rejected.checks())
}

pub(crate) fn ids(checks: &[Check]) -> Vec<String> {
    checks.iter().filter(|check| check.verdict == Answer::Fail).map(|check| check.id.clone()).collect()
}
