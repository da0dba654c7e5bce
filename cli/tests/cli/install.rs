//! Programs in folders of tests. Another process writes them: what a test has open for writing is open in whatever its
//! neighbours fork at that moment, and a file that is open for writing is not executed (`ETXTBSY`).

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// The program under test, at another place.
pub(crate) fn cloudtaser(at: &Path) {
    let told = Command::new("install").arg(env!("CARGO_BIN_EXE_cloudtaser")).arg(at).status();
    assert!(told.unwrap().success());
}

/// A script.
pub(crate) fn script(at: &Path, text: &str) {
    let mut install =
        Command::new("install").arg("/dev/stdin").arg(at).stdin(Stdio::piped()).spawn().unwrap();
    install.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(install.wait().unwrap().success());
}
