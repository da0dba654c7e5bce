//! The examples, on the samples beside them: simulated evidence that anybody can run them on.
//!
//! `CLOUDTASER_BLESS=1` writes the samples anew, for when a simulator or a format has changed.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot set up has failed")]

use std::path::{Path, PathBuf};

use simulator::snp::{Chip, Product};

#[path = "../examples/brought/mod.rs"]
#[expect(dead_code, reason = "each example has its own copy")]
mod brought;
#[path = "tpm/forge.rs"]
#[expect(dead_code, unused_imports, reason = "the TPM tests need more of it")]
mod forge;
#[path = "../examples/snp.rs"]
#[expect(dead_code, reason = "its main is not run")]
mod snp;
#[path = "../examples/tpm.rs"]
#[expect(dead_code, reason = "its main is not run")]
mod tpm;

const AT: &str = "2026-11-21T18:00:00Z";

#[test]
fn the_snp_example_tells_a_genuine_report_from_a_changed_one() {
    let files = ["report.bin", "vcek.der", "ask.der", "ark.crl", "policy.toml", "ark.root"];
    let said = snp::judge(snp::brought::Brought::read(&words("snp", files)).unwrap()).unwrap();
    assert!(said.starts_with("genuine under simulated roots, good until "), "{said}");
    assert!(said.contains(&"5a".repeat(48)), "{said}");
    assert!(!said.contains("refused"), "{said}");
    let mut changed = snp::brought::Brought::read(&words("snp", files)).unwrap();
    changed.evidence[0x90] ^= 1;
    let refusal = snp::judge(changed).unwrap_err().to_string();
    assert_eq!(refusal, "sev-snp evidence is not genuine: snp.signature");
}

#[test]
fn the_tpm_example_tells_a_genuine_quote_from_a_changed_one() {
    let files = ["quote.bin", "key.name"];
    let said = tpm::judge(&tpm::brought::Brought::read(&words("tpm", files)).unwrap()).unwrap();
    assert!(said.starts_with("genuine: signed by the enrolled key 000b"), "{said}");
    assert!(said.contains("PCR 7    sha256 1717"), "{said}");
    let mut changed = tpm::brought::Brought::read(&words("tpm", files)).unwrap();
    *changed.evidence.last_mut().unwrap() ^= 1;
    let refusal = tpm::judge(&changed).unwrap_err().to_string();
    assert_eq!(refusal, "tpm2 evidence is not genuine: tpm.pcr.digest");
}

/// The words that somebody would type.
fn words<const N: usize>(platform: &str, files: [&str; N]) -> Vec<String> {
    bless(platform);
    let files = files.map(|file| samples(platform).join(file).display().to_string());
    std::iter::once(AT.to_owned()).chain(files).collect()
}

fn samples(platform: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/samples").join(platform)
}

fn bless(platform: &str) {
    if std::env::var_os("CLOUDTASER_BLESS").is_none() {
        return;
    }
    let write = |name: &str, bytes: &[u8]| std::fs::write(samples(platform).join(name), bytes).unwrap();
    match platform {
        "snp" => {
            let chip = Chip::new(1, Product::Genoa);
            write("report.bin", &chip.report().report_data([7; 64]).sign());
            write("vcek.der", &chip.vcek().der());
            write("ask.der", &chip.ask().der());
            write("ark.crl", &chip.crl().der());
            write("ark.root", &chip.ark().der());
        }
        "tpm" => {
            let (key, statement) = (forge::Key::new(), forge::Statement::quote(&[7; 32]));
            write("quote.bin", &key.evidence(&statement.marshal(), &statement.values));
            write("key.name", key.name().to_string().as_bytes());
        }
        other => unreachable!("{other}"),
    }
}
