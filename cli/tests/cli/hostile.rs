//! Bytes that somebody made to break things: an exit code, never a panic.

use crate::machine::Machine;
use crate::quote;
use crate::run::{Ran, cloudtaser_with};

/// Lesson L22: whatever is cut off, nothing is accepted and nothing breaks.
#[test]
fn l22_a_truncated_or_extended_report_is_never_accepted() {
    let machine = Machine::new();
    let report = std::fs::read(machine.path("report.bin")).unwrap();
    for length in [0, 1, 2, 5, 6, 71, 72, 671, 672, 1183] {
        for verb in ["inspect", "verify"] {
            read(&["attest", verb, "-", "--platform", "sev-snp"], &report[..length]).ends(2);
        }
    }
    let long = [report.as_slice(), &[0]].concat();
    let ran = read(&["attest", "verify", "-", "--platform", "sev-snp"], &long).ends(2);
    let expected =
        "malformed sev-snp evidence: SNP report is 1184 bytes long, found 1185 (evidence.malformed)";
    assert!(ran.err.contains(expected), "{}", ran.err);
    read(&["attest", "verify", "-"], &long).ends(2);
}

#[test]
fn l22_a_truncated_or_extended_quote_is_never_accepted() {
    let quote = quote::quote(&[5; 32]);
    let words = ["attest", "verify", "-", "--enrolled-ak", &quote.name];
    read(&words, &quote.evidence).ends(0);
    for length in (0..quote.evidence.len()).step_by(7) {
        read(&words, &quote.evidence[..length]).ends(2);
        read(&["attest", "inspect", "-"], &quote.evidence[..length]).ends(2);
    }
    read(&words, &[quote.evidence.as_slice(), &[0]].concat()).ends(2);
}

#[test]
fn random_bytes_are_no_verdict_anywhere() {
    let machine = Machine::new();
    for seed in 0..12_u64 {
        let length = [0, 1, 31, 64, 300, 1184, 5000][usize::try_from(seed % 7).unwrap()];
        let bytes = noise(seed, length);
        for words in [
            &["attest", "inspect", "-"][..],
            &["attest", "inspect", "-", "--platform", "tpm2"],
            &["attest", "verify", "-"],
            &["attest", "verify", "-", "--platform", "tpm2"],
            &["attest", "verify", &machine.path("report.bin"), "--endorsements", "-"],
            &["attest", "verify", &machine.path("report.bin"), "--insecure-trust-root", "-"],
            &["attest", "verify", &machine.path("report.bin"), "--policy", "-"],
            &["evidence", "verify", "-", "--insecure-any-verifier"],
            &["evidence", "show", "-"],
        ] {
            read(words, &bytes).ends(2);
        }
    }
}

fn read(words: &[&str], input: &[u8]) -> Ran {
    cloudtaser_with(words, input)
}

/// xorshift64*, so that a failure comes back.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}
