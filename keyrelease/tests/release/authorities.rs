//! TPM quotes whose keys somebody vouches for: an authority that the mount was told of, or an operator who enrolled them.

use attest::crypto::AwsLcRs;
use attest::{Platform, Transcript};
use protocol::release::{Base64, open_context};
use serde_json::json;
use simulator::tpm::{AttestationKey, Provider, Statement};

use crate::governance::{adopt, pem, refused, ruled, try_propose};
use crate::machine::{Key, challenge};
use crate::server::{Answer, Server, now};

/// A machine that is known by its TPM alone.
struct Quoting {
    key: AttestationKey,
    brings: Option<Provider>,
}

impl Quoting {
    /// Asks for `tpm` with the evidence in the call.
    fn open(&self, server: &Server) -> Answer {
        let challenge = challenge(server, "attest-keys");
        let nonce = hex::decode(&challenge.nonce).unwrap().try_into().unwrap();
        let (context, key) = (open_context("attest-keys", "tpm"), Key::x25519());
        let transcript = Transcript { nonce: &nonce, context: &context, key: &key.offered };
        let data = transcript.caller_data(&AwsLcRs, Platform::Tpm2);
        let chain =
            |provider: &Provider| vec![provider.certificate(&self.key).der(), provider.intermediate().der()];
        let wire = |items: Vec<Vec<u8>>| items.into_iter().map(Base64).collect::<Vec<_>>();
        let body = json!({
            "challenge": challenge.challenge,
            "platform": Platform::Tpm2,
            "evidence": Base64(self.key.quote(&Statement::quote(&data))),
            "certificates": wire(self.brings.as_ref().map(chain).unwrap_or_default()),
            "revocation_lists": wire(self.brings.iter().map(|provider| provider.crl().der()).collect()),
            "kem": key.offered.kem.name(),
            "public_key": Base64(key.offered.public.clone()),
        });
        server.call("POST", "attest-keys/release/tpm/open", Some(&body), "")
    }
}

/// A server that two of three rule, with a key `tpm` for machines whose quote such a key signed.
fn server(origin: &str) -> Server {
    let server = ruled();
    adopt(&server, "policy", "tpm", &POLICY.replace("ORIGIN", origin));
    server.write("attest-keys/keys/tpm", &json!({ "policy": "tpm", "data": { "a": "b" } })).ok();
    server
}

#[test]
fn a_quote_is_believed_under_an_added_root_and_no_longer_once_that_is_taken_off() {
    let server = server("azure");
    let provider = Provider::azure().at(now().0);
    let machine = Quoting { key: AttestationKey::rsa(1), brings: Some(provider.clone()) };
    let unknown = "tpm.ak.chain";
    assert_eq!(machine.open(&server).failing(), [unknown]);
    adopt(&server, "roots", "", &pem(&provider.clone().impostor().root().der()));
    assert_eq!(machine.open(&server).failing(), [unknown], "another key under the same name");
    adopt(&server, "roots", "", &pem(&provider.root().der()));
    assert_eq!(machine.open(&server).status, 200);
    adopt(&server, "roots", "", "");
    assert_eq!(machine.open(&server).failing(), [unknown]);
}

#[test]
fn nobody_alone_enrols_a_key_where_several_rule_and_a_list_of_keys_is_approved() {
    let server = server("enrolled");
    let machine = Quoting { key: AttestationKey::ec(3), brings: None };
    let name = hex::encode(machine.key.name());
    let alone = server.write("attest-keys/collateral/attestation-key/mine", &json!({ "value": name }));
    refused(&alone, "this mount has approvers: propose the change");
    assert_eq!(machine.open(&server).failing(), ["tpm.ak.enrolled"]);
    adopt(
        &server,
        "attestation-keys",
        "rack-7",
        &format!("{name}\n{}\n", hex::encode(AttestationKey::ec(4).name())),
    );
    assert_eq!(machine.open(&server).status, 200);
    adopt(&server, "attestation-keys", "rack-7", &hex::encode(AttestationKey::ec(4).name()));
    assert_eq!(machine.open(&server).failing(), ["tpm.ak.enrolled"]);
    let wrong = [("zz", "attestation key"), ("00", "name"), (&name.repeat(2), "name")];
    for (content, words) in wrong {
        refused(&try_propose(&server, "attestation-keys", "x", content), words);
    }
    let many: Vec<String> = (0..513).map(|seed| hex::encode(AttestationKey::ec(seed).name())).collect();
    refused(
        &try_propose(&server, "attestation-keys", "x", &many.join("\n")),
        "at most 512 in a list, found 513",
    );
}

const POLICY: &str = r#"
name = "tpm"
version = 1
expires = "2048-01-01T00:00:00Z"
insecure-accept-simulated-roots = true

[freshness]
verdict_seconds = 300
collateral_days = 400

[tpm]
ak = { any_of = ["ORIGIN"] }
ak_revocation_list = "any"
attestation_keys = "any"
signature_hash = { any_of = ["sha256"] }
banks = { any_of = ["sha256"] }
required = [0, 4, 7]
pcrs = "any"
clock_safe = "set"
firmware_version = "any"
"#;
