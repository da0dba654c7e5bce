//! `evidence verify` and `evidence show`, on bundles that the test's own verifier signs.

use attest::crypto::AwsLcRs;
use attest::{
    Bundle, Challenge, Context, Endorsements, Kem, OfferedKey, Platform, Policy, Question, Transcript,
    TrustAnchors, UnixTime, VerifierKey, decide,
};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use simulator::snp::{Chip, EPOCH, Product, ReportBuilder};
use tempfile::TempDir;

use crate::document;
use crate::machine::NOW;
use crate::run::{Ran, cloudtaser, failing};

const JUDGED_AT: UnixTime = UnixTime(EPOCH);

/// A bundle on disk, and what is needed to audit it.
#[derive(Debug)]
struct Archive {
    dir: TempDir,
    chip: Chip,
    key: String,
    key_id: String,
}

impl Archive {
    fn of(change: impl FnOnce(ReportBuilder) -> ReportBuilder) -> Self {
        Self::altered(change, |_| {})
    }

    /// A decision about a report that `change` changed, and which `alter` alters before it is signed.
    fn altered(change: impl FnOnce(ReportBuilder) -> ReportBuilder, alter: impl FnOnce(&mut Bundle)) -> Self {
        let chip = Chip::new(1, Product::Genoa);
        let mut bundle = decided(&chip, change);
        alter(&mut bundle);
        let pair = Ed25519KeyPair::from_seed_unchecked(&[42; 32]).unwrap();
        let key = VerifierKey(pair.public_key().as_ref().try_into().unwrap());
        let payload = bundle.record(&AwsLcRs).unwrap();
        let signature = pair.sign(&Bundle::to_be_signed(payload.clone(), &key, &AwsLcRs));
        let signed = Bundle::signed(payload, &key, &AwsLcRs, signature.as_ref().to_vec()).unwrap();
        let file = bundle.file(signed).unwrap();
        let archive = Self {
            dir: tempfile::tempdir().unwrap(),
            chip,
            key: hex::encode(key.0),
            key_id: key.id(&AwsLcRs).to_string(),
        };
        archive.write("bundle", &file);
        archive.write("ark.der", &archive.chip.ark().der());
        archive
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.dir.path().join(name), bytes).unwrap();
        self.path(name)
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    /// `evidence verify` with the root and the pinned key, at [`NOW`], with more words.
    fn verify(&self, more: &[&str]) -> Ran {
        self.verify_at(NOW, &[&["--verifier-key", &self.key], more].concat())
    }

    fn verify_at(&self, at: &str, more: &[&str]) -> Ran {
        let (bundle, ark) = (self.path("bundle"), self.path("ark.der"));
        cloudtaser(
            &[&["evidence", "verify", &bundle, "--insecure-trust-root", &ark, "--at", at], more].concat(),
        )
    }
}

/// What the verifier decides.
fn decided(chip: &Chip, change: impl FnOnce(ReportBuilder) -> ReportBuilder) -> Bundle {
    let offered = OfferedKey { kem: Kem::X25519, public: vec![9; 32] };
    let challenge = || Challenge {
        nonce: [7; 32],
        context: "release/db".to_owned(),
        expires: JUDGED_AT.plus(120),
        answered: false,
    };
    let transcript = Transcript { nonce: &[7; 32], context: "release/db", key: &offered };
    let data = transcript.caller_data(&AwsLcRs, Platform::SevSnp).try_into().unwrap();
    let report = change(chip.report().report_data(data)).sign();
    let chain = chip.chain();
    let endorsements = Endorsements {
        certificates: vec![chain.vcek, chain.ask],
        revocation_lists: vec![chip.crl().der()],
        ..Endorsements::default()
    };
    let anchors = TrustAnchors::insecure_simulated(&[chain.ark]).unwrap();
    let text = document::policy(&[]);
    let policy = Policy::parse(&AwsLcRs, &text).unwrap();
    let evidence = attest::parse(Platform::SevSnp, &report).unwrap();
    let prepared = attest::prepare(&evidence, &endorsements, &AwsLcRs, &anchors, JUDGED_AT);
    let question = Question { evidence: &evidence, challenge: challenge(), offered: offered.clone() };
    let context = Context { crypto: &AwsLcRs, policy: &policy, standing: None };
    let appraisal = match decide(question, prepared.as_ref(), context, JUDGED_AT).unwrap() {
        Ok(admitted) => admitted.appraisal().clone(),
        Err(refused) => refused.appraisal().clone(),
    };
    Bundle {
        request: "release of 5a17ed".to_owned(),
        verifier: "test 0.1.0".to_owned(),
        platform: Platform::SevSnp,
        evidence: report.clone(),
        endorsements,
        attestation_keys: Vec::new(),
        challenge: challenge(),
        offered,
        policy: text,
        standing: None,
        appraisal,
    }
}

#[test]
fn an_authentic_admission_is_reproduced() {
    let archive = Archive::of(|report| report);
    let answer = archive.verify(&["-o", "json"]).ends(0).json();
    assert_eq!((&answer["verdict"], &answer["authenticated"]), (&json!("accepted"), &json!(true)));
    assert_eq!((&answer["signer"], &answer["roots"]), (&json!(archive.key_id), &json!("simulated")));
    assert_eq!(answer["decision"]["verdict"], "admitted");
    assert_eq!(answer["decision"]["request"], "release of 5a17ed");
    assert_eq!(
        (&answer["decision"]["at"], &answer["decision"]["policy"]),
        (&json!(NOW), &json!("simulated"))
    );
    assert_eq!((&answer["today"]["verdict"], &answer["differences"]), (&json!("admitted"), &json!([])));
}

#[test]
fn an_authentic_refusal_is_reproduced_with_its_reasons() {
    let archive = Archive::of(ReportBuilder::debug);
    let ran = archive.verify(&[]).ends(0);
    assert!(ran.lines()[0].starts_with("SIMULATED ROOTS"), "{}", ran.out);
    assert!(ran.lines()[1].contains("\"refused\" is reproduced byte for byte"), "{}", ran.out);
    assert!(ran.out.contains("fail    snp.policy.debug\n"), "{}", ran.out);
    assert!(ran.out.contains("\ntoday, 2026-11-21T00:00:00Z: refused as then\n"), "{}", ran.out);
    assert_eq!(ran.lines().first(), ran.lines().last());
}

#[test]
fn without_a_pinned_key_there_is_no_verdict_but_a_way_to_one() {
    let archive = Archive::of(|report| report);
    let ran = archive.verify_at(NOW, &[]).ends(2);
    assert!(ran.err.contains(&archive.key_id) && ran.err.contains("--verifier-key"), "{}", ran.err);
    let answer = archive.verify_at(NOW, &["-o", "json"]).ends(2).json();
    assert_eq!(
        (&answer["verdict"], &answer["error"]["code"]),
        (&json!("not-judged"), &json!("verifier.unpinned"))
    );
}

#[test]
fn a_bundle_by_another_verifier_is_refused_unread() {
    let archive = Archive::of(|report| report);
    let ran = archive.verify_at(NOW, &["--verifier-key", &"11".repeat(32), "-o", "json"]).ends(1);
    assert_eq!((ran.failing(), &ran.json()["decision"]), (vec!["bundle.signature".to_owned()], &Value::Null));
}

#[test]
fn a_pinned_key_may_stand_in_a_file() {
    let archive = Archive::of(|report| report);
    let file = archive.write("verifier.key", &hex::decode(&archive.key).unwrap());
    archive.verify_at(NOW, &["--verifier-key", &file]).ends(0);
    let wrong = archive.write("wrong.key", b"no key");
    let ran = archive.verify_at(NOW, &["--verifier-key", &wrong]).ends(2);
    assert!(ran.err.contains("wrong.key, found 6 other bytes (verifier.key)"), "{}", ran.err);
}

#[test]
fn a_tampered_bundle_is_refused() {
    let archive = Archive::of(|report| report);
    let mut file = std::fs::read(archive.path("bundle")).unwrap();
    let at = file.windows(10).position(|window| window == b"release of").unwrap();
    file[at] ^= 1;
    archive.write("bundle", &file);
    assert_eq!(archive.verify(&["-o", "json"]).ends(1).failing(), ["bundle.signature"]);
    // Whoever asks for no signature sees the change, with a warning first and last.
    let ran = archive.verify_at(NOW, &["--insecure-any-verifier"]).ends(0);
    assert!(ran.lines()[0].starts_with("UNAUTHENTICATED: "), "{}", ran.out);
    assert!(ran.out.contains("selease of 5a17ed"), "{}", ran.out);
}

#[test]
fn a_verifier_that_recorded_another_decision_is_caught() {
    let archive = Archive::altered(ReportBuilder::debug, |bundle| {
        let debug = bundle.appraisal.checks.iter_mut().find(|check| check.id == "snp.policy.debug").unwrap();
        debug.verdict = attest::Answer::Pass;
        "clear".clone_into(&mut debug.found);
    });
    let answer = archive.verify(&["-o", "json"]).ends(1);
    assert_eq!(answer.failing(), ["bundle.replay"]);
    let difference = &answer.json()["differences"][0];
    assert_eq!(difference["what"], "snp.policy.debug");
    assert_eq!(difference["recorded"], "pass: expected clear, found clear");
    assert_eq!(difference["replayed"], "fail: expected clear, found set");
}

#[test]
fn a_decision_under_roots_that_the_auditor_does_not_trust_is_not_reproduced() {
    let archive = Archive::of(|report| report);
    let words = ["evidence", "verify", &archive.path("bundle"), "--verifier-key", &archive.key, "--at", NOW];
    let ran = cloudtaser(&words).ends(1);
    assert!(
        ran.out.contains("differs roots\n        recorded  simulated\n        replayed  vendor\n"),
        "{}",
        ran.out
    );
    let found = "found     another appraisal under vendor roots; the record says simulated roots: name the \
                 simulator's with --insecure-trust-root\n";
    assert!(ran.out.contains(found), "{}", ran.out);
}

/// The bundle carries its lists: the same decision no longer comes out once they have run out.
#[test]
fn moved_past_next_update_the_decision_no_longer_holds() {
    let archive = Archive::of(|report| report);
    let pinned = ["--verifier-key", &archive.key, "-o", "json"];
    let last = archive.verify_at("2026-12-20T23:59:59Z", &pinned).ends(0).json();
    assert_eq!(last["today"]["verdict"], "admitted");
    let past = archive.verify_at("2026-12-21T00:00:00Z", &pinned).ends(0).json();
    assert_eq!((&past["verdict"], &past["today"]["verdict"]), (&json!("accepted"), &json!("refused")));
    assert_eq!(failing(&past["today"]["checks"]), ["snp.crl.current"]);
    assert_eq!(past["today"]["since"], json!(["snp.crl.current"]));
}

#[test]
fn a_chip_that_was_revoked_since_shows_with_a_newer_list() {
    let archive = Archive::of(|report| report);
    let newer =
        archive.chip.crl().this_update(EPOCH + 86_400).next_update(EPOCH + 86_400 * 400).revoke(0x20002);
    let newer = archive.write("newer.crl", &newer.der());
    let words = ["--verifier-key", &archive.key, "--endorsements", &newer];
    let ran = archive.verify_at("2027-06-01T00:00:00Z", &words).ends(0);
    let line = "today, 2027-06-01T00:00:00Z: would be refused, because since then:\n  snp.crl.intermediate: ";
    assert!(ran.out.contains(line), "{}", ran.out);
}

#[test]
fn a_bundle_is_shown_unverified() {
    let archive = Archive::of(ReportBuilder::debug);
    let ran = cloudtaser(&["evidence", "show", &archive.path("bundle")]).ends(0);
    assert_eq!(ran.lines()[0], "UNVERIFIED: nothing here was checked");
    assert_eq!(ran.lines().first(), ran.lines().last());
    for row in
        ["release of 5a17ed", &archive.key_id, "fail    snp.policy.debug", "measurement", "version = 7"]
    {
        assert!(ran.out.contains(row), "{row}: {}", ran.out);
    }
}

#[test]
fn what_is_no_bundle_is_no_verdict() {
    let archive = Archive::of(|report| report);
    let file = std::fs::read(archive.path("bundle")).unwrap();
    let code = |bytes: &[u8]| {
        archive.write("bundle", bytes);
        archive.verify(&["-o", "json"]).ends(2).json()["error"]["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(code(b""), "bundle.malformed");
    assert_eq!(code(&file[..file.len() - 1]), "bundle.malformed");
    assert_eq!(code(&[file.as_slice(), &[0]].concat()), "bundle.malformed");
    assert_eq!(code(&vec![0; 4 * 1024 * 1024 + 1]), "input.too_long");
}

#[test]
fn a_value_in_a_bundle_does_not_drive_the_terminal() {
    let archive =
        Archive::altered(|report| report, |bundle| "\u{1b}[2Jowned\n".clone_into(&mut bundle.request));
    let ran = archive.verify(&[]).ends(0);
    assert!(!ran.out.contains('\u{1b}') && ran.out.contains("\\u{1b}[2Jowned\\n"), "{}", ran.out);
}
