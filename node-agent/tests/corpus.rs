//! The committed corpora of the fuzz targets, and every truncation of them, through the targets themselves.
#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    clippy::arithmetic_side_effects,
    reason = "a test that cannot go on fails there"
)]
#![expect(unreachable_pub, reason = "the fuzz crate exports the same file")]

#[path = "../fuzz/src/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

use node_agent::caller::cgroup::{Place, Root, place};
use node_agent::nitro::Response;

#[test]
fn no_text_of_a_cgroup_file_breaks_a_promise_and_some_are_pods() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/cgroup");
    let mut pods: usize = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        (0..=bytes.len()).for_each(|length| targets::cgroup(bytes.get(..length).unwrap()));
        let text = String::from_utf8(bytes).unwrap();
        let found = place(&text, &Root::parse("/").unwrap());
        pods = pods.saturating_add(usize::from(matches!(found, Ok(Place::Pod(_)))));
    }
    assert_eq!(pods, 5, "otherwise the target would have nothing to hold");
}

#[test]
fn no_answer_of_a_module_breaks_a_promise() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/nsm_response");
    let mut accepted = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        accepted += usize::from(Response::parse(&bytes).is_ok());
        (0..=bytes.len()).for_each(|length| targets::nsm_response(bytes.get(..length).unwrap()));
    }
    assert!(accepted >= 8, "expected answers of each kind, found {accepted}");
}
