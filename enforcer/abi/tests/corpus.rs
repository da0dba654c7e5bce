//! The committed corpora of the fuzz targets, and every truncation of them, through the targets themselves.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails there")]
#![expect(unreachable_pub, reason = "the fuzz crate exports the same file")]

#[path = "../fuzz/src/targets.rs"]
mod targets;

use std::path::Path;

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
fn no_input_of_the_window_corpus_breaks_a_promise() {
    replay("leak_window", targets::leak_window);
}

#[test]
fn no_input_of_the_secret_corpus_breaks_a_promise() {
    replay("leak_secret", targets::leak_secret);
}
