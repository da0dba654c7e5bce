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
fn no_input_of_the_agent_corpora_breaks_a_promise() {
    replay("agent_request", targets::agent_request);
    replay("agent_reply", targets::agent_reply);
}

#[test]
fn no_input_of_the_protection_corpus_breaks_a_promise() {
    replay("protection", targets::protection);
}

#[test]
fn no_input_of_the_release_corpus_breaks_a_promise() {
    replay("release", targets::release);
}

#[test]
fn no_input_of_the_secret_corpus_breaks_a_promise() {
    replay("secret", targets::secret);
}

#[test]
fn no_input_of_the_unseal_corpora_breaks_a_promise() {
    replay("unseal_request", targets::unseal_request);
    replay("unseal_reply", targets::unseal_reply);
}

/// Otherwise the targets would have nothing to hold.
#[test]
fn each_corpus_has_an_input_that_is_accepted() {
    let read = |name: &str| {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name)).unwrap()
    };
    protocol::agent::parse_request(&read("agent_request/x25519-for-a-tpm")).unwrap();
    protocol::agent::parse_reply(&read("agent_reply/evidence")).unwrap();
    protocol::agent::parse_reply(&read("agent_reply/failed")).unwrap();
    protocol::unseal::parse_request(&read("unseal_request/evidence")).unwrap();
    protocol::unseal::parse_request(&read("unseal_request/share")).unwrap();
    protocol::unseal::parse_reply(&read("unseal_reply/offer")).unwrap();
    protocol::unseal::parse_reply(&read("unseal_reply/taken")).unwrap();
    protocol::protection::Report::parse(&read("protection/report")).unwrap();
    let presentation = read("release/presentation.json");
    serde_json::from_slice::<protocol::release::Presentation>(&presentation).unwrap().offered().unwrap();
    assert_eq!(protocol::secret::fields_of(&read("secret/two-fields")).unwrap().len(), 2);
}
