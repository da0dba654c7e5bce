//! Signed policies in a real OpenBao: two people, and no way back.

use attest::crypto::AwsLcRs;
use attest::policy::{PolicySigner, SignedPolicy};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use protocol::release::Base64;
use serde_json::{Value, json};

use crate::machine::Machine;
use crate::server::{Answer, Server, policy};

struct Author(Ed25519KeyPair);

impl Author {
    fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    fn key(&self) -> PolicySigner {
        PolicySigner(self.0.public_key().as_ref().try_into().unwrap())
    }

    fn hex(&self) -> String {
        hex::encode(self.key().0)
    }

    /// The body of a write.
    fn sign(&self, text: &str) -> Value {
        let signature = self.0.sign(&SignedPolicy::to_be_signed(text, &self.key(), &AwsLcRs));
        let file = SignedPolicy::signed(text, &self.key(), &AwsLcRs, signature.as_ref().to_vec()).unwrap();
        json!({ "signed": Base64(file) })
    }
}

fn name_signers(server: &Server, keys: &[String]) {
    server.write("attest-keys/config/policy-signers", &json!({ "policy_signers": keys })).ok();
}

fn store(server: &Server, body: &Value) -> Answer {
    server.write("attest-keys/policy/simulated", body)
}

#[track_caller]
fn refused(answer: &Answer, words: &str) {
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.errors().contains(words), "{}", answer.errors());
}

#[test]
fn a_mount_with_signers_takes_and_believes_only_what_they_signed() {
    let (server, author, stranger) = (Server::start(), Author::new(1), Author::new(2));
    refused(&store(&server, &author.sign(&policy(2))), "names no signers");
    name_signers(&server, &[author.hex()]);
    let shown = server.read("attest-keys/config/policy-signers").ok();
    assert_eq!(shown.json["data"]["policy_signers"], json!([author.hex()]));
    // What was stored unsigned is not believed any more.
    let answer = Machine::good().open(&server);
    assert_eq!(answer.status, 500, "{answer:?}");
    refused(&store(&server, &json!({ "policy": policy(2) })), "policy is not signed");
    refused(&store(&server, &stranger.sign(&policy(2))), "not pinned");
    refused(&store(&server, &json!({ "signed": "AAAA" })), "not a signed policy");
    refused(&store(&server, &json!({ "signed": Base64(policy(2).into_bytes()) })), "not a signed policy");
    refused(&store(&server, &json!({})), "either policy");
    store(&server, &author.sign(&policy(2))).ok();
    assert_eq!(Machine::good().open(&server).status, 200);
    let shown = server.read("attest-keys/policy/simulated").ok();
    assert_eq!(shown.json["data"]["signer"], author.key().id(&AwsLcRs).to_string());
    assert_eq!(shown.json["data"]["policy"], policy(2));
}

#[test]
fn a_signed_policy_is_stored_under_its_own_name_in_its_time_and_above_every_other() {
    let (server, author) = (Server::start(), Author::new(1));
    name_signers(&server, &[author.hex()]);
    store(&server, &author.sign(&policy(3))).ok();
    let changed = format!("{}# changed\n", policy(3));
    for text in [policy(1), policy(2), changed] {
        refused(&store(&server, &author.sign(&text)), "expected above 3");
    }
    let other = policy(4).replace("name = \"simulated\"", "name = \"lenient\"");
    refused(&store(&server, &author.sign(&other)), "expected \"simulated\", found \"lenient\"");
    let ended = policy(4).replace("2048-01-01", "2026-01-01");
    refused(&store(&server, &author.sign(&ended)), "expired");
    assert_eq!(server.read("attest-keys/policy/simulated").json["data"]["version"], 3);
}

#[test]
fn a_signer_that_is_taken_off_takes_its_policies_along() {
    let (server, author, other) = (Server::start(), Author::new(1), Author::new(2));
    name_signers(&server, &[author.hex(), other.hex()]);
    store(&server, &author.sign(&policy(2))).ok();
    assert_eq!(Machine::good().open(&server).status, 200);
    name_signers(&server, &[other.hex()]);
    assert_eq!(Machine::good().open(&server).status, 500);
    refused(&store(&server, &author.sign(&policy(3))), "not pinned");
    store(&server, &other.sign(&policy(3))).ok();
    assert_eq!(Machine::good().open(&server).status, 200);
}

#[test]
fn naming_signers_asks_for_more_than_storing_policies_does() {
    let server = Server::start();
    let acl = r#"path "attest-keys/*" { capabilities = ["create", "read", "update", "delete", "list"] }"#;
    server.write("sys/policies/acl/storer", &json!({ "policy": acl })).ok();
    let token = server.write("auth/token/create", &json!({ "policies": ["storer"] })).ok();
    let token = token.json["auth"]["client_token"].as_str().unwrap().to_owned();
    let keys = json!({ "policy_signers": [Author::new(1).hex()] });
    let answer = server.call("POST", "attest-keys/config/policy-signers", Some(&keys), &token);
    assert_eq!(answer.status, 403, "{answer:?}");
    let body = json!({ "policy": policy(2) });
    server.call("POST", "attest-keys/policy/simulated", Some(&body), &token).ok();
    for odd in [json!({ "policy_signers": ["00"] }), json!({ "policy_signers": "x" }), json!({ "keys": [] })]
    {
        assert_eq!(server.write("attest-keys/config/policy-signers", &odd).status, 400);
    }
}

/// A module in a policy refuses in the server as it does anywhere.
#[test]
fn a_rego_module_refuses_a_release_by_its_message() {
    let server = Server::start();
    let module = "package cloudtaser\ndeny contains \"not on Saturdays\" if input.claims.vmpl == 0";
    let text = format!("{}\n[rego]\nmodule = '''{module}'''\n", policy(2));
    store(&server, &json!({ "policy": text })).ok();
    let answer = Machine::good().open(&server);
    assert_eq!(answer.failing(), ["policy.rego"]);
    assert_eq!(answer.json["data"]["failing"][0]["found"], "not on Saturdays");
    let broken = format!("{}\n[rego]\nmodule = 'package other'\n", policy(3));
    refused(&store(&server, &json!({ "policy": broken })), "rego module");
}
