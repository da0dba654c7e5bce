//! A test for each class of mistake that verifiers of TPM quotes have made.

use attest::crypto::{AwsLcRs, Hash};
use attest::{Challenge, Evidence, Kem, Malformed, OfferedKey, Platform, Stale, Transcript, Verified};

use super::forge::{CERTIFY, Key, LONGEST_SALT, ODD_SALT, SALT_OF_HASH, Statement, USUAL, rsa_pss, sized};
use super::judge::{NOW, failing, genuine, judge, prepare, quoted, refusals};

fn challenge(nonce: u8) -> Challenge {
    Challenge {
        nonce: [nonce; 32],
        context: "attest-keys/release/db".to_owned(),
        expires: NOW.plus(60),
        answered: false,
    }
}

fn offered() -> OfferedKey {
    OfferedKey { kem: Kem::X25519, public: vec![9; 32] }
}

fn answer(nonce: u8) -> Vec<u8> {
    let challenge = challenge(nonce);
    let key = offered();
    let transcript = Transcript { nonce: &challenge.nonce, context: &challenge.context, key: &key };
    transcript.caller_data(&AwsLcRs, Platform::Tpm2)
}

fn redeem(claims: &Verified<attest::Claims>, nonce: u8) -> Result<attest::AttestedKey, Stale> {
    challenge(nonce).redeem(&AwsLcRs, offered(), claims, NOW)
}

#[test]
fn a_quote_that_answers_the_challenge_attests_the_key() {
    let key = Key::new();
    let statement = Statement::quote(&answer(1));
    let claims = genuine(&key.evidence(&statement.marshal(), &statement.values), &key.name());
    assert_eq!(redeem(&claims, 1).unwrap().key(), &offered());
    assert_eq!((quoted(&claims).clock.reset_count, quoted(&claims).clock.restart_count), (5, 6));
    assert_eq!(quoted(&claims).pcrs.len(), 3);
}

#[test]
fn l01_a_quote_answers_no_second_challenge() {
    let key = Key::new();
    let statement = Statement::quote(&answer(1));
    let claims = genuine(&key.evidence(&statement.marshal(), &statement.values), &key.name());
    assert_eq!(redeem(&claims, 2).unwrap_err(), Stale::NotBound);
}

#[test]
fn l01_a_constant_or_empty_nonce_answers_no_challenge() {
    let key = Key::new();
    for nonce in [&[][..], &[0; 32], &[1; 32], &answer(1)[..31]] {
        let statement = Statement::quote(nonce);
        let claims = genuine(&key.evidence(&statement.marshal(), &statement.values), &key.name());
        assert_eq!(redeem(&claims, 1).unwrap_err(), Stale::NotBound);
    }
}

#[test]
fn l02_a_signature_that_does_not_verify_gives_no_claims() {
    let key = Key::new();
    let statement = Statement::quote(b"nonce");
    let attest = statement.marshal();
    let mut signature = key.sign(&attest);
    *signature.last_mut().unwrap() ^= 1;
    let evidence = attest::tpm::assemble(&attest, &signature, &key.area, &statement.values);
    assert_eq!(refusals(&evidence, &[key.name()]), ["tpm.quote.signature"]);
}

#[test]
fn l03_each_fault_is_refused_for_itself_alone() {
    let key = Key::new();
    let good = Statement::quote(b"nonce");
    let refused = |statement: &Statement| {
        refusals(&key.evidence(&statement.marshal(), &statement.values), &[key.name()])
    };
    genuine(&key.evidence(&good.marshal(), &good.values), &key.name());
    for signer in [vec![], vec![0x40, 0, 0, 0x0b], vec![0, 0x0b, 1], vec![0, 0x99, 1, 2]] {
        assert_eq!(refused(&Statement { signer, ..good.clone() }), ["tpm.quote.qualified_signer"]);
    }
    let twice =
        [(Hash::Sha256, 7, vec![7; 32]), (Hash::Sha1, 7, vec![7; 20]), (Hash::Sha256, 7, vec![7; 32])];
    assert_eq!(refused(&Statement { values: twice.to_vec(), ..good.clone() }), ["tpm.pcr.selection"]);
    let attest = good.marshal();
    let flipped = |at: usize| {
        let mut attest = attest.clone();
        let at = if at == 0 { attest.len().saturating_sub(1) } else { at };
        attest[at] ^= 1;
        refusals(&key.evidence(&attest, &good.values), &[key.name()])
    };
    assert_eq!(flipped(0), ["tpm.pcr.digest"]);
}

#[test]
fn l06_one_value_too_few_or_too_many_is_refused() {
    let key = Key::new();
    let statement = Statement::quote(b"nonce");
    let refused =
        |values: &[super::forge::Value]| refusals(&key.evidence(&statement.marshal(), values), &[key.name()]);
    let both = ["tpm.pcr.selection", "tpm.pcr.digest"];
    assert_eq!(refused(&statement.values[..2]), both);
    assert_eq!(refused(&statement.values[1..]), both);
    let mut more = statement.values.clone();
    more.push((Hash::Sha256, 8, vec![8; 32]));
    assert_eq!(refused(&more), both);
    let mut swapped = statement.values.clone();
    swapped.swap(0, 1);
    assert_eq!(refused(&swapped), both);
}

#[test]
fn l12_a_pcr_value_beside_the_quote_is_not_believed() {
    let key = Key::new();
    let statement = Statement::quote(b"nonce");
    let mut values = statement.values.clone();
    values[2].2 = vec![0xaa; 32];
    assert_eq!(refusals(&key.evidence(&statement.marshal(), &values), &[key.name()]), ["tpm.pcr.digest"]);
    // The right value under another name: of another PCR, of another bank.
    for (bank, index) in [(Hash::Sha256, 8), (Hash::Sha1, 7)] {
        let mut values = statement.values.clone();
        values[2] = (bank, index, vec![0x17; if bank == Hash::Sha1 { 20 } else { 32 }]);
        let failing = refusals(&key.evidence(&statement.marshal(), &values), &[key.name()]);
        assert_eq!(failing[0], "tpm.pcr.selection");
    }
}

#[test]
fn l12_a_quote_without_values_claims_no_pcr() {
    let key = Key::new();
    let claims = genuine(&key.evidence(&Statement::quote(b"nonce").marshal(), &[]), &key.name());
    assert!(quoted(&claims).pcrs.is_empty());
}

#[test]
fn l14_user_data_that_was_swapped_after_signing_is_refused() {
    let key = Key::new();
    let (signed, sent) = (Statement::quote(b"mine"), Statement::quote(b"his!"));
    let signature = key.sign(&signed.marshal());
    let evidence = attest::tpm::assemble(&sent.marshal(), &signature, &key.area, &sent.values);
    assert_eq!(refusals(&evidence, &[key.name()]), ["tpm.quote.signature"]);
}

#[test]
fn l22_every_truncation_and_every_trailing_byte_is_refused() {
    let key = Key::new();
    let statement = Statement::quote(b"nonce");
    let evidence = key.evidence(&statement.marshal(), &statement.values);
    for length in 0..evidence.len() {
        assert!(Evidence::parse(Platform::Tpm2, &evidence[..length]).is_err(), "{length}");
    }
    let longer = [evidence.as_slice(), &[0]].concat();
    let error = Evidence::parse(Platform::Tpm2, &longer).unwrap_err();
    assert_eq!(error, Malformed::Trailing { extra: 1 });
    let attest = [statement.marshal(), vec![0]].concat();
    let padded = key.evidence(&attest, &statement.values);
    let error = Evidence::parse(Platform::Tpm2, &padded).unwrap_err();
    assert_eq!(error, Malformed::Trailing { extra: 1 });
}

#[test]
fn l22_every_flipped_bit_is_refused_or_malformed() {
    let key = Key::new();
    let statement = Statement::quote(b"nonce");
    let evidence = key.evidence(&statement.marshal(), &statement.values);
    let anchors = [key.name()];
    for at in 0..evidence.len() {
        let mut flipped = evidence.clone();
        flipped[at] ^= 0x04;
        if Evidence::parse(Platform::Tpm2, &flipped).is_ok() {
            assert!(!refusals(&flipped, &anchors).is_empty(), "byte {at}");
        }
    }
}

#[test]
fn l23_a_count_of_2_to_the_32_reads_no_more_than_there_is() {
    let key = Key::new();
    let statement = Statement::quote(b"nonce");
    let mut evidence = key.evidence(&statement.marshal(), &[]);
    let at = evidence.len().checked_sub(4).unwrap();
    evidence[at..].fill(0xff);
    let error = Evidence::parse(Platform::Tpm2, &evidence).unwrap_err();
    assert!(matches!(error, Malformed::Truncated { wanted: 2, left: 0, .. }), "{error}");
}

#[test]
fn l24_a_signature_over_another_statement_of_the_tpm_is_no_quote() {
    let key = Key::new();
    let certified = Statement { kind: CERTIFY, ..Statement::quote(b"nonce") };
    let failing = refusals(&key.evidence(&certified.marshal(), &certified.values), &[key.name()]);
    let nothing = ["tpm.quote.qualified_signer", "tpm.pcr.selection", "tpm.pcr.digest"];
    assert_eq!(failing, [&["tpm.quote.type"], &nothing[..]].concat());
}

#[test]
fn l24_a_signature_over_bytes_that_no_tpm_made_is_no_quote() {
    let key = Key::new();
    let foreign = Statement { magic: 0xff54_4346, ..Statement::quote(b"nonce") };
    let failing = refusals(&key.evidence(&foreign.marshal(), &foreign.values), &[key.name()]);
    assert_eq!(failing[0], "tpm.quote.magic");
    assert!(!failing.contains(&"tpm.quote.signature".to_owned()));
    let failing = refusals(&key.evidence(b"some other protocol", &[]), &[key.name()]);
    assert_eq!(failing[..2], ["tpm.quote.magic", "tpm.quote.type"]);
}

#[test]
fn l24_a_quote_of_another_enrolled_key_is_refused_under_this_one() {
    let (mine, his) = (Key::new(), Key::new());
    let statement = Statement::quote(b"nonce");
    let names = [mine.name(), his.name()];
    let of = |key: &Key| key.evidence(&statement.marshal(), &statement.values);
    let (my_quote, his_quote) = (of(&mine), of(&his));
    let prepared = prepare(&AwsLcRs, &Evidence::parse(Platform::Tpm2, &my_quote).unwrap(), &names).unwrap();
    let evidence = Evidence::parse(Platform::Tpm2, &his_quote).unwrap();
    let refused = evidence.verify(&AwsLcRs, &prepared, NOW).unwrap_err();
    assert_eq!(failing(&refused), ["tpm.quote.key", "tpm.quote.signature"]);
}

#[test]
fn l24_a_signature_of_another_scheme_than_the_keys_is_refused() {
    let key = Key::new();
    let statement = Statement::quote(b"nonce");
    let attest = statement.marshal();
    let mut signature = key.sign(&attest);
    signature[3] = 0x0c;
    let evidence = attest::tpm::assemble(&attest, &signature, &key.area, &statement.values);
    assert_eq!(
        refusals(&evidence, &[key.name()]),
        ["tpm.quote.scheme", "tpm.quote.signature", "tpm.pcr.digest"]
    );
    let rsa = [vec![0x00, 0x14, 0x00, 0x0b], sized(&[1; 256])].concat();
    let evidence = attest::tpm::assemble(&attest, &rsa, &key.area, &statement.values);
    assert_eq!(refusals(&evidence, &[key.name()]), ["tpm.quote.scheme", "tpm.quote.signature"]);
}

#[test]
fn l27_a_key_that_the_sender_brought_is_named_and_refused() {
    let (enrolled, brought) = (Key::new(), Key::new());
    let statement = Statement::quote(b"nonce");
    let evidence = brought.evidence(&statement.marshal(), &statement.values);
    assert_eq!(refusals(&evidence, &[enrolled.name()]), ["tpm.ak.enrolled"]);
    assert_eq!(refusals(&evidence, &[]), ["tpm.ak.enrolled"]);
    let refused = judge(&AwsLcRs, &evidence, &[]).unwrap_err();
    let attest::Unverified::Rejected(rejected) = refused else { unreachable!() };
    assert_eq!(rejected.checks()[0].found, brought.name().to_string());
}

#[test]
fn an_enrolled_key_that_signs_anything_is_refused() {
    for (attributes, fault) in [(USUAL & !(1 << 16), "no restricted"), (USUAL | 1 << 17, "decrypt")] {
        let key = Key::with_attributes(attributes);
        let statement = Statement::quote(b"nonce");
        let evidence = key.evidence(&statement.marshal(), &statement.values);
        assert_eq!(refusals(&evidence, &[key.name()]), ["tpm.ak.attributes"], "{fault}");
    }
}

#[test]
fn a_pss_salt_as_long_as_fits_is_as_good_as_one_as_long_as_the_hash() {
    let odd = ["tpm.quote.signature"];
    for (salt, expected) in [(&SALT_OF_HASH, &[][..]), (&LONGEST_SALT, &[]), (&ODD_SALT, &odd)] {
        let statement = Statement::quote(b"nonce");
        let attest = statement.marshal();
        let (area, signature) = rsa_pss(salt, &attest);
        let name = attest::tpm::Name::of_public(&AwsLcRs, &area).unwrap();
        let evidence = attest::tpm::assemble(&attest, &signature, &area, &statement.values);
        if expected.is_empty() {
            genuine(&evidence, &name);
        } else {
            assert_eq!(refusals(&evidence, &[name]), expected);
        }
    }
}

#[test]
fn claims_print_bytes_as_hex() {
    let key = Key::new();
    let statement = Statement::quote(b"nonce");
    let claims = genuine(&key.evidence(&statement.marshal(), &statement.values), &key.name());
    let json = serde_json::to_value(claims.claims()).unwrap();
    for (pointer, expected) in [
        ("/extra_data", serde_json::json!("6e6f6e6365")),
        ("/firmware_version", serde_json::json!("2019102300163636")),
        ("/clock/reset_count", serde_json::json!(5)),
        ("/pcrs/1/bank", serde_json::json!("sha256")),
        ("/pcrs/1/index", serde_json::json!(4)),
        ("/pcrs/1/value", serde_json::json!("14".repeat(32))),
        ("/ak_name", serde_json::json!(key.name().to_string())),
        ("/signature_scheme", serde_json::json!("ecdsa")),
        ("/signature_hash", serde_json::json!("sha256")),
    ] {
        assert_eq!(json.pointer(pointer), Some(&expected), "{pointer}");
    }
}

/// Every value would be stored with the record and walked by every check.
#[test]
fn l23_evidence_with_more_values_than_any_tpm_has_is_refused_by_its_length() {
    let key = Key::new();
    let statement = Statement::quote(b"nonce");
    let values = vec![(Hash::Sha1, 0, vec![0; 20]); 100_000];
    let bytes = key.evidence(&statement.marshal(), &values);
    let error = Evidence::parse(Platform::Tpm2, &bytes).unwrap_err();
    assert!(matches!(&error, Malformed::Value { what: "length of a TPM quote", .. }), "{error}");
}
