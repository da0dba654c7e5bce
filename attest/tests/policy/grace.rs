//! A grace of `[tdx]` ends the verdicts on every machine that needed it, also where the TD is only a part of the
//! evidence.

use std::path::{Path, PathBuf};

use attest::crypto::AwsLcRs;
use attest::{
    Answer, Challenge, Context, Endorsements, Kem, OfferedKey, Platform, Policy, Question, Revocation,
    TrustAnchors, UnixTime, decide,
};

#[test]
fn no_verdict_on_an_azure_machine_outlives_the_grace_of_its_td() {
    let Some(folder) = folder() else { return };
    let read = |file: &str| std::fs::read(folder.join(file)).unwrap();
    let endorsements = Endorsements {
        certificates: vec![read("cases/aks-tdx/shared/tcb_signing.der")],
        revocation_lists: vec![read("cases/aks-tdx/shared/root.crl"), read("cases/aks-tdx/shared/pck.crl")],
        documents: ["tcb_info", "qe_identity"]
            .map(|name| read(&format!("cases/aks-tdx/shared/{name}.json")))
            .into(),
    };
    let anchors = TrustAnchors::insecure_simulated(&[read("cases/aks-tdx/shared/root.der")]).unwrap();
    let bytes = read("cases/aks-tdx/admitted/evidence.bin");
    let evidence = attest::parse(Platform::AzureTdx, &bytes).unwrap();
    let now = UnixTime::parse("2026-11-21T00:00:00Z").unwrap();
    let prepared = endorsements.prepare(&AwsLcRs, &evidence, &anchors, Revocation::Required, now);
    let text = String::from_utf8(read("measured/aks-tdx.toml")).unwrap();
    let graced = r#"grace = [{ status = "UpToDate", until = "2026-11-21T00:01:00Z" }]
tcb_status = { any_of = ["OutOfDate"] }"#;
    let plain = r#"tcb_status = { any_of = ["UpToDate"] }"#;
    assert!(text.contains(plain));
    for (status, seconds) in [(plain, 300), (graced, 60)] {
        let text = format!("insecure-accept-simulated-roots = true\n{}", text.replace(plain, status));
        let policy = Policy::parse(&AwsLcRs, &text).unwrap();
        let question = Question {
            evidence: &evidence,
            challenge: Challenge {
                nonce: [7; 32],
                context: "release/db".to_owned(),
                expires: now.plus(3600),
                answered: false,
            },
            offered: OfferedKey { kem: Kem::X25519, public: vec![9; 32] },
        };
        let context = Context { crypto: &AwsLcRs, policy: &policy, standing: None };
        let admitted = decide(question, prepared.as_ref(), context, now).unwrap().unwrap();
        let record = admitted.appraisal();
        let waived = record.checks.iter().any(|check| check.verdict == Answer::Waived);
        assert_eq!((record.valid_until, waived), (now.plus(seconds), seconds == 60));
    }
}

/// The policies are part of the repository, not of the package.
fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
    folder.is_dir().then_some(folder)
}
