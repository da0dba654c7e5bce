//! Judges an AMD SEV-SNP report and prints what it proves.
//!
//! `cargo run --example snp -- AT REPORT VCEK.der ASK.der ARK.crl [POLICY.toml] [SIMULATED.root]`
//!
//! Without an ASK among the files, the one that the library carries is used: it is verified like any other.
#![expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]

use std::error::Error;

use attest::crypto::AwsLcRs;
use attest::{Claims, Platform, Revocation, snp};

mod brought;

use brought::Brought;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    println!("{}", judge(&words)?);
    Ok(())
}

/// From bytes to words. Whatever is not genuine ends in an error that names the checks that failed.
pub(crate) fn judge(words: &[String]) -> Result<String, Box<dyn Error>> {
    let mut brought = Brought::read(words)?;
    let evidence = attest::parse(Platform::SevSnp, &brought.evidence)?;
    if brought.endorsements.certificates.len() < 2 {
        brought.endorsements.certificates.extend(snp::vendor_intermediates());
    }
    let (at, anchors) = (brought.at, &brought.anchors);
    let prepared = brought.endorsements.prepare(&AwsLcRs, &evidence, anchors, Revocation::Required, at)?;
    let verified = evidence.verify(&AwsLcRs, &prepared, at)?;
    let Claims::Snp(claims) = verified.claims() else { return Err("another platform spoke".into()) };
    let mut words = vec![
        format!("genuine under {} roots, good until {}", verified.roots(), prepared.window().until),
        format!("product      {}", claims.vek.product_name),
        format!("TCB          {}", claims.reported_tcb.parts(claims.vek.product)),
        format!("measurement  {}", claims.measurement),
        format!("report data  {}", claims.report_data),
        format!("debug        {}", if claims.policy.bit(19) { "ALLOWED" } else { "not allowed" }),
    ];
    brought.appraise(&verified, &mut words);
    Ok(words.join("\n"))
}
