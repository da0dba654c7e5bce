//! Cases that real machines made. Their folder is named by `CLOUDTASER_VECTORS`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Once;

use attest::crypto::{AwsLcRs, Hash};
use attest::{Endorsements, Platform, Revocation, TrustAnchors, UnixTime, snp, tpm};

use crate::case::{Asked, Case};
use crate::document::Document;
use crate::{security_module, silicon, software_tpm};

/// Genuine SNP reports with their chains. Old evidence: revocation is waived, and no policy admits it.
pub(crate) fn snp_reports() -> Vec<Case> {
    reports("ok")
}

/// Genuine SNP reports whose guest policy allows debugging.
pub(crate) fn debug_guests() -> Vec<Case> {
    reports("policy-reject")
}

fn reports(expected: &str) -> Vec<Case> {
    let Some(folder) = folder() else { return Vec::new() };
    let manifest: toml::Table =
        std::fs::read_to_string(folder.join("MANIFEST.toml")).unwrap().parse().unwrap();
    let entries = manifest["vector"].as_array().unwrap().iter();
    let wanted = entries.filter(|entry| {
        let is = |key: &str, value: &str| entry.get(key).and_then(toml::Value::as_str) == Some(value);
        is("tee", "sev-snp") && is("kind", "report") && is("expected", expected)
    });
    wanted.map(|entry| case(&folder, entry)).collect()
}

fn case(folder: &Path, entry: &toml::Value) -> Case {
    let read = |role: &str| std::fs::read(folder.join(entry["role"][role].as_str().unwrap())).unwrap();
    let now = UnixTime::parse(entry["verify_at"].as_str().unwrap()).unwrap();
    let stranger = simulator::snp::Chip::new(77, simulator::snp::Product::Genoa).at(now.0).chain();
    let strangers = Endorsements {
        certificates: vec![stranger.vcek, stranger.ask],
        revocation_lists: vec![],
        ..Endorsements::default()
    };
    Case {
        name: entry["id"].as_str().unwrap().to_owned(),
        platform: Platform::SevSnp,
        evidence: read("report"),
        signed: 0..snp::Report::SIGNED_LEN,
        strangers: (strangers, TrustAnchors::vendor()),
        endorsements: Endorsements {
            certificates: vec![read("vek"), read("intermediate")],
            revocation_lists: Vec::new(),
            ..Endorsements::default()
        },
        anchors: TrustAnchors::vendor(),
        other_anchors: silicon::anchors(simulator::snp::Vendor::Simulated),
        root: read("ark"),
        revocation: Revocation::InsecureWaived,
        now,
        asked: Asked::usual(now),
        policy: Document::admitting_simulated(),
    }
}

/// The quote of a Compute Engine machine with Container-Optimized OS 85.
pub(crate) fn cos_quote() -> Option<Case> {
    let folder = folder()?.join("tpm/gce-cos85-sev-nonce9009");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let (attest, area) = (read("quote.sha256.msg"), read("ak_pub.tpmt"));
    let pcrs: BTreeMap<String, String> = serde_json::from_slice(&read("pcrs.sha256.json")).unwrap();
    let pcrs = pcrs.iter().map(|(index, value)| (index.parse().unwrap(), hex::decode(value).unwrap()));
    let pcrs: BTreeMap<u32, Vec<u8>> = pcrs.collect();
    let values: Vec<_> = pcrs.into_iter().map(|(index, value)| (Hash::Sha256, index, value)).collect();
    let name = tpm::Name::of_public(&AwsLcRs, &area).unwrap();
    Some(Case {
        name: "GCE COS 85".to_owned(),
        signed: 2..2 + attest.len(),
        evidence: tpm::assemble(&attest, &read("quote.sha256.sig"), &area, &values),
        anchors: TrustAnchors::vendor().with_attestation_keys([name]),
        ..software_tpm::case()
    })
}

/// Genuine documents of enclaves, made within minutes of their leaves: so each holds as long as its leaf.
pub(crate) fn nitro_documents() -> Vec<Case> {
    let Some(folder) = folder() else { return Vec::new() };
    let document = |(name, at): (&str, &str)| {
        let evidence = std::fs::read(folder.join(format!("nitro/{name}.cose.bin"))).unwrap();
        let now = UnixTime::parse(at).unwrap();
        Case {
            name: name.to_owned(),
            now,
            asked: Asked::usual(now),
            anchors: TrustAnchors::vendor(),
            other_anchors: security_module::anchors(simulator::nitro::Vendor::Simulated),
            ..security_module::judged(&simulator::nitro::Module::enclave(1), evidence)
        }
    };
    let names = [
        ("fortanix-2021-debug", "2021-09-09T10:19:20Z"),
        ("evervault-2022-prod", "2022-10-13T08:58:02Z"),
        ("marlin-2025-pcr16", "2025-04-29T10:32:39Z"),
    ];
    names.map(document).into()
}

/// Those of them that run in debug mode.
pub(crate) fn debug_enclaves() -> Vec<Case> {
    nitro_documents().into_iter().filter(|case| case.name.contains("debug")).collect()
}

/// The folder of vectors, or a skip that was earned.
fn folder() -> Option<PathBuf> {
    static SAID: Once = Once::new();
    let given = std::env::var_os("CLOUDTASER_VECTORS").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors");
    let folder = given.unwrap_or_else(beside);
    if folder.join("MANIFEST.toml").is_file() {
        return Some(folder);
    }
    let required = std::env::var_os("REQUIRE").unwrap_or_default();
    let required = required.to_string_lossy().split(',').any(|word| word.trim() == "vectors");
    assert!(!required, "REQUIRE=vectors, and {} is not there", folder.display());
    SAID.call_once(|| println!("SKIP captured evidence: no vectors in {}", folder.display()));
    None
}
