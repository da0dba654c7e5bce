//! The formulas once more, in Python and with Python's hashes: nothing of it is shared with what is tested.

use std::path::PathBuf;

use super::oracle;

/// Python, if it is there.
pub(crate) fn python(test: &str) -> Option<PathBuf> {
    oracle::program(test, "python3", &[])
}

/// The lines that the script prints for these words.
#[track_caller]
pub(crate) fn compute(python: &std::path::Path, words: &[&str]) -> Vec<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/measure/formula.py");
    let printed = oracle::output(python, &[&[script], words].concat());
    printed.lines().map(str::to_owned).collect()
}
