//! The committed corpora of the fuzz targets, and every truncation of them, through the targets themselves.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails there"
)]
#![expect(unreachable_pub, reason = "the fuzz crate exports the same file")]

#[path = "../fuzz/src/targets.rs"]
mod targets;

use std::path::Path;

use release_client::json::Document;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let inputs: Vec<_> = std::fs::read_dir(folder).unwrap().collect();
    assert!(inputs.len() >= 2, "{target}: expected a corpus, found {} inputs", inputs.len());
    for entry in inputs {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        run(&bytes);
        (0..bytes.len()).for_each(|length| run(bytes.get(..length).unwrap()));
    }
}

#[test]
fn no_input_of_the_answer_corpus_breaks_a_promise() {
    replay("answer", targets::answer);
}

#[test]
fn no_input_of_the_json_corpus_breaks_a_promise() {
    replay("json", targets::json);
}

/// Otherwise the targets would have nothing to hold.
#[test]
fn the_corpus_has_an_input_that_is_accepted() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/json/kv2");
    let mut text = std::fs::read(path).unwrap();
    let document = Document::parse(&mut text).unwrap();
    assert_eq!(document.number(&["data", "metadata", "version"]).unwrap(), Some(7));
}
