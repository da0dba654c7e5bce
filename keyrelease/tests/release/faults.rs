//! Bad input, a killed plugin, a sealed server: a clear error, nothing released, nothing half.

use protocol::release::{Base64, open_context};
use serde_json::{Value, json};

use crate::machine::{Machine, challenge, present, sealed};
use crate::server::{SECRET, Server, barren, shared};

fn presented(spoil: impl Fn(&mut Value)) -> crate::server::Answer {
    let challenge = challenge(barren(), "attest-keys");
    let presentation = Machine::good().answer(&challenge, &open_context("attest-keys", "db"));
    let mut body = serde_json::to_value(presentation).unwrap();
    spoil(&mut body);
    barren().call("POST", "attest-keys/release/db/open", Some(&body), "")
}

#[test]
fn bad_input_is_named_and_nothing_is_released() {
    let long = "A".repeat(4 * 2000);
    let cases: [(&str, Value, &str); 11] = [
        ("evidence", json!(""), "SNP report is 1184 bytes long, found 0"),
        ("evidence", json!(long), "SNP report is 1184 bytes long, found 6000"),
        ("evidence", json!("%%"), "expected standard base64"),
        ("evidence", json!(7), "invalid type"),
        ("platform", json!("sgx"), "unknown variant `sgx`"),
        ("platform", json!("tpm2"), "malformed tpm2 evidence"),
        ("kem", json!("rsa"), "kem: expected x-wing, x25519 or rsa-oaep-sha256, found \"rsa\""),
        ("public_key", json!("AAAA"), "public_key: expected 32 bytes, found 3"),
        ("challenge", json!("AAAA"), "challenge: expected 72 bytes, found 3"),
        ("certificates", json!([]), "missing endorsement"),
        ("debug", json!(true), "unknown field `debug`"),
    ];
    for (field, value, expected) in cases {
        let answer = presented(|body| body[field] = value.clone());
        assert_eq!(answer.status, 400, "{field}: {answer:?}");
        assert!(answer.errors().contains(expected), "{field}: {}", answer.errors());
        assert!(answer.json["data"].get("ciphertext").is_none());
    }
}

/// Lessons L22 and L23.
#[test]
fn l22_truncated_and_doubled_evidence_and_a_heap_of_certificates_are_refused() {
    let challenge = challenge(shared(), "attest-keys");
    let good = Machine::good().answer(&challenge, &open_context("attest-keys", "db"));
    for cut in [0, 1, 671, 672, 1183] {
        let mut short = good.clone();
        short.evidence.0.truncate(cut);
        assert!(present(shared(), &short).errors().contains(&format!("found {cut}")));
    }
    let mut doubled = good.clone();
    doubled.evidence.0.extend(good.evidence.0.clone());
    assert!(present(shared(), &doubled).errors().contains("found 2368"));
    let mut heap = good.clone();
    heap.certificates = vec![Base64(vec![0; 10]); 100];
    assert!(present(shared(), &heap).errors().contains("endorsements: at most 8 of a kind"));
    let mut huge = good.clone();
    huge.certificates[0] = Base64(vec![0x30; 100_000]);
    assert!(present(shared(), &huge).errors().contains("too many bytes of one endorsement"));
    let mut much = good.clone();
    much.revocation_lists = vec![Base64(vec![0x30; 60_000]); 3];
    assert!(present(shared(), &much).errors().contains("endorsements: at most 131072 bytes, found 18"));
    assert_eq!(present(shared(), &good).status, 200, "none of these used the challenge up");
}

#[test]
fn a_key_that_does_not_exist_says_so_and_names_nothing_else() {
    let challenge = challenge(shared(), "attest-keys");
    let presentation = Machine::good().answer(&challenge, &open_context("attest-keys", "nosuch"));
    let body = serde_json::to_value(presentation).unwrap();
    let answer = shared().call("POST", "attest-keys/release/nosuch/open", Some(&body), "");
    assert_eq!(answer.status, 404, "{answer:?}");
    let odd = shared().call("POST", "attest-keys/release/..%2fx/open", Some(&body), "");
    assert!(odd.status >= 400, "{odd:?}");
}

#[test]
fn a_killed_plugin_comes_back_with_its_keys_its_policies_and_its_records() {
    let server = Server::start();
    let first = sealed(&Machine::good().open(&server));
    let challenge = challenge(&server, "attest-keys");
    for plugin in server.plugins() {
        std::process::Command::new("kill").args(["-9", &plugin]).status().unwrap();
    }
    // A challenge of the killed process is honoured by the next: the key is in storage.
    let presentation = Machine::good().answer(&challenge, &open_context("attest-keys", "db"));
    let began = std::time::Instant::now();
    let answer = loop {
        let answer = present(&server, &presentation);
        if answer.status < 500 || began.elapsed() > std::time::Duration::from_secs(20) {
            break answer;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    };
    let second = sealed(&answer);
    let records = server.list("attest-keys/record/").json["data"]["keys"].clone();
    let mut expected = [first.decision, second.decision];
    expected.sort();
    assert_eq!(records, json!(expected));
    // And it is still answered only once.
    assert_eq!(present(&server, &presentation).failing(), ["challenge.unused"]);
}

#[test]
fn a_sealed_openbao_releases_nothing_and_says_why() {
    let server = Server::start();
    let challenge = challenge(&server, "attest-keys");
    let presentation = Machine::good().answer(&challenge, &open_context("attest-keys", "db"));
    server.write("sys/seal", &json!({})).ok();
    let answer = present(&server, &presentation);
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(!answer.json.to_string().contains(SECRET));
}
