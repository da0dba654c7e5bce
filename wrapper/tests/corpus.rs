//! The committed corpora of the fuzz targets, and every truncation of them, through the targets themselves.
#![forbid(unsafe_code)]
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails there"
)]
#![expect(unreachable_pub, reason = "the fuzz crate exports the same file")]

#[path = "../fuzz/src/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

use wrapper::files::path;
use wrapper::graft::runtime::{Reads, reads};
use wrapper::graft::stack::Stack;
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

#[test]
fn no_stack_breaks_a_promise_and_some_are_read() {
    let corpus = corpus("program_stack");
    for bytes in &corpus {
        (0..=bytes.len()).for_each(|len| targets::program_stack(&bytes[..len]));
    }
    let entries = |bytes: &Vec<u8>| {
        let memory = |address: usize, into: &mut [u8]| {
            let there = address.checked_sub(targets::BASE).and_then(|at| bytes.get(at..)).unwrap_or_default();
            Ok(into.iter_mut().zip(there).map(|(place, byte)| *place = *byte).count())
        };
        let stack = Stack::read(&memory, targets::BASE).ok()?;
        stack.entries(&memory, |text| text.starts_with(b"PASSWORD=").then_some(())).ok()
    };
    assert_eq!(corpus.iter().filter_map(entries).filter(|entries| entries.len() == 1).count(), 2);
}

#[test]
fn no_program_file_breaks_a_promise_and_some_are_known() {
    let corpus = corpus("program_file");
    for bytes in &corpus {
        (0..=bytes.len()).for_each(|len| targets::program_file(&bytes[..len]));
    }
    let read = |bytes: &Vec<u8>| {
        let file = |at: u64, into: &mut [u8]| {
            let there = usize::try_from(at).ok().and_then(|at| bytes.get(at..)?.get(..into.len()));
            there.map(|there| into.copy_from_slice(there)).is_some()
        };
        reads(b"app", &file)
    };
    for (expected, count) in [(Reads::Live, 1), (Reads::Once, 2)] {
        assert_eq!(corpus.iter().filter(|bytes| read(bytes) == expected).count(), count, "{expected:?}");
    }
}
