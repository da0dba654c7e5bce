//! Workloads: whose token came with the evidence, and what it is granted.

use attest::crypto::AwsLcRs;
use attest::workload::{Found, Pods, Presented, Purpose};
use attest::{
    Admitted, Context, Digest, Endorsements, Policy, Question, Refused, Standing, UnixTime, Workload,
};
use attest::{decide, parse, prepare};
use simulator::snp::{Chip, Product};

use crate::case::{Asked, Case, failing};
use crate::silicon::vcek_case;

const TOKEN: Digest<32> = Digest([3; 32]);

const POD: &str = "7f1c";

/// A machine that answers for `release/db` and the token of this digest from its pod, under a policy with these grants.
fn case(signed: Option<Digest<32>>, grants: &str) -> Case {
    case_in(signed.is_some().then_some(POD), signed, grants)
}

fn case_in(pod: Option<&str>, signed: Option<Digest<32>>, grants: &str) -> Case {
    let chip = Chip::new(1, Product::Genoa);
    let mut asked = Asked::usual(vcek_case(&chip, |report| report).now);
    asked.context = Purpose { path: "release/db", token: signed, protection: None, pod }.to_string();
    let data = asked.caller_data(attest::Platform::SevSnp).try_into().unwrap();
    let case = vcek_case(&chip, |report| report.report_data(data));
    let case = if grants.is_empty() { case } else { case.policy(|policy| policy.with("grant", grants)) };
    Case { asked, ..case }
}

fn app(case: &Case) -> Workload {
    Workload {
        issuer: "https://cluster.example".to_owned(),
        subject: "system:serviceaccount:prod:app".to_owned(),
        namespace: Some("prod".to_owned()),
        service_account: Some("app".to_owned()),
        pod: Some(POD.to_owned()),
        node: None,
        image_digest: Some(format!("sha256:{}", "0a".repeat(32))),
        spiffe_id: None,
        from: case.now,
        until: case.now.plus(60),
    }
}

fn presented(found: Found) -> Presented {
    Presented { token: TOKEN, found, pods: Some(Pods::Attested) }
}

fn genuine(case: &Case) -> Presented {
    presented(Found::Genuine(Box::new(app(case))))
}

fn judge(case: &Case, workload: Option<Presented>) -> Result<Admitted, Refused> {
    let policy = Policy::parse(&AwsLcRs, &case.policy.text()).unwrap();
    let evidence = parse(case.platform, &case.evidence).unwrap();
    let endorsements: &Endorsements = &case.endorsements;
    let prepared = prepare(&evidence, endorsements, &AwsLcRs, &case.anchors, case.now);
    let (challenge, offered) = (case.asked.challenge(), case.asked.key.clone());
    let question = Question { evidence: &evidence, challenge, offered };
    let standing = Standing { workload, ..Standing::default() };
    let context = Context { crypto: &AwsLcRs, policy: &policy, standing: Some(&standing) };
    decide(question, prepared.as_ref(), context, case.now).unwrap()
}

#[track_caller]
fn refused(case: &Case, workload: Option<Presented>, by: &[&str]) -> Vec<String> {
    let refused = judge(case, workload).unwrap_err();
    let appraisal = refused.appraisal();
    assert_eq!(failing(appraisal), by, "{appraisal:#?}");
    assert!(refused.failed().is_none(), "a token says nothing of the machine's state");
    appraisal.failing().map(|check| check.found.clone()).collect()
}

#[test]
fn a_workload_whose_token_the_hardware_signed_gets_what_its_grant_says() {
    let image = format!("sha256:{}", "0A".repeat(32));
    for selectors in [
        r#"namespace = { any_of = ["dev", "prod"] }, service_account = { any_of = ["app"] }"#.to_owned(),
        r#"issuer = { any_of = ["https://cluster.example"] }"#.to_owned(),
        format!(r#"image_digest = {{ any_of = ["{image}"] }}"#),
    ] {
        let case =
            case(Some(TOKEN), &format!(r#"[{{ paths = {{ any_of = ["release/*"] }}, {selectors} }}]"#));
        let admitted = judge(&case, Some(genuine(&case))).unwrap();
        assert_eq!(admitted.workload(), Some(&app(&case)));
        assert_eq!(admitted.valid_until(), case.now.plus(60), "no longer than the token");
        let words: Vec<&str> = admitted.appraisal().checks.iter().map(|check| check.found.as_str()).collect();
        assert!(words.iter().any(|word| word.contains("namespace prod, service account app, pod 7f1c")));
    }
}

#[test]
fn a_workload_that_no_grant_names_is_refused_by_name() {
    for selectors in [
        r#"namespace = { any_of = ["dev"] }, service_account = { any_of = ["app"] }"#,
        r#"namespace = { any_of = ["prod"] }, service_account = { any_of = ["web"] }"#,
        r#"namespace = { any_of = ["prod"] }, issuer = { any_of = ["https://other.example"] }"#,
        r#"spiffe_id = { any_of = ["spiffe://example.org/app"] }"#,
    ] {
        let case =
            case(Some(TOKEN), &format!(r#"[{{ paths = {{ any_of = ["release/*"] }}, {selectors} }}]"#));
        let found = refused(&case, Some(genuine(&case)), &["policy.grant"]);
        assert!(found[0].starts_with("release/db, and system:serviceaccount:prod:app of"), "{found:?}");
    }
}

#[test]
fn a_token_that_the_hardware_did_not_sign_is_refused() {
    let grant = r#"[{ paths = { any_of = ["release/*"] }, namespace = { any_of = ["prod"] } }]"#;
    let unsigned = case(None, grant);
    let found =
        refused(&unsigned, Some(genuine(&unsigned)), &["workload.bound", "workload.pod", "policy.grant"]);
    let nowhere = "no pod that an agent stamped".to_owned();
    assert_eq!(
        found,
        [format!("{TOKEN}, unsigned"), nowhere, "release/db, and no verified workload".to_owned()]
    );
    let another = case(Some(Digest([4; 32])), "");
    let found = refused(&another, Some(genuine(&another)), &["workload.bound"]);
    assert_eq!(found, [format!("token {TOKEN}")]);
}

#[test]
fn a_token_that_the_hardware_signed_and_nobody_brought_is_refused() {
    assert_eq!(refused(&case(Some(TOKEN), ""), None, &["workload.bound"]), ["no token"]);
    // Also where the verifier keeps no knowledge at all.
    case(Some(TOKEN), "").refused_by(&["workload.bound"]);
}

#[test]
fn a_token_that_is_not_genuine_is_refused_and_names_nobody() {
    let case =
        case(Some(TOKEN), r#"[{ paths = { any_of = ["release/*"] }, namespace = { any_of = ["prod"] } }]"#);
    let token = presented(Found::Refused("aud: expected bao".to_owned()));
    let found = refused(&case, Some(token), &["workload.token", "policy.grant"]);
    assert_eq!(found, ["aud: expected bao", "release/db, and no verified workload"]);
}

#[test]
fn a_token_holds_from_its_beginning_to_its_end_and_not_a_second_longer() {
    let case = case(Some(TOKEN), "");
    for (from, until, good) in [(60, 61, true), (0, 1, true), (61, 90, false), (0, 0, false)] {
        let workload = Workload { from: case.now.plus(from), until: case.now.plus(until), ..app(&case) };
        let presented = Some(presented(Found::Genuine(Box::new(workload))));
        if good {
            assert_eq!(judge(&case, presented).unwrap().valid_until(), case.now.plus(until));
        } else {
            refused(&case, presented, &["workload.current"]);
        }
    }
    let ever = Workload { from: UnixTime(0), until: UnixTime::MAX, ..app(&case) };
    let admitted = judge(&case, Some(presented(Found::Genuine(Box::new(ever))))).unwrap();
    assert_eq!(admitted.valid_until(), case.admitted_until());
}

/// What a stolen token is worth in the pod of the thief: nothing, though the machine is good and signed it.
#[test]
fn a_token_in_another_pod_than_its_own_is_refused_by_name() {
    let grant = r#"[{ paths = { any_of = ["release/*"] }, namespace = { any_of = ["prod"] } }]"#;
    for (stamp, why) in [(Some("8a2d"), "pod 8a2d"), (None, "no pod that an agent stamped")] {
        let case = case_in(stamp, Some(TOKEN), grant);
        let found = refused(&case, Some(genuine(&case)), &["workload.pod", "policy.grant"]);
        assert_eq!(found, [why, "release/db, and no verified workload"]);
    }
}

#[test]
fn an_issuer_whose_tokens_may_claim_their_pod_is_asked_for_no_stamp_and_believed_no_contradiction() {
    let claimed = |case: &Case| Some(Presented { pods: Some(Pods::Claimed), ..genuine(case) });
    let unstamped = case_in(None, Some(TOKEN), "");
    assert_eq!(judge(&unstamped, claimed(&unstamped)).unwrap().workload(), Some(&app(&unstamped)));
    let elsewhere = case_in(Some("8a2d"), Some(TOKEN), "");
    assert_eq!(refused(&elsewhere, claimed(&elsewhere), &["workload.pod"]), ["pod 8a2d"]);
    // A record of before anybody asked stays what it was.
    judge(&elsewhere, Some(Presented { pods: None, ..genuine(&elsewhere) })).unwrap();
}

#[test]
fn a_token_that_names_no_pod_is_good_in_any() {
    let case = case_in(Some("8a2d"), Some(TOKEN), "");
    let workload = Workload { pod: None, ..app(&case) };
    judge(&case, Some(presented(Found::Genuine(Box::new(workload))))).unwrap();
}

/// Two faults are two reasons, and the purpose of an answer that is not bound was never proved.
#[test]
fn an_answer_that_is_not_bound_proves_no_token() {
    let mut case = case(Some(TOKEN), "");
    case.asked.nonce = [8; 32];
    refused(&case, Some(genuine(&case)), &["challenge.bound"]);
}

impl Case {
    /// How long the policy alone would have the verdict hold.
    fn admitted_until(&self) -> UnixTime {
        case(None, "").at(self.now).admitted().valid_until
    }
}
