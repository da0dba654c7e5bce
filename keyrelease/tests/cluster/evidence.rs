//! What an auditor reads, on whichever node.

use std::collections::BTreeSet;

use attest::Bundle;
use attest::crypto::AwsLcRs;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::server::Server;

/// The record of a decision, opened under the mount's key.
pub(crate) fn record(server: &Server, mount: &str, decision: &str) -> Bundle {
    let answer = server.read(&format!("{mount}/record/{decision}")).ok();
    let file = STANDARD.decode(answer.json["data"]["bundle"].as_str().unwrap()).unwrap();
    Bundle::open(&file, &[server.verifier_key(mount)], &AwsLcRs).unwrap()
}

/// All decisions that a node has on record.
pub(crate) fn decisions(server: &Server, mount: &str) -> BTreeSet<String> {
    let answer = server.list(&format!("{mount}/record/")).ok();
    let keys = answer.json["data"]["keys"].as_array().unwrap().clone();
    keys.iter().map(|key| key.as_str().unwrap().to_owned()).collect()
}
