//! Witnesses: asked with a proof, and their answers.

use super::*;

/// What a witness does with a request: reads it, checks the proof, cosigns.
fn witnessed(request: &str, old: &Head, witness: &Signer) -> String {
    let (proof, checkpoint) = request.split_once("\n\n").unwrap();
    let mut lines = proof.lines();
    assert_eq!(lines.next(), Some(format!("old {}", old.size).as_str()));
    let hash = |line: &str| Digest(STANDARD.decode(line).unwrap().try_into().unwrap());
    let proof = Proof(lines.map(hash).collect());
    let signed = SignedCheckpoint::parse(checkpoint.as_bytes()).unwrap();
    let opened = signed.open(&AwsLcRs, &Origin::new(ORIGIN).unwrap(), &[Signer::log().key]).unwrap();
    assert_eq!(proof.extends(&AwsLcRs, old, &opened.head), Ok(()));
    witness.cosign(signed.note().text(), 1_795_284_000)
}

#[test]
fn a_witness_is_asked_with_a_proof_and_its_answer_is_added() {
    let (archive, witness, key) = (Archive::with(300), Signer::witness(1), Signer::log().vkey());
    for old in [0, 1, 130, 256, 299, 300] {
        let ran = archive.words("cosign", &["--key", &key, "--old", &old.to_string()]).ends(0);
        let answer = witnessed(&ran.out, &Archive::with(old).head(), &witness);
        archive.write("answer", answer.as_bytes());
        let answer = archive.at("answer");
        let words = ["--key", &key, "--witness", &witness.vkey(), "--add", answer.to_str().unwrap()];
        let ran = archive.words("cosign", &words).ends(0);
        let told = "ACCEPTED: 300 entries of bao.example/attest-keys\n\
                    cosigned by witness.example/w1 at 2026-11-21T18:00:00Z\n";
        assert_eq!(ran.out, told);
        archive.verify(&["--witness", &witness.vkey()]).ends(0);
    }
    assert_eq!(String::from_utf8(archive.read("checkpoint")).unwrap().lines().count(), 6);
}

#[test]
fn a_witness_that_knows_more_is_not_asked() {
    let archive = Archive::with(5);
    let ran = archive.words("cosign", &["--key", &Signer::log().vkey(), "--old", "6"]).ends(2);
    let why = "not judged: expected a log of at least 6 entries, found 5: the witness knows more than this directory \
               (log.cosign.old)\n";
    assert_eq!(ran.err, why);
}

#[test]
fn an_answer_that_does_not_hold_is_not_added() {
    let (archive, one, two) = (Archive::with(5), Signer::witness(1), Signer::witness(2));
    let before = archive.read("checkpoint");
    let (key, witness) = (Signer::log().vkey(), one.vkey());
    let add = |answer: &str| {
        archive.write("answer", answer.as_bytes());
        let path = archive.at("answer");
        archive.words("cosign", &["--key", &key, "--witness", &witness, "--add", path.to_str().unwrap()])
    };
    let other = Archive::with(4);
    let text = String::from_utf8(other.read("checkpoint")).unwrap();
    let spoilt = add(&one.cosign(text.split_once("\n\n").unwrap().0, 1)).ends(1);
    assert!(spoilt.out.starts_with("REFUSED: the checkpoint stays as it was\n"), "{}", spoilt.out);
    let text = String::from_utf8(before.clone()).unwrap();
    let text = text.split_once("\n\n").unwrap().0.to_owned() + "\n";
    let unknown = add(&two.cosign(&text, 1)).ends(1);
    assert!(unknown.out.contains("expected cosignatures of 1 of 1 witnesses, found 0 ()"), "{}", unknown.out);
    // A witness that answers for the log, too, would leave a checkpoint that nobody signed.
    let (name, signature) = (Signer::log().key.name, Signer::log().sign("another text\n"));
    let posing = add(&(one.cosign(&text, 1) + &signature)).ends(2);
    assert!(posing.err.contains("the place of the log's own signature"), "{name}: {}", posing.err);
    let odd = add("603\n").ends(2);
    assert!(odd.err.contains("expected a line like"), "{}", odd.err);
    assert_eq!(archive.read("checkpoint"), before);
    add(&one.cosign(&text, 1)).ends(0);
    archive.words("cosign", &["--key", &key, "--add", "answer"]).ends(2);
}
