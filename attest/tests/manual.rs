//! The manual and the checklist, held against the code: what they name exists, and nothing is left out.
#![expect(clippy::unwrap_used, reason = "a test that cannot read the repository has failed")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use attest::catalogue;

#[test]
fn every_lesson_has_its_place_in_the_manual() {
    let text = chapter("fooled");
    for lesson in 1..=31 {
        assert!(text.contains(&format!("//! ## L{lesson}: ")), "L{lesson}");
    }
}

#[test]
fn every_test_that_the_manual_names_exists() {
    let tests = tests_of_the_repository();
    let text = chapter("fooled");
    let named: Vec<&str> = quoted(&text).filter(|word| is_sentence(word)).collect();
    assert!(named.len() > 40, "{named:?}");
    let gone: Vec<&&str> = named.iter().filter(|name| !tests.contains(**name)).collect();
    assert!(gone.is_empty(), "the manual names tests that are not there: {gone:?}");
}

#[test]
fn every_check_that_the_manual_names_is_asked() {
    for name in ["fooled", "howto", "platforms"] {
        assert_eq!(unknown_checks(&chapter(name)), NOTHING, "{name} names what nobody asks");
    }
}

/// A stranger who follows the checklist asks what the code asks, and nothing that it does not.
#[test]
fn the_checklist_has_every_check_and_no_other() {
    let Some(text) = checklist() else { return };
    assert_eq!(unknown_checks(&text), NOTHING, "the checklist names what nobody asks");
    let named: BTreeSet<&str> = quoted(&text).collect();
    let missing: Vec<&str> =
        catalogue::entries().map(|entry| entry.id).filter(|id| !named.contains(id)).collect();
    assert!(missing.is_empty(), "docs/verify-it-yourself.md says nothing of {missing:#?}");
}

const NOTHING: [&str; 0] = [];

fn chapter(name: &str) -> String {
    let path = root().join("attest/src/manual").join(name).with_extension("rs");
    std::fs::read_to_string(path).unwrap()
}

/// The document is part of the repository, not of the package.
fn checklist() -> Option<String> {
    std::fs::read_to_string(root().join("docs/verify-it-yourself.md")).ok()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What stands between backticks, outside of blocks of code.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.split('`').skip(1).step_by(2))
}

/// `snp.vek.tcb`, perhaps with parts in braces, of a platform that has checks.
fn unknown_checks(text: &str) -> Vec<&str> {
    let first: BTreeSet<&str> = catalogue::entries().filter_map(|entry| entry.id.split('.').next()).collect();
    let looks = move |word: &&str| {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._{}-".contains(c);
        word.contains('.')
            && word.chars().all(allowed)
            && word.split('.').next().is_some_and(|p| first.contains(p))
    };
    let known =
        |word: &&str| catalogue::entries().any(|entry| entry.id == *word) || catalogue::entry(word).is_some();
    quoted(text).filter(looks).filter(|word| !known(word)).collect()
}

/// A name of a test is a sentence: many words.
fn is_sentence(word: &str) -> bool {
    word.split('_').count() > 4
        && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn tests_of_the_repository() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    collect(&root(), &mut names);
    names
}

fn collect(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            collect(&path, names);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let functions = text.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next());
            names.extend(functions.map(str::to_owned));
        }
    }
}
