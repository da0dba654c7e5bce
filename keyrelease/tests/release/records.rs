//! What an auditor reads of decisions that rest on no evidence of their own.

use attest::crypto::AwsLcRs;
use attest::log::{Kind, NoteKey};
use attest::{BadBundle, Bundle, Crypto, Digest, File, VerifierKey};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minicbor::Decoder;
use serde_json::json;

use crate::machine::{Machine, sealed};
use crate::server::Server;
use crate::token::{release, token, trusting};

fn file(server: &Server, decision: &str) -> (Vec<u8>, String) {
    let answer = server.read(&format!("attest-keys/record/{decision}")).ok();
    let text = |name: &str| answer.json["data"][name].as_str().unwrap().to_owned();
    (STANDARD.decode(text("bundle")).unwrap(), text("verifier_key_id"))
}

/// The payload of a `COSE_Sign1`, once its signature was checked by a library that is not ours.
fn payload(signed: &[u8], key: &VerifierKey) -> Vec<u8> {
    let mut decoder = Decoder::new(signed);
    assert_eq!(decoder.array().unwrap(), Some(4));
    let protected = decoder.bytes().unwrap().to_vec();
    assert_eq!(decoder.map().unwrap(), Some(0));
    let payload = decoder.bytes().unwrap().to_vec();
    let signature = decoder.bytes().unwrap();
    // RFC 9052, 4.4: Sig_structure.
    let mut structure = minicbor::Encoder::new(Vec::new());
    structure.array(4).unwrap().str("Signature1").unwrap();
    structure.bytes(&protected).unwrap().bytes(&[]).unwrap().bytes(&payload).unwrap();
    UnparsedPublicKey::new(&ED25519, key.0).verify(&structure.into_writer(), signature).unwrap();
    payload
}

#[test]
fn the_record_of_a_release_by_token_is_signed_names_login_and_key_and_has_its_place_in_the_log() {
    let server = trusting();
    let machine = Machine::good();
    let login = machine.login(&server);
    let decision = sealed(&release(&server, &token(&login), &machine.key)).decision;
    let (bytes, signer) = file(&server, &decision);
    let key = server.verifier_key("attest-keys");
    assert_eq!(signer, AwsLcRs.sha256(&[&key.0]).to_string());
    let file = File::parse(&bytes).unwrap();
    assert_eq!(file.objects.len(), 0, "the evidence is in the login's record");
    let said = payload(&file.record, &key);
    let mut decoder = Decoder::new(&said);
    assert_eq!(decoder.array().unwrap(), Some(6));
    assert_eq!(decoder.str().unwrap(), "cloudtaser/token-release/v1");
    assert_eq!(decoder.str().unwrap(), login.json["auth"]["metadata"]["decision"]);
    assert_eq!(decoder.str().unwrap(), login.json["auth"]["entity_id"]);
    let thumbprint: Digest<32> = decoder.decode().unwrap();
    assert_eq!(thumbprint, machine.key.offered.thumbprint(&AwsLcRs));
    assert!(decoder.str().unwrap().starts_with("release of "));
    let log = server.read("attest-keys/log/key").ok().json["data"]["verifier_key"].clone();
    let log = NoteKey::parse(&AwsLcRs, log.as_str().unwrap()).unwrap();
    let entry = file.position.as_ref().unwrap().holds(&AwsLcRs, &file.record, &log).unwrap();
    assert_eq!((entry.event.kind, entry.event.decision.0.to_string()), (Kind::TokenRelease, decision));
    // It holds no verdict, and nobody takes it for one.
    let opened = Bundle::open(&bytes, &[key], &AwsLcRs);
    assert!(matches!(opened, Err(BadBundle::NoDecision("a release by token"))), "{opened:?}");
}

#[test]
fn the_record_of_a_revocation_is_signed_and_says_whom_and_why() {
    let server = Server::start();
    let body = json!({ "selector": "product-line=Turin", "reason": "ticket 7" });
    let answer = server.write("attest-keys/revoke", &body).ok();
    let (bytes, _) = file(&server, answer.json["data"]["decision"].as_str().unwrap());
    let said = payload(&File::parse(&bytes).unwrap().record, &server.verifier_key("attest-keys"));
    let mut decoder = Decoder::new(&said);
    assert_eq!(decoder.array().unwrap(), Some(5));
    assert_eq!(decoder.str().unwrap(), "cloudtaser/statement/v1");
    assert_eq!(decoder.decode::<Kind>().unwrap(), Kind::Revocation);
    decoder.skip().unwrap();
    assert_eq!(decoder.str().unwrap(), "revocation of product-line=Turin: ticket 7");
}
