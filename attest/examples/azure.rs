//! Judges the evidence of an Azure confidential virtual machine and prints the path by which it is believed.
//!
//! `cargo run --example azure -- AT PARCEL VCEK.der ASK.der ARK.crl [POLICY.toml] [SIMULATED.root]`
//!
//! PARCEL is what [`attest::parcel::assemble`] makes of the TPM quote and the paravisor's report. For a TD the
//! TD quote is in it too, and Intel's collateral takes the place of AMD's.
#![expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]

use std::error::Error;

use attest::crypto::AwsLcRs;
use attest::{Claims, Parcel, Part, Platform, Revocation};

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
    let with_td = Parcel::parse(&brought.evidence)?.part(Part::TdQuote).is_some();
    let platform = if with_td { Platform::AzureTdx } else { Platform::AzureSnp };
    let evidence = attest::parse(platform, &brought.evidence)?;
    let (at, anchors) = (brought.at, &brought.anchors);
    let prepared = brought.endorsements.prepare(&AwsLcRs, &evidence, anchors, Revocation::Required, at)?;
    let verified = evidence.verify(&AwsLcRs, &prepared, at)?;
    let Claims::Azure(claims) = verified.claims() else { return Err("another platform spoke".into()) };
    let mut words =
        vec![format!("genuine under {} roots, good until {}", verified.roots(), prepared.window().until)];
    // The hardware does not know the nonce; each link from the quote down to it is a check.
    let links = verified.checks().iter().filter(|check| check.id.starts_with("azure.binding."));
    words.extend(links.map(|link| format!("link         {}: {}", link.id, link.found)));
    words.push(format!("nonce        {}", hex::encode(&claims.tpm.extra_data)));
    words.push(format!("Secure Boot  {:?}", claims.runtime.vm.secure_boot));
    words.push(format!("paravisor    {}", claims.hardware.measurement()));
    words.extend(
        claims.tpm.pcrs.iter().map(|pcr| format!("PCR {:<8} {}", pcr.index, hex::encode(&pcr.value))),
    );
    brought.appraise(&verified, &mut words);
    Ok(words.join("\n"))
}
