//! Every field of a Nitro document, the envelope around it, and the encodings that nobody should accept.

use attest::crypto::{AwsLcRs, RustCrypto};
use attest::{Claims, Evidence, Platform, nitro};
use simulator::nitro::{Attached, DocumentBuilder, Length, Module, Role, Vendor};

use crate::case::Case;
use crate::security_module::{enclave, instance, judged, keyless, of, with_key};

#[test]
fn documents_of_both_kinds_and_both_lengths_are_admitted_with_and_without_the_key() {
    for length in [Length::Definite, Length::Indefinite] {
        enclave(|document| document.fields_length(length)).admitted();
        instance(|document| document.fields_length(length)).admitted();
        enclave(|document| with_key(document.fields_length(length))).admitted();
        instance(|document| with_key(document.fields_length(length))).admitted();
    }
    for none in keyless() {
        enclave(|document| document.attach_public_key(none)).admitted();
    }
    enclave(|document| document.tag(18)).admitted();
}

#[test]
fn a_genuine_document_reads_back_as_it_was_written() {
    let module = Module::enclave(1);
    let case = of(&module, |document| document.role("arn:aws:iam::123456789012:role/db").pcr(31, &[9; 48]));
    let evidence = Evidence::parse(case.platform, &case.evidence).unwrap();
    let prepared = case.prepare(&AwsLcRs, &evidence).unwrap();
    let verified = evidence.verify(&AwsLcRs, &prepared, case.now).unwrap();
    let Claims::Nitro(claims) = verified.claims() else { panic!("not Nitro") };
    assert_eq!(claims.document.module_id, module.id());
    assert_eq!(
        (claims.document.digest.as_str(), claims.document.timestamp),
        ("SHA384", case.now.0 * 1000 + 136)
    );
    assert_eq!(claims.document.made(), case.now);
    assert_eq!(claims.document.public_key, nitro::Attached::Null);
    assert_eq!(claims.document.nonce, nitro::Attached::Bytes(vec![7; 32]));
    assert_eq!(claims.pcr(31).unwrap().0, [9; 48]);
    assert_eq!((claims.document.pcrs.len(), claims.pcr(30)), (17, None));
    assert_eq!(claims.instance(), Some(module.instance()));
    assert_eq!(claims.signer.region.as_deref(), Some("eu-central-1"));
    assert_eq!(claims.signer.name, module.common_name(Role::Leaf));
    assert_eq!(claims.signer.issuers.len(), 3);
    assert_eq!(verified.hardware_id().unwrap(), module.instance().as_bytes());
    assert_eq!(verified.measurement(), claims.pcr(0).unwrap().to_string());
    assert_eq!(verified.machine().measurement, verified.measurement());
}

#[test]
fn absent_null_and_empty_are_three_things() {
    use nitro::Attached::{Absent, Bytes, Null};
    for (given, expected) in [
        (Attached::Absent, Absent),
        (Attached::Null, Null),
        (Attached::Bytes(Vec::new()), Bytes(Vec::new())),
        (Attached::Bytes(vec![0]), Bytes(vec![0])),
    ] {
        let bytes = Module::enclave(1).document().attach_user_data(given).sign();
        let document = nitro::Document::parse(Platform::Nitro, &bytes).unwrap();
        assert_eq!(document.fields().user_data, expected);
    }
}

/// The challenge's nonce stands in its field, and a key that is not the offered one is another machine's.
#[test]
fn an_unexpected_nonce_or_key_is_not_bound() {
    enclave(|document| document.nonce(&[6; 32])).refused_by(&["challenge.bound"]);
    enclave(|document| document.nonce(&[7; 31])).refused_by(&["challenge.bound"]);
    enclave(|document| document.nonce(&[7; 33])).refused_by(&["challenge.bound"]);
    enclave(|document| document.public_key(&[8; 32])).refused_by(&["challenge.bound"]);
    enclave(|document| document.user_data(&[0; 64])).refused_by(&["challenge.bound"]);
    let none = [Attached::Absent, Attached::Null, Attached::Bytes(Vec::new())];
    for none in none {
        enclave(|document| document.attach_nonce(none.clone()))
            .refused_by(&["challenge.bound", "nitro.nonce"]);
        enclave(|document| document.attach_user_data(none))
            .refused_by(&["challenge.bound", "nitro.user_data"]);
    }
}

/// An answer of one kind of module is no answer of the other.
#[test]
fn an_enclaves_document_is_no_instances() {
    let mut case = enclave(|document| document);
    case.platform = Platform::NitroTpm;
    case.not_judged("evidence.malformed");
    let mut case = instance(|document| document);
    case.platform = Platform::Nitro;
    case.not_judged("evidence.malformed");
    assert_eq!(Platform::recognise(&case.evidence), Some(Platform::NitroTpm));
    assert_eq!(Platform::recognise(&enclave(|document| document).evidence), Some(Platform::Nitro));
}

#[test]
fn each_field_outside_its_bounds_fails_its_own_check() {
    let long = |length: usize| vec![1; length];
    let cases: [(&str, Case); 9] = [
        ("nitro.cose.algorithm", enclave(|document| document.protected(&[0xa1, 1, 0x26]))),
        ("nitro.cose.algorithm", enclave(|document| document.protected(&[0xa2, 1, 0x38, 0x22, 2, 0x80]))),
        ("nitro.cose.algorithm", enclave(|document| document.protected(&[]))),
        ("nitro.document.digest", enclave(|document| document.digest("SHA256"))),
        ("nitro.document.user_data", enclave(|document| document.user_data(&long(1025)))),
        ("nitro.document.nonce", enclave(|document| document.nonce(&long(1025)))),
        ("nitro.document.public_key", enclave(|document| document.public_key(&long(1025)))),
        ("nitro.document.public_key", enclave(|document| document.public_key(&[]))),
        (
            "nitro.leaf.module",
            enclave(|document| document.module_id("i-0123456789abcdef0-enc0123456789abcdef")),
        ),
    ];
    for (id, case) in cases {
        case.refused_by(&[id]);
    }
    for id in ["", "i 1", "i-\u{e9}", &"x".repeat(129)] {
        enclave(|document| document.module_id(id))
            .refused_by(&["nitro.document.module_id", "nitro.leaf.module"]);
    }
}

/// What AWS' text forbids in one place and allows in another is a remark, not a refusal.
#[test]
fn a_nonce_of_1024_bytes_is_genuine() {
    let case = enclave(|document| document.user_data(&[1; 1024]).nonce(&[2; 1024]).public_key(&[3; 1024]));
    assert!(case.verifies(&AwsLcRs));
    let record = case.refused_by(&["challenge.bound"]);
    let sizes = record.checks.iter().filter(|check| check.found == "1024 bytes, more than 512");
    assert_eq!(sizes.count(), 3);
}

#[test]
fn a_document_from_the_future_or_from_before_its_leaf_is_refused() {
    let now = crate::silicon::NOW.0;
    let made = |seconds: u64| enclave(|document| document.timestamp(seconds * 1000));
    made(now + 300).admitted();
    made(now + 301).refused_by(&["nitro.document.future"]);
    made(now - 120).admitted();
    made(now - 121).refused_by(&["nitro.document.timestamp"]);
    made(now + 3 * 3600).refused_by(&["nitro.document.timestamp", "nitro.document.future"]);
    enclave(|document| document.timestamp(0)).refused_by(&["nitro.document.timestamp"]);
    enclave(|document| document.timestamp(u64::MAX))
        .refused_by(&["nitro.document.timestamp", "nitro.document.future"]);
}

#[test]
fn another_leaf_did_not_sign_it() {
    let key = Module::enclave(2).key(Role::Leaf);
    enclave(|document| document.signed_by(key)).refused_by(&["nitro.signature"]);
    let other = Module::enclave(1).with_vendor(Vendor::Other).key(Role::Leaf);
    instance(|document| document.signed_by(other)).refused_by(&["nitro.signature"]);
}

/// What was prepared for one module does not vouch for another.
#[test]
fn a_prepared_chain_vouches_for_no_other_document() {
    let (one, two) = (enclave(|document| document), of(&Module::enclave(2), |document| document));
    let providers: [&dyn attest::Crypto; 2] = [&AwsLcRs, &RustCrypto];
    for crypto in providers {
        let [first, second] =
            [&one, &two].map(|case| Evidence::parse(case.platform, &case.evidence).unwrap());
        let prepared = two.prepare(crypto, &second).unwrap();
        assert!(second.verify(crypto, &prepared, two.now).is_ok());
        let refused = first.verify(crypto, &prepared, one.now).unwrap_err().to_string();
        let expected = "nitro.leaf.module, nitro.endorsement.key, nitro.signature";
        assert_eq!(refused, format!("nitro evidence is not genuine: {expected}"));
    }
    assert_ne!(
        Evidence::parse(one.platform, &one.evidence).unwrap().endorsement_id(),
        Evidence::parse(two.platform, &two.evidence).unwrap().endorsement_id(),
    );
}

/// L5: a key that is not understood may carry a check.
#[test]
fn a_field_that_is_unknown_missing_or_there_twice_is_not_a_document() {
    let malformed = |change: fn(DocumentBuilder) -> DocumentBuilder| {
        enclave(change).not_judged("evidence.malformed");
        instance(change).not_judged("evidence.malformed");
    };
    malformed(|document| document.another_field("debug", &[0xf5]));
    malformed(|document| document.another_field("nonce", &[0x40]));
    malformed(|document| document.another_field("module_id", &[0x61, b'x']));
    malformed(|document| document.another_field("pcrs", &[0xa0]));
    malformed(|document| document.another_field("nitrotpm_pcrs", &[0xa1, 0, 0x40]));
    malformed(|document| document.registers("PCRS"));
    for name in ["module_id", "digest", "timestamp", "certificate", "cabundle"] {
        enclave(|document| document.without_field(name)).not_judged("evidence.malformed");
    }
    malformed(|document| document.without_field("pcrs").without_field("nitrotpm_pcrs"));
}

#[test]
fn a_register_that_there_cannot_be_is_not_a_document() {
    let malformed = |change: fn(DocumentBuilder) -> DocumentBuilder| {
        enclave(change).not_judged("evidence.malformed");
    };
    malformed(|document| document.pcr(32, &[1; 48]));
    malformed(|document| document.pcr(u64::MAX, &[1; 48]));
    malformed(|document| document.pcr(0, &[1; 47]));
    malformed(|document| document.pcr(0, &[1; 32]));
    malformed(|document| document.pcr(0, &[1; 64]));
    malformed(|document| document.pcr(0, &[]));
    malformed(|document| document.another_pcr(0, &[1; 48]));
    malformed(DocumentBuilder::without_pcrs);
    malformed(|document| (16..33).fold(document, |document, index| document.another_pcr(index, &[1; 48])));
    enclave(|document| (16..32).fold(document, |document, index| document.another_pcr(index, &[1; 48])))
        .admitted();
}

#[test]
fn a_certificate_or_bundle_outside_its_bounds_is_not_a_document() {
    let bundle = Module::enclave(1).bundle();
    let malformed = |change: &dyn Fn(DocumentBuilder) -> DocumentBuilder| {
        enclave(change).not_judged("evidence.malformed");
    };
    malformed(&|document| document.certificate(Vec::new()));
    malformed(&|document| document.certificate(vec![0x30; 1025]));
    malformed(&|document| document.bundle(Vec::new()));
    malformed(&|document| document.bundle([bundle.clone(), vec![vec![0x30; 1025]]].concat()));
    malformed(&|document| {
        document.bundle([bundle.clone(), bundle.clone(), vec![bundle[0].clone()]].concat())
    });
    enclave(|document| document.bundle([bundle.clone(), bundle.clone()].concat())).admitted();
}

/// L22 and L23: nesting, lengths of four gigabytes and lists without end cost nothing and are no document.
#[test]
fn cbor_that_was_made_to_hurt_is_refused() {
    let document = Module::enclave(1).document();
    let four_gigabytes = [0x1a, 0xff, 0xff, 0xff, 0xff];
    let claimed = |major: u8| {
        let mut head = four_gigabytes.to_vec();
        head[0] |= major << 5;
        head
    };
    let endless = |major: u8| vec![major << 5 | 31; 16_000];
    let field = |name: &str, value: &[u8]| {
        [&[0xa1, 0x60 | u8::try_from(name.len()).unwrap()], name.as_bytes(), value].concat()
    };
    let mut payloads: Vec<Vec<u8>> = vec![Vec::new(), vec![0xff], vec![0xf6], vec![0x80], vec![0xa0]];
    payloads.extend([0x81, 0x9f, 0xa1, 0xbf, 0xc2].map(|byte| vec![byte; 16_000]));
    payloads.extend((0..8).map(claimed));
    payloads.extend((2..6).map(endless));
    for name in ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle", "user_data"] {
        payloads.extend((0..8).map(|major| field(name, &claimed(major))));
        payloads.extend((2..6).map(|major| field(name, &endless(major))));
        payloads.push(field(name, &vec![0x81; 16_000]));
    }
    for payload in payloads {
        let case = judged(&Module::enclave(1), document.sign_payload(&payload));
        case.not_judged("evidence.malformed");
        let bare = judged(&Module::enclave(1), payload);
        bare.not_judged("evidence.malformed");
    }
    let too_long = document.clone().user_data(&vec![1; 17 * 1024]).sign();
    judged(&Module::enclave(1), too_long).not_judged("evidence.malformed");
}

/// The envelope has one spelling: no tag or 18, four elements, an empty unprotected header, 96 bytes.
#[test]
fn another_envelope_is_not_a_document() {
    let malformed = |change: fn(DocumentBuilder) -> DocumentBuilder| {
        enclave(change).not_judged("evidence.malformed");
    };
    malformed(|document| document.tag(17));
    malformed(|document| document.tag(98));
    malformed(|document| document.tag(61));
    malformed(|document| document.unprotected(&[0xa1, 1, 0x26]));
    malformed(|document| document.unprotected(&[0xbf, 0xff]));
    malformed(|document| document.unprotected(&[0xf6]));
    let document = Module::enclave(1).document();
    let payload = document.payload();
    for length in [0, 64, 95, 97, 132] {
        judged(&Module::enclave(1), document.seal(&payload, &vec![1; length]))
            .not_judged("evidence.malformed");
    }
}
