//! What `cloudtaser attest verify` says.

use std::fs;
use std::process::Command;

use attest::parcel::{Parcel, Part, assemble};
use serde_json::Value;

use crate::boots::Boots;
use crate::policy;
use crate::programs::program;

/// The verdict on evidence, by the policy of the machine's owner: its word, and the checks that fail.
pub(crate) fn judge(boots: &Boots, name: &str, evidence_bytes: &[u8]) -> (String, Vec<String>) {
    let folder = boots.folder.join("judged").join(name);
    fs::create_dir_all(&folder).unwrap();
    let (evidence, policy) = (folder.join("evidence"), folder.join("policy.toml"));
    fs::write(&evidence, evidence_bytes).unwrap();
    // The evidence was taken before the machine joined.
    fs::write(&policy, boots.policy.replace(policy::JOINED, policy::NOT_JOINED)).unwrap();
    let mut command = Command::new(program("cloudtaser"));
    command.args(["attest", "verify", "-o", "json", "--enrolled-ak", &boots.key]);
    let output = command.arg(evidence).arg("--policy").arg(policy).output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    fs::write(folder.join("answer.json"), output.stdout).unwrap();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let checks = answer["checks"].as_array().cloned().unwrap_or_default();
    let failing = checks.iter().filter(|check| check["verdict"] == "fail");
    let failing = failing.map(|check| word(&check["id"]));
    (word(&answer["verdict"]), failing.collect())
}

/// The same evidence with another log.
pub(crate) fn with_log(evidence: &[u8], log: &[u8]) -> Vec<u8> {
    let quote = Parcel::parse(evidence).unwrap().part(Part::TpmQuote).unwrap().to_vec();
    assemble(&[(Part::TpmQuote, &quote), (Part::EventLog, log)])
}

/// The log in the evidence.
pub(crate) fn log(evidence: &[u8]) -> &[u8] {
    Parcel::parse(evidence).unwrap().part(Part::EventLog).unwrap()
}
