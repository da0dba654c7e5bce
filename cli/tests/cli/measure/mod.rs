//! `cloudtaser measure`, against other people's programs and against a second implementation of the formulas.
#![expect(clippy::arithmetic_side_effects, clippy::panic, reason = "tests")]

mod formula;
mod nitro;
mod oracle;
mod snp;
mod tdx;
mod uki;

use serde_json::Value;

use crate::run::{Ran, cloudtaser};

/// Measures; the answer as a document.
#[track_caller]
fn measured(words: &[&str]) -> Value {
    cloudtaser(&[&["measure"], words, &["-o", "json"]].concat()).ends(0).json()
}

/// The value with this id.
#[track_caller]
fn value(answer: &Value, id: &str) -> String {
    let mut references = answer["references"].as_array().unwrap().iter();
    let found = references.find(|reference| reference["id"] == id);
    found.unwrap_or_else(|| panic!("no {id} in {answer:#}"))["value"].as_str().unwrap().to_owned()
}

/// What is refused, by its stable name.
#[track_caller]
fn refused(words: &[&str]) -> String {
    let answer = cloudtaser(&[&["measure"], words, &["-o", "json"]].concat()).ends(2).json();
    answer["error"]["code"].as_str().unwrap().to_owned()
}

/// Reference blocks as a policy reads them: id, value, provenance.
#[track_caller]
fn blocks(ran: &Ran) -> Vec<[String; 3]> {
    let document: toml::Table = ran.out.parse().unwrap();
    let blocks = document["reference"].as_array().unwrap().iter();
    blocks
        .map(|block| ["id", "value", "provenance"].map(|key| block[key].as_str().unwrap().to_owned()))
        .collect()
}

/// A file in a directory.
fn file(dir: &tempfile::TempDir, name: &str, content: &[u8]) -> String {
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Bytes that look like nothing, the same each time.
fn noise(seed: u32, length: usize) -> Vec<u8> {
    let step = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let states = std::iter::successors(step(&seed), step);
    states.map(|state| state.to_be_bytes()[0]).take(length).collect()
}
