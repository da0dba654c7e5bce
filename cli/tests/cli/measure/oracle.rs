//! Programs and files of others: where they are, or a skip that says that they are not.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A program by its name: where the variable says, on the path, or in one of these places.
pub(crate) fn program(test: &str, name: &str, places: &[&str]) -> Option<PathBuf> {
    let named = variable(&format!("CLOUDTASER_{}", name.to_uppercase().replace('-', "_"))).map(PathBuf::from);
    let path = variable("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|place| place.join(name));
    let places = places.iter().map(PathBuf::from);
    let found = named.into_iter().chain(on_path).chain(places).find(|candidate| candidate.is_file());
    found.or_else(|| skip(test, name, &format!("no program {name}")))
}

/// A file that a package brings.
pub(crate) fn installed(test: &str, feature: &str, path: &str) -> Option<PathBuf> {
    let path = PathBuf::from(path);
    if path.is_file() { Some(path) } else { skip(test, feature, &format!("no file {}", path.display())) }
}

/// What a program prints, if it succeeds.
#[track_caller]
pub(crate) fn output(program: &Path, words: &[&str]) -> String {
    let output = Command::new(program).args(words).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} {words:?}: {complaint}", program.display());
    String::from_utf8(output.stdout).unwrap()
}

/// Says that a test is skipped, unless it may not be.
#[expect(clippy::print_stdout, reason = "a skip is counted where it is printed")]
pub(crate) fn skip<T>(test: &str, feature: &str, reason: &str) -> Option<T> {
    let required = variable("REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|word| word.trim() == feature), "{feature} is required: {reason}");
    println!("SKIP {test}: {reason}");
    None
}

#[expect(clippy::disallowed_methods, reason = "a test has no config.rs")]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
