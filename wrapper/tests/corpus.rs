//! The committed corpora of the fuzz targets, and every truncation of them, through the targets themselves.
#![forbid(unsafe_code)]
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test that cannot go on fails there")]
#![expect(unreachable_pub, reason = "the fuzz crate exports the same file")]

#[path = "../fuzz/src/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

use wrapper::files::path;
use wrapper::local::request::{Parsed, parse};

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect()
}

#[test]
fn no_path_breaks_a_promise_and_some_are_ours() {
    let corpus = corpus("file_path");
    for bytes in &corpus {
        (0..=bytes.len()).for_each(|len| targets::file_path(&bytes[..len]));
    }
    assert_eq!(corpus.iter().filter(|bytes| path::name(bytes).is_some()).count(), 2);
}

#[test]
fn no_request_breaks_a_promise_and_some_are_understood() {
    let corpus = corpus("local_request");
    for bytes in &corpus {
        (0..=bytes.len()).for_each(|len| targets::local_request(&bytes[..len]));
    }
    let understood = |bytes: &&Vec<u8>| matches!(parse(bytes), Parsed::Whole(_));
    assert_eq!(corpus.iter().filter(understood).count(), 4);
}
