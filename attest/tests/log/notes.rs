//! Notes, checkpoints and cosignatures, against published ones.

use attest::UnixTime;
use attest::crypto::AwsLcRs;
use attest::log::{
    BadCheckpoint, BadKey, BadNote, BadQuorum, Cosignature, NoteKey, Origin, Quorum, SignatureKind,
    SignedCheckpoint, SignedNote,
};

use crate::shelf::{ORIGIN, Server, Signer, checkpoint, origin};

/// The example in the documentation of Go's implementation of notes.
const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const NOTE: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem \
                    is.\n\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

fn key(text: &str) -> NoteKey {
    NoteKey::parse(&AwsLcRs, text).unwrap()
}

#[test]
fn a_published_note_is_signed_by_its_published_key() {
    let note = SignedNote::parse(NOTE.as_bytes()).unwrap();
    assert_eq!(note.is_signed_by(&AwsLcRs, &key(PETER)), Ok(true));
    assert_eq!(note.text(), NOTE.split_once("\n\n").unwrap().0.to_owned() + "\n");
    assert_eq!(note.names(), ["PeterNeumann+c74f20a3"]);
    assert_eq!(note.is_signed_by(&AwsLcRs, &Signer::log().key), Ok(false));
}

#[test]
fn a_note_whose_text_changed_is_spoilt() {
    let note = SignedNote::parse(NOTE.replace("answer", "question").as_bytes()).unwrap();
    let spoilt = BadNote::Spoilt("PeterNeumann+c74f20a3".to_owned());
    assert_eq!(note.is_signed_by(&AwsLcRs, &key(PETER)), Err(spoilt));
}

#[test]
fn keys_are_written_as_they_are_read() {
    let witness = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
    for text in [PETER, "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8", witness] {
        assert_eq!(key(text).to_text(&AwsLcRs), text);
    }
    assert_eq!(key(witness).kind, SignatureKind::CosignatureV1);
}

#[test]
fn a_key_under_another_name_or_type_is_refused() {
    let bad = |text: &str| NoteKey::parse(&AwsLcRs, text).unwrap_err();
    let renamed = PETER.replace("Peter", "Paul");
    let expected = NoteKey { name: attest::log::KeyName::new("PaulNeumann").unwrap(), ..key(PETER) };
    let expected = expected.id(&AwsLcRs).to_string();
    assert_eq!(bad(&renamed), BadKey::Id { expected, found: "c74f20a3".to_owned() });
    assert_eq!(bad("PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"), BadKey::Kind(101));
    assert_eq!(
        bad("PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY=="),
        BadKey::Form("PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==".to_owned())
    );
    assert_eq!(bad("PeterNeumann+c74f20a3+AQID"), BadKey::Length(2));
    assert_eq!(
        bad("a b+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"),
        BadKey::Name("a b".to_owned())
    );
    assert_eq!(bad("PeterNeumann"), BadKey::Form("PeterNeumann".to_owned()));
}

#[test]
fn what_is_not_quite_a_note_is_refused() {
    let bad = |text: &str| SignedNote::parse(text.as_bytes()).unwrap_err();
    assert_eq!(bad("text\n"), BadNote::Text("signatures under the text"));
    assert_eq!(bad(NOTE.trim_end()), BadNote::Text("a newline at the end"));
    assert_eq!(bad(&NOTE.replace("think", "th\tink")), BadNote::Text("no control characters but newlines"));
    assert_eq!(SignedNote::parse(&[0xff]), Err(BadNote::Text("UTF-8")));
    assert_eq!(bad("text\n\n"), BadNote::Text("a newline at the end"));
    assert_eq!(bad("text\n\n— a AAAAAAA=\n\n"), BadNote::Text("a newline at the end"));
    for line in ["- a AAAAAAA=", "— a AAAAAA==", "— a+b AAAAAAA=", "— a !", "— a", "—  AAAAAAA="] {
        assert_eq!(bad(&format!("text\n\n{line}\n")), BadNote::Signature(line.to_owned()));
    }
    let many = "— a AAAAAAA=\n".repeat(101);
    assert_eq!(bad(&format!("text\n\n{many}")), BadNote::TooMany(101));
    assert_eq!(bad(&"x".repeat(1_000_001)), BadNote::TooLong(1_000_001));
    let unsigned = SignedNote::assemble("text", &["— a AAAAAAA=\n".to_owned()]);
    assert_eq!(unsigned, Err(BadNote::Text("signatures under the text")));
}

#[test]
fn a_checkpoint_opens_under_its_origin_and_key_alone() {
    let log = Signer::log();
    let head = Server::with(5).head();
    let file = checkpoint(head, |text| vec![log.sign(text)]);
    let signed = SignedCheckpoint::parse(&file).unwrap();
    let open = |origin: &Origin, keys: &[NoteKey]| signed.open(&AwsLcRs, origin, keys);
    assert_eq!(open(&origin(), std::slice::from_ref(&log.key)).unwrap().head, head);
    let other = Signer::new(ORIGIN, SignatureKind::Ed25519, 9);
    let (expected, found) =
        (format!("{ORIGIN}+{}", other.key.id(&AwsLcRs)), format!("{ORIGIN}+{}", log.key.id(&AwsLcRs)));
    assert_eq!(open(&origin(), &[other.key]), Err(BadCheckpoint::Unsigned { expected, found }));
    let elsewhere = Origin::new("bao.example/other").unwrap();
    let (expected, found) = ("bao.example/other".to_owned(), ORIGIN.to_owned());
    assert_eq!(open(&elsewhere, &[log.key]), Err(BadCheckpoint::Origin { expected, found }));
}

#[test]
fn a_witness_does_not_speak_for_the_log() {
    let witness = Signer::new("witness.example/w1", SignatureKind::CosignatureV1, 2);
    let file = checkpoint(Server::with(5).head(), |text| vec![witness.cosign(text, 1)]);
    let signed = SignedCheckpoint::parse(&file).unwrap();
    let opened = signed.open(&AwsLcRs, &origin(), &[witness.key]);
    assert!(matches!(opened, Err(BadCheckpoint::Unsigned { .. })), "{opened:?}");
}

#[test]
fn a_checkpoint_has_one_form() {
    let log = Signer::log();
    let root = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let parse = |text: &str| {
        let note = SignedNote::assemble(text, &[log.sign(text)]).unwrap();
        SignedCheckpoint::parse(&note).map(|_| ())
    };
    assert_eq!(parse(&format!("o\n0\n{root}\n")), Ok(()));
    assert_eq!(parse(&format!("o\n0\n{root}\nan extension\n")), Ok(()));
    for (text, expected) in [
        (format!("o\n00\n{root}\n"), "a size without sign or zeros in front"),
        (format!("o\n+1\n{root}\n"), "a size without sign or zeros in front"),
        (format!("o\n-1\n{root}\n"), "a size in decimal"),
        (format!("o\n18446744073709551616\n{root}\n"), "a size in decimal"),
        ("o\n0\n".to_owned(), "three lines"),
        ("o\n0\nAAAA\n".to_owned(), "a root of 32 bytes in base64"),
        (format!("o\n0\n{root}\n\nx\n"), "no empty line"),
        (format!("\n0\n{root}\n"), "an origin of 1 to 255 bytes on one line"),
    ] {
        assert_eq!(parse(&text), Err(BadCheckpoint::Form(expected)), "{text:?}");
    }
}

fn witnesses() -> Vec<Signer> {
    let witness = |number: u8| {
        Signer::new(&format!("witness.example/w{number}"), SignatureKind::CosignatureV1, 10 + number)
    };
    (1..=3).map(witness).collect()
}

#[test]
fn a_quorum_is_met_by_enough_witnesses_and_no_fewer() {
    let (log, witnesses) = (Signer::log(), witnesses());
    let file = checkpoint(Server::with(5).head(), |text| {
        // The same witness twice is still one; what counts is when it last looked.
        vec![
            log.sign(text),
            witnesses[0].cosign(text, 50),
            witnesses[2].cosign(text, 70),
            witnesses[0].cosign(text, 60),
        ]
    });
    let signed = SignedCheckpoint::parse(&file).unwrap();
    let keys: Vec<NoteKey> = witnesses.iter().map(|witness| witness.key.clone()).collect();
    let quorum = |threshold| Quorum::new(keys.clone(), threshold).unwrap();
    let seen = |at: u64, of: usize| Cosignature { witness: keys[of].name.clone(), at: UnixTime(at) };
    assert_eq!(signed.cosigned(&AwsLcRs, &quorum(2)), Ok(vec![seen(60, 0), seen(70, 2)]));
    let names = "witness.example/w1, witness.example/w3".to_owned();
    let few = BadCheckpoint::TooFew { expected: 3, of: 3, found: 2, names };
    assert_eq!(signed.cosigned(&AwsLcRs, &quorum(3)), Err(few));
}

#[test]
fn a_cosignature_holds_for_its_instant_and_its_checkpoint() {
    let (log, witnesses) = (Signer::log(), witnesses());
    let quorum = Quorum::new(vec![witnesses[0].key.clone()], 1).unwrap();
    let spoilt = Err(BadNote::Spoilt(format!("witness.example/w1+{}", witnesses[0].key.id(&AwsLcRs))).into());
    let cosigned = |line: &dyn Fn(&str) -> String| {
        let file = checkpoint(Server::with(5).head(), |text| vec![log.sign(text), line(text)]);
        SignedCheckpoint::parse(&file).unwrap().cosigned(&AwsLcRs, &quorum)
    };
    assert!(cosigned(&|text| witnesses[0].cosign(text, 50)).is_ok());
    assert_eq!(cosigned(&|text| witnesses[0].cosign(&text.replace('5', "6"), 50)), spoilt);
    // An ordinary signature is no cosignature, and one of a negative instant is none.
    assert_eq!(cosigned(&|text| witnesses[0].sign(text)), spoilt);
    assert_eq!(cosigned(&|text| witnesses[0].cosign(text, 1 << 63)), spoilt);
    // Too short for an instant.
    assert_eq!(cosigned(&|_| witnesses[0].key.line(&AwsLcRs, &[0; 7])), spoilt);
}

#[test]
fn a_quorum_is_of_witnesses_who_are_several() {
    let keys: Vec<NoteKey> = witnesses().into_iter().map(|witness| witness.key).collect();
    assert_eq!(Quorum::new(keys.clone(), 0), Err(BadQuorum::Threshold { threshold: 0, witnesses: 3 }));
    assert_eq!(Quorum::new(keys.clone(), 4), Err(BadQuorum::Threshold { threshold: 4, witnesses: 3 }));
    let mut twice = keys.clone();
    twice[1].key = twice[0].key;
    assert_eq!(Quorum::new(twice, 1), Err(BadQuorum::Twice { expected: 3, found: 2 }));
    assert_eq!(Quorum::new(vec![Signer::log().key], 1), Err(BadQuorum::Kind(ORIGIN.to_owned())));
}

#[test]
fn a_cosignature_is_added_and_replaces_an_older_one_of_its_key() {
    let (log, witnesses) = (Signer::log(), witnesses());
    let head = Server::with(5).head();
    let signed = |file: &[u8]| SignedCheckpoint::parse(file).unwrap();
    let file = checkpoint(head, |text| vec![log.sign(text)]);
    let text = signed(&file).note().text().to_owned();
    let once = signed(&file).note().with(&witnesses[0].cosign(&text, 50)).unwrap();
    let lines = witnesses[0].cosign(&text, 60) + &witnesses[1].cosign(&text, 70);
    let twice = signed(&once).note().with(&lines).unwrap();
    let expected = checkpoint(head, |text| {
        vec![log.sign(text), witnesses[0].cosign(text, 60), witnesses[1].cosign(text, 70)]
    });
    assert_eq!(twice, expected);
    assert_eq!(signed(&file).note().with("no line\n"), Err(BadNote::Signature("no line".to_owned())));
    let smuggled = format!("x\n\n{}", witnesses[0].cosign(&text, 50));
    assert_eq!(signed(&file).note().with(&smuggled), Err(BadNote::Text("signatures alone")));
}

/// A plugin's checkpoint after 753 refusals, which litewitness 0.9.0 cosigned.
const WITNESSED: &str = "openbao/82db1b26-7f08-522d-8ef0-9b3834e429b6\n753\ny98RxABExpaxCL4MdCFNDjO6cObS6Hj97ni+1FJrpsY=\n\n\
                         — openbao/82db1b26-7f08-522d-8ef0-9b3834e429b6 T78gI8ZVVR9JDMUb6vzED6eOj2BmGMHc141+hXq8EDhfGkZyyGnW8318O+iTenQg0jcXam/o6MW46Kb4cQpq0FCtEQw=\n\
                         — witness.example/w1 C5gLrwAAAABrAlZ2ukoOlCZ8TV2tbUHXVEy8LjSWaT0rRfwYuLsEeEcTqB2flLgLgJoLOOakR+PrK6wQDgtaqJNHuTMbuxrWstqXBQ==\n";
const WITNESSED_LOG: &str =
    "openbao/82db1b26-7f08-522d-8ef0-9b3834e429b6+4fbf2023+AebytDD7NpV42weWUOfxPjXwEAORAg6ZsXjiaB310xSM";
const LITEWITNESS: &str = "witness.example/w1+0b980baf+BM4qdJCbBQewMzsOIwEyps4o6+PZ3R/hIiEaSW4uSnng";

#[test]
fn a_cosignature_of_another_program_holds() {
    let signed = SignedCheckpoint::parse(WITNESSED.as_bytes()).unwrap();
    let origin = Origin::new("openbao/82db1b26-7f08-522d-8ef0-9b3834e429b6").unwrap();
    assert_eq!(signed.open(&AwsLcRs, &origin, &[key(WITNESSED_LOG)]).unwrap().head.size, 753);
    let quorum = Quorum::new(vec![key(LITEWITNESS)], 1).unwrap();
    let witness = key(LITEWITNESS).name;
    assert_eq!(
        signed.cosigned(&AwsLcRs, &quorum),
        Ok(vec![Cosignature { witness, at: UnixTime(1_795_315_318) }])
    );
}
