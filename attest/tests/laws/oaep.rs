//! RSA keys: which are taken, from whom, and what a parent instance that swaps or makes one gets to hear.

use attest::crypto::{AwsLcRs, RustCrypto};
use attest::{Appraisal, Kem, OfferedKey, Platform};
use simulator::nitro::{Attached, DocumentBuilder, Module};
use simulator::snp::{Chip, Product};

use crate::case::{Asked, Case, Outcome, failing};
use crate::security_module::judged;
use crate::silicon::{NOW, vcek_case};

const KEY: &[u8] = include_bytes!("../../fuzz/corpus/rsa_key/2048.der");
const OTHER: &[u8] = include_bytes!("../../fuzz/corpus/rsa_key/4096.der");

/// An enclave that offers this key and has it in its document, changed by `change` before it is signed.
fn offering(key: &[u8], change: impl FnOnce(DocumentBuilder) -> DocumentBuilder) -> Case {
    by(&Module::enclave(1), Platform::Nitro, key, change)
}

fn by(
    module: &Module,
    platform: Platform,
    key: &[u8],
    change: impl FnOnce(DocumentBuilder) -> DocumentBuilder,
) -> Case {
    let asked = asked(key);
    let data = asked.caller_data(platform);
    let document = module.document().nonce(&asked.nonce).user_data(&data).public_key(key);
    Case { asked, ..judged(module, change(document).sign()) }
}

fn asked(key: &[u8]) -> Asked {
    let key = OfferedKey { kem: Kem::RsaOaepSha256, public: key.to_vec() };
    Asked { key, ..Asked::usual(NOW) }
}

#[track_caller]
fn found(appraisal: &Appraisal, id: &str, words: &str) {
    let check = appraisal.checks.iter().find(|check| check.id == id).unwrap();
    assert_eq!(check.found, words, "{id}");
}

#[test]
fn a_document_with_an_rsa_key_is_admitted_by_either_provider() {
    for key in [KEY, OTHER] {
        let record = offering(key, |document| document).admitted();
        let asked: Vec<&str> =
            record.checks.iter().map(|c| c.id.as_str()).filter(|id| id.starts_with("key.")).collect();
        let all = ["platform", "document", "encoding", "modulus", "exponent"];
        assert_eq!(asked, all.map(|name| format!("key.rsa.{name}")));
        by(&Module::tpm(1), Platform::NitroTpm, key, |document| document).admitted();
    }
    let case = offering(KEY, |document| document);
    assert!(matches!(case.judge_with(&RustCrypto), Outcome::Admitted(_)));
    assert!(matches!(case.judge_with(&AwsLcRs), Outcome::Admitted(_)));
}

#[test]
fn a_key_that_the_parent_put_in_place_of_the_enclaves_is_refused() {
    let mut case = offering(KEY, |document| document);
    case.asked = asked(OTHER);
    let record = case.refused_by(&["key.rsa.document", "challenge.bound"]);
    found(&record, "key.rsa.document", "another key");
}

#[test]
fn a_key_that_only_the_transcript_covers_is_refused() {
    for none in [Attached::Absent, Attached::Null] {
        let case = offering(KEY, |document| document.attach_public_key(none));
        let record = case.refused_by(&["key.rsa.document", "challenge.bound"]);
        found(&record, "key.rsa.document", "no key");
    }
    offering(KEY, |document| document.public_key(OTHER)).refused_by(&["key.rsa.document", "challenge.bound"]);
}

#[test]
fn a_key_that_only_the_document_carries_is_refused() {
    // What an enclave makes for AWS KMS, which asks for neither: anybody who saw it could bring it again.
    let made_for_kms =
        offering(KEY, |document| document.attach_nonce(Attached::Absent).attach_user_data(Attached::Absent));
    made_for_kms.refused_by(&["challenge.bound", "nitro.nonce", "nitro.user_data"]);
    offering(KEY, |document| document.user_data(&[0; 64])).refused_by(&["challenge.bound"]);
    offering(KEY, |document| document.nonce(&[8; 32])).refused_by(&["challenge.bound"]);
}

#[test]
fn a_machine_without_a_field_for_it_offers_no_rsa_key() {
    let asked = asked(KEY);
    let data = asked.caller_data(Platform::SevSnp).try_into().unwrap();
    let case = Case { asked, ..vcek_case(&Chip::new(1, Product::Genoa), |report| report.report_data(data)) };
    let record = case.refused_by(&["key.rsa.platform", "challenge.bound"]);
    found(&record, "key.rsa.platform", "sev-snp");
}

#[test]
fn a_policy_that_allows_no_key_in_the_document_refuses_it() {
    let case = offering(KEY, |document| document);
    case.policy(|policy| policy.with("nitro.public_key", r#""absent""#)).refused_by(&["nitro.public_key"]);
}

#[test]
fn a_key_of_another_spelling_is_refused() {
    let trailing = offering(&[KEY, &[0]].concat(), |document| document).refused_by(&["key.rsa.encoding"]);
    let behind = trailing.checks.iter().find(|check| check.id == "key.rsa.encoding").unwrap();
    assert!(behind.found.contains('1'), "{}", behind.found);
    for other in [include_bytes!("../../fuzz/corpus/rsa_key/p256.der").as_slice(), &[0x30, 0], &KEY[24..]] {
        offering(other, |document| document).refused_by(&["key.rsa.encoding"]);
    }
}

#[test]
fn a_key_that_is_too_short_too_long_or_even_is_refused() {
    for (bits, words) in [
        (1024, "an odd number of 1024 bits"),
        (2047, "an odd number of 2047 bits"),
        (4097, "an odd number of 4097 bits"),
        (7680, "an odd number of 7680 bits"),
    ] {
        let record = offering(&key(&odd(bits), &[1, 0, 1]), |document| document);
        found(&record.refused_by(&["key.rsa.modulus"]), "key.rsa.modulus", words);
    }
    let mut even = odd(2048);
    even[256] = 2;
    let record = offering(&key(&even, &[1, 0, 1]), |document| document).refused_by(&["key.rsa.modulus"]);
    found(&record, "key.rsa.modulus", "an even number of 2048 bits");
    // More than the module's field holds.
    offering(&key(&odd(8192), &[1, 0, 1]), |document| document).refused_by(&["nitro.document.public_key"]);
}

#[test]
fn a_key_with_a_strange_exponent_is_refused() {
    for (exponent, words) in [
        (&[1][..], "1"),
        (&[3], "3"),
        (&[1, 0, 0], "65536"),
        (&[1, 0, 2], "65538"),
        (&[2, 0, 0, 0, 1], "8589934593"),
        (&[1; 9], "a number of 9 bytes"),
    ] {
        let record = offering(&key(&odd(2048), exponent), |document| document);
        found(&record.refused_by(&["key.rsa.exponent"]), "key.rsa.exponent", words);
    }
    offering(&key(&odd(2048), &[1, 0xff, 0xff, 0xff, 0xff]), |document| document).admitted();
}

#[test]
fn every_fault_of_a_key_is_told() {
    let case = offering(&key(&odd(1024), &[2]), |document| document);
    assert_eq!(failing(&case.refused()), ["key.rsa.modulus", "key.rsa.exponent"]);
}

#[test]
fn kinds_of_keys_are_told_apart() {
    let mut case = offering(&[9; 32], |document| document);
    case.asked.key.kem = Kem::X25519;
    case.refused_by(&["challenge.bound"]);
}

/// An odd number with so many bits, as the content of an INTEGER.
fn odd(bits: usize) -> Vec<u8> {
    let mut digits = vec![0xa5; bits.div_ceil(8)];
    let spare = digits.len() * 8 - bits;
    digits[0] = 0x80 >> spare;
    if spare == 0 {
        digits.insert(0, 0);
    }
    digits
}

fn key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let numbers = tlv(0x30, &[tlv(0x02, modulus), tlv(0x02, exponent)].concat());
    let algorithm = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    tlv(0x30, &[algorithm.as_slice(), &tlv(0x03, &[&[0], numbers.as_slice()].concat())].concat())
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    let length = match content.len() {
        0..=0x7f => vec![low],
        0x80..=0xff => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [&[tag], length.as_slice(), content].concat()
}
