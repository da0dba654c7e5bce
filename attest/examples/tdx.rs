//! Judges an Intel TDX quote and prints what it proves.
//!
//! `cargo run --example tdx -- AT QUOTE SIGNER.der ROOT.crl PCK.crl TCBINFO.json QEID.json [POLICY.toml] [SIMULATED.root]`
//!
//! The platform's certificates come with the quote. Zeros that a host left behind the quote are cut off.
#![expect(clippy::print_stdout, reason = "an example talks to the person who runs it")]

use std::error::Error;

use attest::crypto::AwsLcRs;
use attest::{Claims, Platform, Revocation, tdx};

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
    brought.evidence.truncate(tdx::Quote::length(&brought.evidence)?);
    let evidence = attest::parse(Platform::Tdx, &brought.evidence)?;
    let (at, anchors) = (brought.at, &brought.anchors);
    let prepared = brought.endorsements.prepare(&AwsLcRs, &evidence, anchors, Revocation::Required, at)?;
    let verified = evidence.verify(&AwsLcRs, &prepared, at)?;
    let Claims::Tdx(claims) = verified.claims() else { return Err("another platform spoke".into()) };
    let (report, platform) = (&claims.report, &claims.platform);
    let mut words = vec![
        format!("genuine under {} roots, good until {}", verified.roots(), prepared.window().until),
        // Genuine is not good: what Intel thinks of the platform is for a policy to accept.
        format!("Intel says   {}", platform.tcb.launch),
        format!("platform     FMSPC {}, PPID {}", platform.pck.fmspc, platform.pck.ppid),
        format!("MRTD         {}", report.mrtd),
    ];
    words.extend(report.rtmrs.iter().enumerate().map(|(n, rtmr)| format!("RTMR {n}       {rtmr}")));
    words.push(format!("report data  {}", report.report_data));
    words.push(format!("debug        {}", if report.td_attributes.bit(0) { "ON" } else { "off" }));
    brought.appraise(&verified, &mut words);
    Ok(words.join("\n"))
}
