//! Enclaves that were written for AWS KMS: an RSA key in the document, a CMS message back, opened by programs that have
//! never heard of us.

use std::process::Command;
use std::sync::Mutex;

use attest::crypto::AwsLcRs;
use attest::{Crypto, Kem, OfferedKey, Platform, TrustAnchors};
use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use protocol::release::{Base64, Presentation, login_context, open_context};
use protocol::released::Enveloped;
use serde_json::{Value, json};
use simulator::nitro::{Attached, Module};
use tempfile::TempDir;

use crate::admission::record;
use crate::machine::{Machine, challenge};
use crate::platforms::{enclave, instance, policy, roots};
use crate::server::{Answer, SECRET, Server, shared};
use crate::token::{token, trusting};

/// An enclave, or an instance, with an RSA key; a test spoils one thing.
struct Peer {
    module: Module,
    platform: Platform,
    /// What it offers.
    offered: OfferedKey,
    /// What its module puts into the document.
    in_document: Attached,
}

impl Peer {
    fn enclave(public: &[u8]) -> Self {
        Self::of(enclave(), Platform::Nitro, public)
    }

    fn of(module: Module, platform: Platform, public: &[u8]) -> Self {
        let in_document = Attached::Bytes(public.to_vec());
        Self { module, platform, offered: rsa(public), in_document }
    }

    fn answer(&self, server: &Server, mount: &str, context: &str) -> Presentation {
        let challenge = challenge(server, mount);
        let nonce: [u8; 32] = hex::decode(&challenge.nonce).unwrap().try_into().unwrap();
        let data = user_data(&nonce, context, &self.offered.public);
        let document = self.module.document().nonce(&nonce).user_data(&data);
        Presentation {
            challenge: challenge.challenge,
            platform: self.platform,
            evidence: Base64(document.attach_public_key(self.in_document.clone()).sign()),
            certificates: Vec::new(),
            revocation_lists: Vec::new(),
            documents: Vec::new(),
            collateral: Vec::new(),
            kem: self.offered.kem.name().to_owned(),
            public_key: Base64(self.offered.public.clone()),
            workload_digest: None,
            pod: None,
            workload_token: None,
            protection: None,
            protection_digest: None,
        }
    }

    fn open(&self, server: &Server) -> Answer {
        let name = secret(server, self.platform);
        send(server, &name, &self.answer(server, "attest-keys", &open_context("attest-keys", &name)))
    }

    fn login(&self, server: &Server) -> Answer {
        let answer = self.answer(server, "auth/attest", &login_context("auth/attest", "enclave"));
        let mut body = serde_json::to_value(answer).unwrap();
        body["role"] = json!("enclave");
        server.call("POST", "auth/attest/login", Some(&body), "")
    }
}

/// What the module is to sign, by docs/nitro.md and nothing else.
fn user_data(nonce: &[u8], purpose: &str, public: &[u8]) -> [u8; 64] {
    let fields = [nonce, purpose.as_bytes(), &[0xff, 0x01], public];
    let fields = fields.map(|field| [&u64::try_from(field.len()).unwrap().to_be_bytes(), field].concat());
    AwsLcRs.sha512(&[b"cloudtaser/attest/v1", fields.concat().as_slice()]).0
}

fn rsa(public: &[u8]) -> OfferedKey {
    OfferedKey { kem: Kem::RsaOaepSha256, public: public.to_vec() }
}

fn send(server: &Server, name: &str, presentation: &Presentation) -> Answer {
    let body = serde_json::to_value(presentation).unwrap();
    server.call("POST", &format!("attest-keys/release/{name}/open"), Some(&body), "")
}

/// Stores a policy that allows keys in documents, and a secret with one field; its name.
fn secret(server: &Server, platform: Platform) -> String {
    static ONE_WRITER: Mutex<()> = Mutex::new(());
    let _writer = ONE_WRITER.lock();
    let name = format!("kms-{platform}");
    if server.read(&format!("attest-keys/keys/{name}")).status != 200 {
        server.write(&format!("attest-keys/policy/{name}"), &json!({ "policy": with_keys(platform) })).ok();
        let body = json!({ "policy": name, "data": { "password": SECRET } });
        server.write(&format!("attest-keys/keys/{name}"), &body).ok();
    }
    name
}

fn with_keys(platform: Platform) -> String {
    let named = |prefix: &str| format!("name = \"{prefix}{platform}\"");
    policy(platform)
        .replace(&named(""), &named("kms-"))
        .replace(r#"public_key = "absent""#, r#"public_key = "any""#)
}

fn private(size: KeySize) -> (PrivateDecryptingKey, Vec<u8>) {
    let private = PrivateDecryptingKey::generate(size).unwrap();
    let public: PublicKeyX509Der<'_> = private.public_key().as_der().unwrap();
    let public = public.as_ref().to_vec();
    (private, public)
}

#[track_caller]
fn enveloped(answer: &Answer) -> Enveloped {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json["data"].get("ciphertext").is_none(), "one form");
    serde_json::from_value(answer.json["data"].clone()).unwrap()
}

/// What `openssl cms -decrypt` makes of a message. With a wrong key it draws one, so that nobody learns which part was
/// wrong: it then fails, or writes noise.
fn openssl(private: &PrivateDecryptingKey, message: &[u8]) -> Option<Vec<u8>> {
    let dir = TempDir::new().unwrap();
    let pkcs8: Pkcs8V1Der<'_> = private.as_der().unwrap();
    let [key, sealed] = ["key.der", "message.der"].map(|name| dir.path().join(name));
    std::fs::write(&key, pkcs8.as_ref()).unwrap();
    std::fs::write(&sealed, message).unwrap();
    let mut openssl = Command::new("openssl");
    openssl.args(["cms", "-decrypt", "-inform", "DER", "-binary", "-keyform", "DER", "-in"]);
    let output = openssl.arg(sealed).arg("-inkey").arg(key).output().unwrap();
    output.status.success().then_some(output.stdout)
}

/// Reads as the C SDK for enclaves does: it steps over headers of indefinite length, and wants each where it is.
struct Walk<'m>(&'m [u8]);

impl<'m> Walk<'m> {
    fn indefinite(&mut self, tag: u8) {
        self.0 = self.0.strip_prefix(&[tag, 0x80]).unwrap();
    }

    fn value(&mut self, tag: u8) -> &'m [u8] {
        assert_eq!(self.0[0], tag, "{}", hex::encode(self.0));
        let (head, length) = match self.0[1] {
            0x82 => (4, usize::from(u16::from_be_bytes([self.0[2], self.0[3]]))),
            0x81 => (3, usize::from(self.0[2])),
            short => (2, usize::from(short)),
        };
        assert_ne!(self.0[1], 0x80, "a definite length");
        let (value, rest) = self.0[head..].split_at(length);
        self.0 = rest;
        value
    }
}

fn as_the_sdk_does(private: &PrivateDecryptingKey, message: &[u8]) -> Vec<u8> {
    let mut walk = Walk(message);
    walk.indefinite(0x30);
    assert_eq!(hex::encode(walk.value(0x06)), "2a864886f70d010703", "enveloped data");
    walk.indefinite(0xa0);
    walk.indefinite(0x30);
    assert_eq!(walk.value(0x02), [2]);
    let mut recipients = Walk(walk.value(0x31));
    let mut recipient = Walk(recipients.value(0x30));
    assert!(recipients.0.is_empty(), "one recipient");
    assert_eq!(recipient.value(0x02), [2]);
    assert_eq!(recipient.value(0x80).len(), 32);
    recipient.value(0x30);
    let wrapped = recipient.value(0x04);
    walk.indefinite(0x30);
    assert_eq!(hex::encode(walk.value(0x06)), "2a864886f70d010701", "data");
    let mut cipher = Walk(walk.value(0x30));
    assert_eq!(hex::encode(cipher.value(0x06)), "60864801650304012a", "AES-256-CBC");
    let iv: [u8; 16] = cipher.value(0x04).try_into().unwrap();
    walk.indefinite(0xa0);
    let mut content = walk.value(0x04).to_vec();
    assert_eq!(walk.0, [0; 10], "what is open is closed");
    let private = OaepPrivateDecryptingKey::new(private.clone()).unwrap();
    let mut key = vec![0; private.min_output_size()];
    let key = private.decrypt(&OAEP_SHA256_MGF1SHA256, wrapped, &mut key, None).unwrap();
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, key).unwrap()).unwrap();
    let iv = DecryptionContext::Iv128(FixedLength::from(iv));
    key.decrypt(&mut content, iv).unwrap().to_vec()
}

#[test]
fn openssl_and_a_reader_like_the_sdks_open_what_is_released_to_an_rsa_key() {
    for (size, module, platform) in [
        (KeySize::Rsa2048, enclave(), Platform::Nitro),
        (KeySize::Rsa3072, enclave(), Platform::Nitro),
        (KeySize::Rsa4096, instance(), Platform::NitroTpm),
    ] {
        let (private, public) = private(size);
        let answer = Peer::of(module, platform, &public).open(shared());
        let enveloped = enveloped(&answer);
        let message = &enveloped.ciphertext_for_recipient.0;
        assert_eq!(openssl(&private, message).as_deref(), Some(SECRET.as_bytes()));
        assert_eq!(as_the_sdk_does(&private, message), SECRET.as_bytes());
        assert!((1..=300).contains(&enveloped.lease_seconds), "{}", enveloped.lease_seconds);
        let bundle = record(shared(), "attest-keys", "record", &enveloped.decision);
        assert_eq!(bundle.offered, rsa(&public));
        let anchors = TrustAnchors::insecure_simulated(&roots()).unwrap();
        assert!(bundle.replay(&AwsLcRs, &anchors).unwrap().identical);
    }
}

#[test]
fn openssl_opens_the_longest_and_the_shortest_value() {
    let (private, public) = private(KeySize::Rsa2048);
    secret(shared(), Platform::Nitro);
    for value in [String::new(), "x".repeat(15), "x".repeat(16), "long ".repeat(100_000)] {
        let body = json!({ "policy": "kms-nitro", "data": { "value": value } });
        shared().write("attest-keys/keys/kms-length", &body).ok();
        let context = open_context("attest-keys", "kms-length");
        let answer = Peer::enclave(&public).answer(shared(), "attest-keys", &context);
        let message = enveloped(&send(shared(), "kms-length", &answer)).ciphertext_for_recipient.0;
        assert!(openssl(&private, &message).as_deref() == Some(value.as_bytes()), "{} bytes", value.len());
    }
}

#[test]
fn another_key_opens_nothing() {
    let (_, public) = private(KeySize::Rsa2048);
    let (thief, _) = private(KeySize::Rsa2048);
    let message = enveloped(&Peer::enclave(&public).open(shared())).ciphertext_for_recipient.0;
    assert_ne!(openssl(&thief, &message).as_deref(), Some(SECRET.as_bytes()));
}

#[test]
fn a_key_that_is_not_the_documents_is_refused() {
    let (_, mine) = private(KeySize::Rsa2048);
    let (_, parents) = private(KeySize::Rsa2048);
    let bound_elsewhere = ["key.rsa.document", "challenge.bound"];
    for in_document in [Attached::Absent, Attached::Null, Attached::Bytes(parents.clone())] {
        let peer = Peer { in_document, ..Peer::enclave(&mine) };
        assert_eq!(peer.open(shared()).failing(), bound_elsewhere);
    }
    let name = secret(shared(), Platform::Nitro);
    let context = open_context("attest-keys", &name);
    let mut swapped = Peer::enclave(&mine).answer(shared(), "attest-keys", &context);
    swapped.public_key = Base64(parents);
    assert_eq!(send(shared(), &name, &swapped).failing(), bound_elsewhere);
}

#[test]
fn a_document_that_was_made_for_another_secret_is_refused() {
    let (_, public) = private(KeySize::Rsa2048);
    let name = secret(shared(), Platform::Nitro);
    let other = Peer::enclave(&public).answer(shared(), "attest-keys", &open_context("attest-keys", "db"));
    assert_eq!(send(shared(), &name, &other).failing(), ["challenge.bound"]);
}

#[test]
fn keys_that_are_none_or_poor_are_refused_by_name() {
    let corpus = |name: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../attest/fuzz/corpus/rsa_key/");
        std::fs::read(format!("{folder}{name}.der")).unwrap()
    };
    let ending = |end: &[u8]| [&corpus("2048")[..294 - end.len()], end].concat();
    for (public, id) in [
        (corpus("1024"), "key.rsa.modulus"),
        (key(1024, &[1, 0, 1]), "nitro.document.public_key"),
        (corpus("exponent-3"), "key.rsa.exponent"),
        (ending(&[1, 0, 0]), "key.rsa.exponent"),
        (key(256, &[1]), "key.rsa.exponent"),
        (corpus("trailing"), "key.rsa.encoding"),
        (corpus("p256"), "key.rsa.encoding"),
        (b"key".to_vec(), "key.rsa.encoding"),
    ] {
        assert_eq!(Peer::enclave(&public).open(shared()).failing(), [id], "{}", hex::encode(public));
    }
    for (public, found) in [(vec![], 0), (vec![0x30; 2049], 2049)] {
        let answer = Peer::enclave(&public).open(shared());
        assert_eq!(answer.status, 400, "{answer:?}");
        assert_eq!(answer.errors(), format!("public_key: expected 1 to 2048 bytes, found {found}"));
    }
}

/// A key with so many bytes of modulus, which is odd.
fn key(bytes: u16, exponent: &[u8]) -> Vec<u8> {
    let modulus = tlv(0x02, &[&[0, 0x80], vec![1; usize::from(bytes.saturating_sub(1))].as_slice()].concat());
    let numbers = tlv(0x30, &[modulus, tlv(0x02, exponent)].concat());
    let algorithm = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    tlv(0x30, &[algorithm.as_slice(), &tlv(0x03, &[&[0], numbers.as_slice()].concat())].concat())
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    let length = if content.len() < 0x80 { vec![low] } else { vec![0x82, high, low] };
    [&[tag], length.as_slice(), content].concat()
}

#[test]
fn a_machine_of_another_kind_offers_no_rsa_key() {
    let (_, public) = private(KeySize::Rsa2048);
    let mut machine = Machine::good();
    machine.key.offered = rsa(&public);
    assert_eq!(machine.open(shared()).failing(), ["key.rsa.platform", "challenge.bound"]);
}

#[test]
fn a_policy_without_keys_in_documents_and_a_secret_with_names_are_refused() {
    let (_, public) = private(KeySize::Rsa2048);
    let peer = Peer::enclave(&public);
    shared().write("attest-keys/policy/kms-keyless", &json!({ "policy": policy(Platform::Nitro) })).ok();
    let one = json!({ "policy": "kms-keyless", "data": { "password": SECRET } });
    shared().write("attest-keys/keys/kms-keyless", &one).ok();
    let answer = |name: &str| peer.answer(shared(), "attest-keys", &open_context("attest-keys", name));
    let refused = send(shared(), "kms-keyless", &answer("kms-keyless"));
    assert_eq!(refused.failing(), ["nitro.public_key"]);
    secret(shared(), Platform::Nitro);
    let two = json!({ "policy": "kms-nitro", "data": { "username": "app", "password": SECRET } });
    shared().write("attest-keys/keys/kms-two", &two).ok();
    let unfit = send(shared(), "kms-two", &answer("kms-two"));
    assert_eq!(unfit.status, 400, "{unfit:?}");
    assert_eq!(
        unfit.errors(),
        "kem: rsa-oaep-sha256 carries the value of a secret's only field, this one has 2 fields"
    );
}

#[test]
fn a_token_is_good_for_the_rsa_key_that_was_attested_at_login_and_for_no_other() {
    let server = trusting();
    let name = secret(&server, Platform::Nitro);
    server.write("auth/attest/policy/kms-nitro", &json!({ "policy": with_keys(Platform::Nitro) })).ok();
    let role = json!({ "policy": "kms-nitro", "token_policies": ["machine"], "token_ttl_seconds": 600 });
    server.write("auth/attest/role/enclave", &role).ok();
    let (private_key, public) = private(KeySize::Rsa2048);
    let token = token(&Peer::enclave(&public).login(&server));
    let release = |public: &[u8]| -> Answer {
        let body: Value = json!({ "kem": "rsa-oaep-sha256", "public_key": Base64(public.to_vec()) });
        server.call("POST", &format!("attest-keys/release/{name}"), Some(&body), &token)
    };
    let message = enveloped(&release(&public)).ciphertext_for_recipient.0;
    assert_eq!(as_the_sdk_does(&private_key, &message), SECRET.as_bytes());
    // A value that a workflow passes on, likewise.
    let acl = r#"path "attest-keys/*" { capabilities = ["update"] }"#;
    server.write("sys/policies/acl/machine", &json!({ "policy": acl })).ok();
    server.write("attest-keys/config/seal", &json!({ "policies": ["kms-nitro"] })).ok();
    let plaintext = Base64(b"of transit \0\xff".to_vec());
    let body = json!({ "kem": "rsa-oaep-sha256", "public_key": Base64(public), "plaintext": plaintext });
    let message = enveloped(&server.call("POST", "attest-keys/seal", Some(&body), &token));
    let message = message.ciphertext_for_recipient.0;
    assert_eq!(openssl(&private_key, &message).as_deref(), Some(&b"of transit \0\xff"[..]));
    let thief = release(&private(KeySize::Rsa2048).1);
    assert_eq!(thief.status, 403, "{thief:?}");
    assert!(thief.errors().contains("which was attested at login"), "{}", thief.errors());
}
