//! The examples, on the samples beside them: simulated evidence that anybody can run them on.
//!
//! `CLOUDTASER_BLESS=1` writes the samples anew, for when a simulator or a format has changed.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot set up has failed")]
#![expect(clippy::duplicate_mod, reason = "each example is a program with modules of its own")]

use std::path::{Path, PathBuf};

use attest::{Part, parcel};
use simulator::azure::Paravisor;
use simulator::nitro::{Module, Role};
use simulator::snp::{Chip, Product};
use simulator::tdx;
use simulator::tpm::{AttestationKey, Statement};

#[path = "../examples/azure.rs"]
#[expect(dead_code, reason = "its main is not run")]
mod azure_example;
#[path = "laws/document.rs"]
#[expect(dead_code, reason = "the laws need more of it")]
mod document;
#[path = "tpm/forge.rs"]
#[expect(dead_code, reason = "the TPM tests need more of it")]
mod forge;
#[path = "../examples/nitro.rs"]
#[expect(dead_code, reason = "its main is not run")]
mod nitro_example;
#[path = "../examples/snp.rs"]
#[expect(dead_code, reason = "its main is not run")]
mod snp_example;
#[path = "../examples/tdx.rs"]
#[expect(dead_code, reason = "its main is not run")]
mod tdx_example;
#[path = "../examples/tpm.rs"]
#[expect(dead_code, reason = "its main is not run")]
mod tpm_example;

/// Documents of Nitro live for three hours.
const AT: &str = "2026-11-21T01:00:00Z";

#[test]
fn the_snp_example_tells_a_genuine_report_from_a_changed_one() {
    let files = ["report.bin", "vcek.der", "ask.der", "ark.crl", "policy.toml", "ark.root"];
    let said = snp_example::judge(&words("snp", &files)).unwrap();
    assert!(said.starts_with("genuine under simulated roots, good until "), "{said}");
    assert!(said.contains(&"5a".repeat(48)), "{said}");
    assert!(!said.contains("refused"), "{said}");
    let refusal = refusal(snp_example::judge, &words("snp", &files), 0x90);
    assert_eq!(refusal, "sev-snp evidence is not genuine: snp.signature");
}

#[test]
fn the_tpm_example_tells_a_genuine_quote_from_a_changed_one() {
    let files = ["quote.bin", "key.name"];
    let said = tpm_example::judge(&words("tpm", &files)).unwrap();
    assert!(said.starts_with("genuine: signed by the enrolled key 000b"), "{said}");
    assert!(said.contains("PCR 7    sha256 1717"), "{said}");
    // The last byte is of the last PCR value, which stands outside the signature.
    let refusal = refusal(tpm_example::judge, &words("tpm", &files), 432);
    assert_eq!(refusal, "tpm2 evidence is not genuine: tpm.pcr.digest");
}

#[test]
fn the_tdx_example_tells_a_genuine_quote_from_a_changed_one() {
    let files =
        ["quote.bin", "signer.der", "root.crl", "pck.crl", "tcb-info.json", "qe-identity.json", "intel.root"];
    let said = tdx_example::judge(&words("tdx", &files)).unwrap();
    assert!(said.contains("Intel says   UpToDate"), "{said}");
    assert!(said.contains("debug        off"), "{said}");
    // MRTD is at 48 + 136.
    let refusal = refusal(tdx_example::judge, &words("tdx", &files), 184);
    assert_eq!(refusal, "tdx evidence is not genuine: tdx.quote.signature");
}

#[test]
fn the_nitro_example_tells_a_genuine_document_from_a_changed_one() {
    let files = ["document.cbor", "aws.root"];
    let said = nitro_example::judge(&words("nitro", &files)).unwrap();
    assert!(said.contains(&format!("nonce      {}", "07".repeat(32))), "{said}");
    assert!(!said.contains("DEBUG"), "{said}");
    let end = std::fs::read(samples("nitro").join("document.cbor")).unwrap().len();
    let refusal = refusal(nitro_example::judge, &words("nitro", &files), end - 1);
    assert_eq!(refusal, "nitro evidence is not genuine: nitro.signature");
}

#[test]
fn the_azure_example_tells_the_path_and_a_changed_link() {
    let files = ["parcel.cbor", "vcek.der", "ask.der", "ark.crl", "ark.root"];
    let said = azure_example::judge(&words("azure", &files)).unwrap();
    assert!(said.contains("link         azure.binding.runtime_data: "), "{said}");
    assert!(said.contains("Secure Boot  Some(true)"), "{said}");
    let parcel = std::fs::read(samples("azure").join("parcel.cbor")).unwrap();
    let at = parcel.windows(8).position(|window| window == b"HCLAkPub").unwrap();
    let refusal = refusal(azure_example::judge, &words("azure", &files), at);
    let failing = ["azure.binding.runtime_data", "azure.runtime.readable", "azure.binding.attestation_key"];
    assert_eq!(refusal, format!("azure-snp evidence is not genuine: {}", failing.join(", ")));
}

/// Real captures, under the vendors' own roots: nothing but the files is needed.
#[test]
fn the_examples_know_real_hardware() {
    let given = std::env::var_os("CLOUDTASER_VECTORS").map(PathBuf::from);
    let vectors = given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"));
    if !vectors.is_dir() {
        let list = std::env::var_os("REQUIRE").unwrap_or_default();
        let required = list.to_string_lossy().split(',').any(|word| word.trim() == "vectors");
        assert!(!required, "REQUIRE=vectors, and {} is not there", vectors.display());
        println!("SKIP the_examples_know_real_hardware: no vectors in {}", vectors.display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bring = |from: &str, to: &str| {
        let path = folder.path().join(to);
        std::fs::copy(vectors.join(from), &path).unwrap();
        path.display().to_string()
    };
    let at = |instant: &str, files: Vec<String>| [vec![instant.to_owned()], files].concat();
    let snp = vec![
        bring("snp/milan-v2-virtee.report.bin", "report.bin"),
        bring("snp/milan-v2-virtee.vcek.der", "vcek.der"),
        bring("snp/ca/milan-2025-05.crl.der", "milan.crl"),
    ];
    let said = snp_example::judge(&at("2025-06-15T00:00:00Z", snp)).unwrap();
    assert!(said.starts_with("genuine under vendor roots") && said.contains("Milan-B0"), "{said}");
    let nitro = vec![bring("nitro/marlin-2024.cose.bin", "document.cbor")];
    let said = nitro_example::judge(&at("2024-12-13T07:37:58Z", nitro)).unwrap();
    assert!(said.starts_with("genuine under vendor roots") && !said.contains("DEBUG"), "{said}");
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
        "tdx" => {
            let machine = tdx::Platform::new(1);
            let tdx::Collateral { tcb_signing, root_crl, pck_crl, tcb_info, qe_identity, .. } =
                machine.collateral();
            write("quote.bin", &machine.quote().report_data([7; 64]).sign());
            write("signer.der", &tcb_signing);
            write("root.crl", &root_crl);
            write("pck.crl", &pck_crl);
            write("tcb-info.json", &tcb_info);
            write("qe-identity.json", &qe_identity);
            write("intel.root", &machine.root().der());
        }
        "azure" => {
            let (chip, key) = (Chip::new(1, Product::Genoa), AttestationKey::rsa(1));
            let paravisor = Paravisor::new(key.clone());
            let hcl = paravisor.snp_report(&chip.report().report_data(paravisor.report_data()).sign());
            let quote = key.quote(&Statement::quote(&[7; 32]));
            write("parcel.cbor", &parcel::assemble(&[(Part::TpmQuote, &quote), (Part::HclReport, &hcl)]));
            write("vcek.der", &chip.vcek().der());
            write("ask.der", &chip.ask().der());
            write("ark.crl", &chip.crl().der());
            write("ark.root", &chip.ark().der());
        }
        "nitro" => {
            let module = Module::enclave(1);
            write("document.cbor", &module.document().nonce(&[7; 32]).user_data(&[9; 64]).sign());
            write("aws.root", &module.certificate(Role::Root).der());
        }
        other => unreachable!("{other}"),
    }
}
