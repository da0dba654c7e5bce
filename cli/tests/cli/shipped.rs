//! The shipped policies, each against its cases: machines that it admits, and machines that it refuses by name.
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[test]
fn every_shipped_policy_has_machines_that_it_refuses_and_most_have_one_that_they_admit() {
    let mut admitting = BTreeSet::new();
    for policy in entries(&policies().join("measured")) {
        let name = policy.file_stem().unwrap().to_str().unwrap().to_owned();
        let cases = entries(&policies().join("cases").join(&name));
        let documents = cases.iter().filter_map(|case| std::fs::read_to_string(case.join("case.toml")).ok());
        let documents: Vec<toml::Table> = documents.map(|document| document.parse().unwrap()).collect();
        let expects = |word: &str| documents.iter().any(|document| document["expect"].as_str() == Some(word));
        assert!(expects("refuse"), "{name}");
        let debug = |document: &toml::Table| document["about"].as_str().unwrap().contains("debug");
        assert!(
            name == "vtpm" || name == "nitro-enclaves" || documents.iter().any(debug),
            "{name}: no debug guest"
        );
        admitting.extend(expects("admit").then_some(name));
    }
    // Its reference value is nobody's yet.
    assert!(!admitting.contains("gke-snp") && admitting.len() >= 7, "{admitting:?}");
}

fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let found = std::fs::read_dir(folder).unwrap();
    let mut found: Vec<_> = found.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}
