//! Judges a TPM 2.0 quote and prints what it proves.
//!
//! `cargo run --example tpm -- AT QUOTE KEY.name [POLICY.toml]`
//!
//! QUOTE is what [`attest::tpm::assemble`] makes of `tpm2_quote`'s output and of the key's public area.
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
    let evidence = attest::parse(Platform::Tpm2, &brought.evidence)?;
    let (at, anchors) = (brought.at, &brought.anchors);
    let prepared = brought.endorsements.prepare(&AwsLcRs, &evidence, anchors, Revocation::Required, at)?;
    let verified = evidence.verify(&AwsLcRs, &prepared, at)?;
    let Claims::Tpm(claims) = verified.claims() else { return Err("another platform spoke".into()) };
    let mut words = vec![
        format!("genuine: signed by the enrolled key {}", claims.ak_name),
        format!("boot     {} resets, {} restarts", claims.clock.reset_count, claims.clock.restart_count),
        format!("nonce    {}", hex::encode(&claims.extra_data)),
    ];
    // Only values that hash to the signed digest are here: what a PCR says cannot be swapped on the way.
    words.extend(
        claims
            .pcrs
            .iter()
            .map(|pcr| format!("PCR {:<4} {} {}", pcr.index, pcr.bank, hex::encode(&pcr.value))),
    );
    brought.appraise(&verified, &mut words);
    Ok(words.join("\n"))
}
