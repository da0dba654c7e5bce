//! The committed corpora of the fuzz targets, and every truncation of them, through the targets themselves.
#![forbid(unsafe_code)]
#![expect(clippy::expect_used, reason = "a test that cannot go on fails there")]
#![expect(unreachable_pub, reason = "the fuzz crate exports the same file")]

#[path = "../fuzz/src/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

use node_agent::caller::cgroup::{Place, Root, place};

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
