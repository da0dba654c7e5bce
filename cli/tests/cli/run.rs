//! Running the command.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What came out.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the command with these words.
pub(crate) fn cloudtaser(words: &[&str]) -> Ran {
    cloudtaser_with(words, &[])
}

/// Runs the command with these words and this standard input.
pub(crate) fn cloudtaser_with(words: &[&str], input: &[u8]) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_cloudtaser"))
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses early does not read to the end.
    child.stdin.take().unwrap().write_all(input).unwrap_or_default();
    let output = child.wait_with_output().unwrap();
    let ran = Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(!ran.err.contains("panicked"), "{words:?}: {}", ran.err);
    ran
}

impl Ran {
    /// Fails unless the command ended with this code.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self
    }

    /// The document on standard output.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }

    /// The ids of the checks that failed, of a document.
    pub(crate) fn failing(&self) -> Vec<String> {
        failing(&self.json()["checks"])
    }

    pub(crate) fn lines(&self) -> Vec<&str> {
        self.out.lines().collect()
    }
}

/// The ids of the failed ones among these checks.
pub(crate) fn failing(checks: &Value) -> Vec<String> {
    let checks = checks.as_array().unwrap().iter();
    let failed = checks.filter(|check| check["verdict"] == "fail");
    failed.map(|check| check["id"].as_str().unwrap().to_owned()).collect()
}
