//! Judges a sample without an operating system: on `wasm32-unknown-unknown` there is none.
//!
//! The module imports nothing, so whatever the verifier wanted from outside would stop it from linking or
//! running. Each promise has an exit code of its own.
//!
//! Trusted: the sample's root, as in every test. Untrusted: the rest of the sample.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use attest::crypto::RustCrypto;
use attest::{Endorsements, Platform, Policy, Revocation, TrustAnchors, UnixTime, Unverified, snp};

fn main() -> ExitCode {
    let mut changed = REPORT.to_vec();
    changed.iter_mut().skip(MEASUREMENT).take(1).for_each(|byte| *byte ^= 1);
    let promises = [
        (1, judge(REPORT).is_ok_and(|failing| failing.is_empty())),
        (2, judge(&changed).is_err_and(|unverified| matches!(unverified, Unverified::Rejected(_)))),
        (3, judge(REPORT.get(..MEASUREMENT).unwrap_or_default()).is_err()),
        (4, vendor_keys_hold()),
    ];
    let broken = promises.into_iter().find(|(_, kept)| !kept);
    ExitCode::from(broken.map_or(0, |(code, _)| code))
}

/// The checks of the sample's policy that fail.
fn judge(report: &[u8]) -> Result<Vec<String>, Unverified> {
    let evidence = attest::parse(Platform::SevSnp, report)?;
    let endorsements = Endorsements {
        certificates: vec![VCEK.to_vec(), ASK.to_vec()],
        revocation_lists: vec![LIST.to_vec()],
        ..Endorsements::default()
    };
    let anchors = TrustAnchors::insecure_simulated(&[ROOT.to_vec()])?;
    let prepared = endorsements.prepare(&RustCrypto, &evidence, &anchors, Revocation::Required, AT)?;
    let verified = evidence.verify(&RustCrypto, &prepared, AT)?;
    let Ok(policy) = Policy::parse(&RustCrypto, POLICY) else { return Ok(vec!["policy".to_owned()]) };
    Ok(policy.inspect(&verified, AT).failing().map(|check| check.id.clone()).collect())
}

/// AMD's own intermediates under AMD's pinned roots.
fn vendor_keys_hold() -> bool {
    let certificates = snp::vendor_intermediates();
    let vendor = Endorsements { certificates, ..Endorsements::default() };
    snp::verify_authorities(&vendor, &RustCrypto, &TrustAnchors::vendor(), AT).is_ok()
}

/// 2026-11-21T18:00:00Z.
const AT: UnixTime = UnixTime(1_795_284_000);
/// Where the launch measurement begins in a report.
const MEASUREMENT: usize = 0x90;
const REPORT: &[u8] = include_bytes!("../../examples/samples/snp/report.bin");
const VCEK: &[u8] = include_bytes!("../../examples/samples/snp/vcek.der");
const ASK: &[u8] = include_bytes!("../../examples/samples/snp/ask.der");
const LIST: &[u8] = include_bytes!("../../examples/samples/snp/ark.crl");
const ROOT: &[u8] = include_bytes!("../../examples/samples/snp/ark.root");
const POLICY: &str = include_str!("../../examples/samples/snp/policy.toml");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_keeps_the_same_promises() {
        assert_eq!(UnixTime::parse("2026-11-21T18:00:00Z"), Ok(AT));
        assert_eq!(format!("{:?}", main()), format!("{:?}", ExitCode::SUCCESS));
    }
}
