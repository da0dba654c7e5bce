//! Running the command, and what it told.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use serde_json::Value;

/// What came out.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `cloudtaser source doctor` in this environment and no other.
pub(crate) fn doctor(environment: &[(&str, &str)], words: &[&str]) -> Told {
    let output = Command::new(env!("CARGO_BIN_EXE_cloudtaser"))
        .args(["source", "doctor"])
        .args(words)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = Told {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(!told.err.contains("panicked"), "{words:?}: {}", told.err);
    told
}

impl Told {
    /// Fails unless the command ended with this code.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }

    /// The ids of the checks with this verdict, each with what was found.
    pub(crate) fn with(&self, verdict: &str) -> BTreeMap<String, String> {
        let checks = self.json()["checks"].as_array().unwrap().clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let chosen = checks.iter().filter(|check| check["verdict"] == verdict);
        chosen.map(|check| (text(&check["id"]), text(&check["found"]))).collect()
    }

    pub(crate) fn ids(&self, verdict: &str) -> Vec<String> {
        self.with(verdict).into_keys().collect()
    }
}
