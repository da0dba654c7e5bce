//! Our own programs, which cargo has built or builds now.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// A program of another package. A run of the whole workspace has built it; else it is built once, with the
/// workspace's choice of features, so that what is built already is used.
pub(crate) fn program(name: &str) -> PathBuf {
    static BUILDING: Mutex<()> = Mutex::new(());
    // Tests are in `deps`, beside the programs.
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().and_then(Path::parent).unwrap().join(name);
    let _alone = BUILDING.lock().unwrap();
    if !program.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--workspace", "--bin", name]);
        assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success(), "{name}");
    }
    program
}

/// Says why a test is not run; where the feature is required, that is a failure.
pub(crate) fn skip(feature: &str, why: &str) {
    let required = std::env::var("REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|required| required == feature), "{why}");
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    eprintln!("SKIP {name}: {why}");
}
