//! Machines with an enrolled TPM, whose quotes a software key signs.

use attest::crypto::{AwsLcRs, Crypto as _, Hash};
use attest::tpm::{self, SigningScheme};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use simulator::snp::EPOCH;

use crate::case::{Case, Policies, answer, instant};

pub(crate) fn cases(policies: &Policies) -> Vec<Case> {
    let value = |index: u32| (index, policies.value(&format!("cos-85-pcr{index}")).to_vec());
    let values: Vec<_> = [0, 2, 4, 7, 8, 9].map(value).into();
    let with = |index: u32, value: [u8; 32]| {
        let changed = |(at, old): (u32, Vec<u8>)| (at, if at == index { value.to_vec() } else { old });
        values.clone().into_iter().map(changed).collect::<Vec<_>>()
    };
    let base = case(&values, Clock::Safe);
    vec![
        base.clone(),
        case(&with(4, [1; 32]), Clock::Safe).but(
            "another-kernel",
            "another boot loader or kernel",
            &["tpm.pcr.sha256.4"],
        ),
        case(&with(7, [1; 32]), Clock::Safe).but(
            "secure-boot",
            "another Secure Boot state, or other keys",
            &["tpm.pcr.sha256.7"],
        ),
        case(&values, Clock::Unsafe).but("clock", "a clock that may have been set back", &["tpm.clock.safe"]),
        Case {
            enrolled: vec![],
            ..base.but("not-enrolled", "a key that nobody enrolled", &["tpm.ak.enrolled"])
        },
    ]
}

#[derive(Clone, Copy)]
pub(crate) enum Clock {
    Safe,
    Unsafe,
}

fn case(values: &[(u32, Vec<u8>)], clock: Clock) -> Case {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
    let attest = attested(values, clock, &answer(attest::Platform::Tpm2), &SIGNER);
    let signed = key.sign(&SystemRandom::new(), &attest).unwrap();
    let (r, s) = signed.as_ref().split_at(32);
    // TPMT_SIGNATURE: ECDSA with SHA-256.
    let signature = [&[0, 0x18, 0, 0x0b, 0, 32], r, &[0, 32], s].concat();
    let spki = [&SPKI_P256, key.public_key().as_ref()].concat();
    let public = tpm::usual_public_area(&spki, SigningScheme::Ecdsa, Hash::Sha256).unwrap();
    let values: Vec<_> = values.iter().map(|(index, value)| (Hash::Sha256, *index, value.clone())).collect();
    Case {
        policy: "vtpm",
        name: "enrolled".to_owned(),
        about: "a machine whose key an operator enrolled, in order".to_owned(),
        platform: "tpm2",
        at: instant(EPOCH),
        evidence: tpm::assemble(&attest, &signature, &public, &values),
        answers: true,
        enrolled: vec![tpm::Name::of_public(&AwsLcRs, &public).unwrap().to_string()],
        ..Case::default()
    }
}

/// `TPMS_ATTEST` (TPM 2.0 Part 2, clause 10.12.12).
pub(crate) fn attested(values: &[(u32, Vec<u8>)], clock: Clock, answer: &[u8], signer: &[u8]) -> Vec<u8> {
    let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    let safe = u8::from(matches!(clock, Clock::Safe));
    let info = [&7_u64.to_be_bytes()[..], &[0, 0, 0, 2], &[0, 0, 0, 3], &[safe]].concat();
    let bits = values.iter().fold(0_u32, |bits, (index, _)| bits | 1 << index);
    let selection = [&[0, 0, 0, 1, 0, 0x0b, 3][..], &bits.to_le_bytes()[..3]].concat();
    let parts: Vec<&[u8]> = values.iter().map(|(_, value)| value.as_slice()).collect();
    let digest = AwsLcRs.sha256(&parts).0;
    let head = [0xff, 0x54, 0x43, 0x47, 0x80, 0x18];
    let firmware = 9_u64.to_be_bytes();
    [&head[..], &sized(signer), &sized(answer), &info, &firmware, &selection, &sized(&digest)].concat()
}

/// The qualified name of an enrolled key, of which nothing is asked: an algorithm and any digest.
const SIGNER: [u8; 34] = {
    let mut name = [1; 34];
    (name[0], name[1]) = (0, 0x0b);
    name
};
/// What stands before the point in a `SubjectPublicKeyInfo` of P-256 (RFC 5480, section 2).
const SPKI_P256: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
