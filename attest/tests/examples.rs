//! The examples, on the samples beside them: simulated evidence that anybody can run them on.
//!
//! `CLOUDTASER_BLESS=1` writes the samples anew, for when a simulator or a format has changed.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot set up has failed")]
#![expect(clippy::duplicate_mod, reason = "each example is a program with modules of its own")]

use std::path::{Path, PathBuf};

use simulator::snp::{Chip, Product};

#[path = "laws/document.rs"]
#[expect(dead_code, reason = "the laws need more of it")]
mod document;
#[path = "tpm/forge.rs"]
#[expect(dead_code, reason = "the TPM tests need more of it")]
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
    let said = snp::judge(&words("snp", &files)).unwrap();
    assert!(said.starts_with("genuine under simulated roots, good until "), "{said}");
    assert!(said.contains(&"5a".repeat(48)), "{said}");
    assert!(!said.contains("refused"), "{said}");
    let refusal = refusal(snp::judge, &words("snp", &files), 0x90);
    assert_eq!(refusal, "sev-snp evidence is not genuine: snp.signature");
}

#[test]
fn the_tpm_example_tells_a_genuine_quote_from_a_changed_one() {
    let files = ["quote.bin", "key.name"];
    let said = tpm::judge(&words("tpm", &files)).unwrap();
    assert!(said.starts_with("genuine: signed by the enrolled key 000b"), "{said}");
    assert!(said.contains("PCR 7    sha256 1717"), "{said}");
    // The last byte is of the last PCR value, which stands outside the signature.
    let refusal = refusal(tpm::judge, &words("tpm", &files), 432);
    assert_eq!(refusal, "tpm2 evidence is not genuine: tpm.pcr.digest");
}

/// The words that somebody would type.
fn words(platform: &str, files: &[&str]) -> Vec<String> {
    bless(platform);
    let files = files.iter().map(|file| samples(platform).join(file).display().to_string());
    std::iter::once(AT.to_owned()).chain(files).collect()
}

/// What `judge` says of the same words when one bit of the evidence is another.
fn refusal(
    judge: impl Fn(&[String]) -> Result<String, Box<dyn std::error::Error>>,
    words: &[String],
    at: usize,
) -> String {
    let mut bytes = std::fs::read(&words[1]).unwrap();
    bytes[at] ^= 1;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, bytes).unwrap();
    let mut words = words.to_vec();
    words[1] = file.path().display().to_string();
    judge(&words).unwrap_err().to_string()
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
            write("policy.toml", document::Document::admitting_simulated().text().as_bytes());
        }
        "tpm" => {
            let (key, statement) = (forge::Key::new(), forge::Statement::quote(&[7; 32]));
            write("quote.bin", &key.evidence(&statement.marshal(), &statement.values));
            write("key.name", key.name().to_string().as_bytes());
        }
        other => unreachable!("{other}"),
    }
}
