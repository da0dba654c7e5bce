//! Judges a document of an AWS Nitro enclave, or of an EC2 instance's `NitroTPM`, and prints what it proves.
//!
//! `cargo run --example nitro -- AT DOCUMENT [POLICY.toml] [SIMULATED.root]`
//!
//! The document brings its certificates. They live for hours, so AT is the time at which it was made.
#![expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]

use std::error::Error;

use attest::crypto::AwsLcRs;
use attest::{Claims, Platform, Revocation};

mod brought;

use brought::Brought;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    println!("{}", judge(&words)?);
    Ok(())
}

/// From bytes to words. Whatever is not genuine ends in an error that names the checks that failed.
pub(crate) fn judge(words: &[String]) -> Result<String, Box<dyn Error>> {
    let brought = Brought::read(words)?;
    let enclave = attest::parse(Platform::Nitro, &brought.evidence);
    let evidence = enclave.or_else(|_| attest::parse(Platform::NitroTpm, &brought.evidence))?;
    let (at, anchors) = (brought.at, &brought.anchors);
    let prepared = brought.endorsements.prepare(&AwsLcRs, &evidence, anchors, Revocation::Required, at)?;
    let verified = evidence.verify(&AwsLcRs, &prepared, at)?;
    let Claims::Nitro(claims) = verified.claims() else { return Err("another platform spoke".into()) };
    let mut words = vec![
        format!("genuine under {} roots, good until {}", verified.roots(), prepared.window().until),
        format!("module     {}", claims.document.module_id),
        format!("made       {}", claims.document.made()),
        format!("nonce      {}", claims.document.nonce),
        format!("user data  {}", claims.document.user_data),
    ];
    let unmeasured = |index| claims.pcr(index).is_none_or(|value| value.is_zero());
    if evidence.platform() == Platform::Nitro && (0..=2).all(unmeasured) {
        words.push("DEBUG: nothing was measured, the parent reads the console".to_owned());
    }
    let measured = claims.document.pcrs.iter().filter(|pcr| !pcr.value.is_zero());
    words.extend(measured.map(|pcr| format!("PCR {:<6} {}", pcr.index, pcr.value)));
    brought.appraise(&verified, &mut words);
    Ok(words.join("\n"))
}
