//! TPM quotes that a software key signs, and what the command says of them.

use attest::crypto::{AwsLcRs, Crypto, Hash};
use attest::tpm::{self, SigningScheme};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

use crate::machine::Machine;
use crate::run::{Ran, cloudtaser};

/// A quote, and the name under which its key would be enrolled.
#[derive(Debug)]
pub(crate) struct Quote {
    pub(crate) evidence: Vec<u8>,
    pub(crate) name: String,
}

/// A quote of PCR 0 of the SHA-256 bank over `extra` by a new key.
pub(crate) fn quote(extra: &[u8]) -> Quote {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
    let value = vec![0xab; 32];
    let attest = attested(extra, &AwsLcRs.sha256(&[&value]).0);
    let signed = key.sign(&SystemRandom::new(), &attest).unwrap();
    let (r, s) = signed.as_ref().split_at(32);
    let signature = [&[0, 0x18, 0, 0x0b, 0, 32], r, &[0, 32], s].concat();
    let spki = [&SPKI_P256, key.public_key().as_ref()].concat();
    let public = tpm::usual_public_area(&spki, SigningScheme::Ecdsa, Hash::Sha256).unwrap();
    let evidence = tpm::assemble(&attest, &signature, &public, &[(Hash::Sha256, 0, value)]);
    Quote { evidence, name: tpm::Name::of_public(&AwsLcRs, &public).unwrap().to_string() }
}

/// `TPMS_ATTEST` (TPM 2.0 Part 2, clause 10.12.12).
fn attested(extra: &[u8], digest: &[u8]) -> Vec<u8> {
    let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    let signer = [&[0, 0x0b][..], &[1; 32]].concat();
    let clock = [&7_u64.to_be_bytes()[..], &[0, 0, 0, 2], &[0, 0, 0, 3], &[1]].concat();
    let selection = [0, 0, 0, 1, 0, 0x0b, 3, 1, 0, 0];
    let firmware = 9_u64.to_be_bytes();
    let head = [0xff, 0x54, 0x43, 0x47, 0x80, 0x18];
    [&head[..], &sized(&signer), &sized(extra), &clock, &firmware, &selection, &sized(digest)].concat()
}

/// What stands before the point in a `SubjectPublicKeyInfo` of P-256 (RFC 5480, section 2).
const SPKI_P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

fn verify(machine: &Machine, quote: &Quote, more: &[&str]) -> Ran {
    let path = machine.write("quote.bin", &quote.evidence);
    cloudtaser(&[&["attest", "verify", &path, "-o", "json"], more].concat())
}

#[test]
fn a_quote_by_an_enrolled_key_is_genuine() {
    let (machine, quote) = (Machine::new(), quote(&[5; 32]));
    let nonce = "05".repeat(32);
    let answer = verify(&machine, &quote, &["--enrolled-ak", &quote.name, "--nonce", &nonce]).ends(0).json();
    assert_eq!((&answer["platform"], &answer["roots"]), (&"tpm2".into(), &"vendor".into()));
    assert_eq!(answer["claims"]["extra_data"], nonce);
    assert_eq!(answer["judged"], serde_json::json!(["genuineness", "binding"]));
}

#[test]
fn a_quote_by_a_key_that_nobody_enrolled_is_refused_with_its_name() {
    let (machine, quote) = (Machine::new(), quote(&[5; 32]));
    let ran = verify(&machine, &quote, &[]).ends(1);
    assert_eq!(ran.failing(), ["tpm.ak.enrolled"]);
    assert!(ran.out.contains(&quote.name), "{}", ran.out);
}

#[test]
fn the_nonce_of_a_quote_is_all_of_its_extra_data() {
    let (machine, quote) = (Machine::new(), quote(&[5; 32]));
    let ask =
        |option: &str, value: &str| verify(&machine, &quote, &["--enrolled-ak", &quote.name, option, value]);
    assert_eq!(ask("--nonce", &"05".repeat(31)).ends(1).failing(), ["binding.nonce"]);
    assert_eq!(ask("--nonce", &format!("{}00", "05".repeat(32))).ends(1).failing(), ["binding.nonce"]);
    assert_eq!(ask("--report-data", &"06".repeat(32)).ends(1).failing(), ["binding.report_data"]);
    ask("--report-data", &"05".repeat(32)).ends(0);
}
