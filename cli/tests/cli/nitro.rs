//! Documents of AWS Nitro security modules, simulated and real.

use simulator::nitro::{DocumentBuilder, Module, Role};
use tempfile::TempDir;

use crate::run::{Ran, cloudtaser};
use crate::vectors::folder;

/// A document with the root that it is judged by.
struct Files(TempDir);

impl Files {
    fn of(module: &Module, change: impl FnOnce(DocumentBuilder) -> DocumentBuilder) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        let document = module.document().nonce(&[7; 32]).user_data(&[9; 64]);
        files.write("document.bin", &change(document).sign());
        files.write("root.der", &module.certificate(Role::Root).der());
        files
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.0.path().join(name), bytes).unwrap();
        self.path(name)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn verify(&self, more: &[&str]) -> Ran {
        let (document, root) = (self.path("document.bin"), self.path("root.der"));
        let words = ["attest", "verify", &document, "--insecure-trust-root", &root, "--at", NOW];
        cloudtaser(&[&words[..], more].concat())
    }
}

#[test]
fn a_document_is_shown_and_marked_unverified() {
    let module = Module::enclave(1);
    let files = Files::of(&module, DocumentBuilder::debug);
    let ran = cloudtaser(&["attest", "inspect", &files.path("document.bin")]).ends(0);
    assert_eq!(ran.lines()[0], "UNVERIFIED: nothing here was checked");
    for row in [
        "Nitro attestation document (of an enclave)",
        module.id(),
        "DEBUG MODE",
        "PCR 4 id of the parent",
        "certificate (signs the document)",
        "certificate 4 of the bundle",
        &module.common_name(Role::Zonal),
        &"07".repeat(32),
    ] {
        assert!(ran.out.contains(row), "{row}: {}", ran.out);
    }
    let files = Files::of(&Module::tpm(1), |document| document);
    let ran = cloudtaser(&["attest", "inspect", &files.path("document.bin")]).ends(0);
    assert!(ran.out.contains("PCR 7 Secure Boot") && !ran.out.contains("DEBUG"), "{}", ran.out);
}

#[test]
fn a_document_is_held_to_nonce_data_and_policy() {
    let files = Files::of(&Module::enclave(1), |document| document);
    let expected = ["--nonce", &"07".repeat(32), "--report-data", &"09".repeat(64)];
    let ran = files.verify(&expected).ends(0);
    for row in ["genuine nitro evidence", "eu-central-1", Module::enclave(1).id(), "PCR 0"] {
        assert!(ran.out.contains(row), "{row}: {}", ran.out);
    }
    let other = files.verify(&["--nonce", &"06".repeat(32), "-o", "json"]).ends(1);
    assert_eq!(other.failing(), ["binding.nonce"]);
    let policy = files.write("policy.toml", POLICY.as_bytes());
    files.verify(&["--policy", &policy]).ends(0);
    let debug = Files::of(&Module::enclave(1), DocumentBuilder::debug);
    let ran = debug.verify(&["--policy", &policy, "-o", "json"]).ends(1);
    assert_eq!(ran.failing(), ["nitro.pcr0.nonzero", "nitro.pcr1.nonzero", "nitro.pcr2.nonzero"]);
}

#[test]
fn a_real_document_is_genuine_under_aws_root_at_its_time_and_not_later() {
    let name = "a_real_document_is_genuine_under_aws_root_at_its_time_and_not_later";
    let Some(folder) = folder(name) else { return };
    let document = folder.join("nitro/evervault-2022-prod.cose.bin");
    let verify =
        |at: &str| cloudtaser(&["attest", "verify", document.to_str().unwrap(), "--at", at, "-o", "json"]);
    let answer = verify("2022-10-13T08:58:02Z").ends(0).json();
    assert_eq!((&answer["roots"], &answer["platform"]), (&"vendor".into(), &"nitro".into()));
    assert_eq!(verify("2026-11-21T00:00:00Z").ends(1).failing(), ["nitro.chain.dates"]);
}

/// The time of the simulated modules.
const NOW: &str = "2026-11-21T00:00:00Z";

const POLICY: &str = r#"
name = "enclaves"
version = 1
expires = "2048-01-01T00:00:00Z"
insecure-accept-simulated-roots = true
freshness = { verdict_seconds = 300, collateral_days = 60 }

[nitro]
pcrs = "any"
role = "any"
instances = "any"
regions = { any_of = ["eu-central-1"] }
public_key = "absent"
max_age_seconds = 300
"#;
