//! Real reports, under AMD's real roots.

use std::path::PathBuf;

use crate::run::{Ran, cloudtaser};

/// The folder of vectors, or a skip that says why.
pub(crate) fn folder(test: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors"));
    let folder = variable("CLOUDTASER_VECTORS").map_or(beside, PathBuf::from);
    if folder.join("MANIFEST.toml").is_file() {
        return Some(folder);
    }
    let required =
        variable("REQUIRE").is_some_and(|list| list.split(',').any(|word| word.trim() == "vectors"));
    assert!(!required, "vectors are required, and {} has no MANIFEST.toml", folder.display());
    skip(&format!("SKIP {test}: no MANIFEST.toml in {}", folder.display()));
    None
}

#[expect(clippy::print_stdout, reason = "a skip is counted where it is printed")]
fn skip(line: &str) {
    println!("{line}");
}

#[expect(clippy::disallowed_methods, reason = "a test has no config.rs")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn verify(folder: &std::path::Path, report: &str, words: &[&str]) -> Ran {
    let path = |name: &str| folder.join("snp").join(name).to_str().unwrap().to_owned();
    let words: Vec<String> =
        words.iter().map(|word| word.strip_prefix('@').map_or((*word).to_owned(), path)).collect();
    let report = path(report);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    cloudtaser(&[&["attest", "verify", &report, "-o", "json"], &words[..]].concat())
}

#[test]
fn a_real_genoa_report_is_genuine_under_amds_root_and_list() {
    let Some(folder) = folder("a_real_genoa_report_is_genuine_under_amds_root_and_list") else { return };
    let words = ["--endorsements", "@genoa-v5-oak-containers.vcek.der", "@ca/genoa-2024-10.crl.der"];
    let at = ["--at", "2025-08-09T17:21:41Z"];
    let report = "genoa-v5-oak-containers.report.bin";
    // No intermediate was brought: AMD's own are used.
    let answer = verify(&folder, report, &[&words[..], &at].concat()).ends(0).json();
    assert_eq!((&answer["verdict"], &answer["roots"]), (&"accepted".into(), &"vendor".into()));
    let later = verify(&folder, report, &[&words[..], &["--at", "2026-08-09T17:21:41Z"]].concat()).ends(1);
    assert_eq!(later.failing(), ["snp.crl.current"]);
}

#[test]
fn real_reports_of_every_line_and_key_are_genuine() {
    let Some(folder) = folder("real_reports_of_every_line_and_key_are_genuine") else { return };
    for (name, key, at) in [
        ("milan-v2-virtee", "vcek", "2025-06-15T00:00:00Z"),
        ("milan-v3-vlek-aws-useast2-vmpl1", "vlek", "2025-06-15T00:00:00Z"),
        ("turin-v5-oak-containers", "vcek", "2025-07-19T17:04:46Z"),
    ] {
        let endorsement = format!("@{name}.{key}.der");
        let words = ["--endorsements", &endorsement, "--insecure-no-revocation", "--at", at];
        verify(&folder, &format!("{name}.report.bin"), &words).ends(0);
    }
}

#[test]
fn a_forged_report_and_a_strangers_certificate_are_refused() {
    let Some(folder) = folder("a_forged_report_and_a_strangers_certificate_are_refused") else { return };
    let tail = ["--insecure-no-revocation", "--at", "2025-06-15T00:00:00Z"];
    let words = [&["--endorsements", "@milan-v2-azure-trustee.vcek.der"][..], &tail].concat();
    let forged = verify(&folder, "neg/milan-v2-azure-trustee-byte42.report.bin", &words).ends(1);
    assert_eq!(forged.failing(), ["snp.signature"]);
    let strangers = verify(&folder, "milan-v2-virtee.report.bin", &words).ends(1);
    assert!(strangers.failing().contains(&"snp.vek.hwid".to_owned()), "{}", strangers.out);
}
