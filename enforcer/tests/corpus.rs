//! The committed corpora of the fuzz targets, and every truncation of them, through the targets themselves.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test that cannot go on fails there"
)]
#![expect(unreachable_pub, reason = "the fuzz crate exports the same file")]

#[path = "../fuzz/src/targets.rs"]
mod targets;

use std::fs::{self, File};
use std::path::Path;

use ed25519_dalek::SigningKey;
use enforcer::btf::Btf;
use enforcer::elf::{self, Kind};
use enforcer::guards::trusted;
use enforcer::succession::glass::{self, Statement};
use enforcer::succession::list::{self, List};
use enforcer::succession::signed;

/// Runs a target over its corpus; how many of the inputs `accepted` takes.
fn replay(target: &str, run: fn(&[u8]), accepted: impl Fn(&Path, &[u8]) -> bool) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        (0..=bytes.len()).for_each(|length| run(bytes.get(..length).unwrap()));
        count += usize::from(accepted(&path, &bytes));
    }
    count
}

fn key() -> [u8; 32] {
    SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes()
}

#[test]
fn no_type_information_breaks_a_promise_and_some_tells_offsets() {
    let found = replay("btf", targets::btf, |_, bytes| {
        Btf::parse(bytes).is_ok_and(|types| types.offset("outer", &["b"]).is_ok())
    });
    assert_eq!(found, 3, "otherwise the target would have nothing to hold");
}

#[test]
fn no_file_breaks_a_promise_and_there_are_some_of_each_kind() {
    let kinds = [Kind::Whole, Kind::Loads, Kind::Script, Kind::Other].map(|kind| {
        replay("elf", targets::elf, |path, _| elf::kind(&File::open(path).unwrap()).unwrap() == kind)
    });
    assert_eq!(kinds, [2, 2, 1, 8], "otherwise the target would have nothing to hold");
}

#[test]
fn no_list_of_successors_breaks_a_promise_and_some_are_signed() {
    let signed = replay("successors", targets::successors, |_, bytes| {
        let text = str::from_utf8(bytes).unwrap();
        signed::open::<List>(text, 64 * 1024, list::DOMAIN, &key()).is_ok()
    });
    assert_eq!(signed, 2, "otherwise the target would have nothing to hold");
}

#[test]
fn no_statement_breaks_a_promise_and_some_are_signed() {
    let signed = replay("statement", targets::statement, |_, bytes| {
        let text = str::from_utf8(bytes).unwrap();
        signed::open::<Statement>(text, 4096, glass::DOMAIN, &key()).is_ok()
    });
    assert_eq!(signed, 2, "otherwise the target would have nothing to hold");
}

#[test]
fn no_list_of_trusted_programs_breaks_a_promise_and_some_have_entries() {
    let lists = replay("trusted_list", targets::trusted_list, |path, bytes| {
        trusted::List::of(path, Ok(bytes)).is_ok_and(|list| !list.trusted.is_empty())
    });
    assert_eq!(lists, 4, "otherwise the target would have nothing to hold");
}

#[test]
fn nothing_remembered_of_a_trial_breaks_a_promise() {
    let of_this_policy = replay("trial", targets::trial, |_, bytes| bytes.get(8..40) == Some(&[7; 32]));
    assert_eq!(of_this_policy, 4, "otherwise the target would have nothing to hold");
}
