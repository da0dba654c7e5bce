//! The names of checks: the tables hold what the code asks, and nothing else.

use std::collections::BTreeSet;
use std::path::Path;

use attest::catalogue::{Stage, entries, entry};
use simulator::snp::{Chip, Product};

use crate::case::Case;
use crate::silicon::{vcek_case, vlek_case};

/// The text literals in the verifier that look like names of checks, with `{…}` for what is filled in.
fn names_in_the_code() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut names);
    names
}

fn read(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().unwrap() != "catalogue" {
            read(&path, names);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            // Errors have stable names too, in functions called `code`; they are no checks.
            let code = text.split("pub fn code").next().unwrap();
            names.extend(code.split('"').skip(1).step_by(2).filter(|text| is_name(text)).map(str::to_owned));
        }
    }
}

fn is_name(text: &str) -> bool {
    let platforms = [
        "snp",
        "tpm",
        "tdx",
        "nitro",
        "nitro-tpm",
        "azure",
        "boot",
        "policy",
        "roots",
        "challenge",
        "standing",
        "node",
        "workload",
        "protection",
        "key",
    ];
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._{}-".contains(c);
    let first = text.split('.').next().unwrap_or_default();
    text.contains('.') && platforms.contains(&first) && text.chars().all(allowed) && !text.ends_with('.')
}

/// Whether a name in the code is one in the tables, where both may have parts that are filled in.
fn same(code: &str, table: &str) -> bool {
    if BEGINNINGS.contains(&code) {
        return table.strip_prefix(code).is_some_and(|rest| rest.starts_with('.'));
    }
    let (code, table): (Vec<&str>, Vec<&str>) = (code.split('.').collect(), table.split('.').collect());
    let part = |(code, table): (&&str, &&str)| code == table || code.contains('{');
    code.len() == table.len() && code.iter().zip(&table).all(part)
}

#[test]
fn every_check_that_the_code_asks_is_in_the_tables() {
    let missing: Vec<String> =
        names_in_the_code().into_iter().filter(|name| !entries().any(|entry| same(name, entry.id))).collect();
    assert!(missing.is_empty(), "add to attest/src/catalogue: {missing:#?}");
}

#[test]
fn every_check_in_the_tables_is_one_that_the_code_asks() {
    let names = names_in_the_code();
    let idle: Vec<&str> = entries()
        .filter(|entry| entry.stage != Stage::Outside && !names.iter().any(|name| same(name, entry.id)))
        .map(|entry| entry.id)
        .collect();
    assert!(idle.is_empty(), "nothing asks {idle:?}");
}

#[test]
fn what_was_asked_is_in_the_tables_at_its_stage() {
    let genoa = Chip::new(1, Product::Genoa);
    for case in [vcek_case(&genoa, |report| report), vlek_case(&genoa, |report| report)] {
        let genuine = verified_ids(&case);
        for check in case.admitted().checks {
            let stage = entry(&check.id).unwrap_or_else(|| panic!("{} is not in the tables", check.id)).stage;
            let expected = genuine.contains(&check.id);
            assert_eq!(stage == Stage::Genuineness, expected, "{}", check.id);
        }
    }
}

fn verified_ids(case: &Case) -> Vec<String> {
    let evidence = attest::parse(case.platform, &case.evidence).unwrap();
    let prepared = case.prepare(&attest::crypto::AwsLcRs, &evidence).unwrap();
    let verified = evidence.verify(&attest::crypto::AwsLcRs, &prepared, case.now).unwrap();
    verified.checks().iter().map(|check| check.id.clone()).collect()
}

/// What the code has a last part added to.
const BEGINNINGS: [&str; 2] = ["nitro.pcr", "nitro-tpm.pcr"];
