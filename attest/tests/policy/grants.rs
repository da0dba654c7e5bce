//! Grants: what an admitted machine may ask for.

use attest::crypto::AwsLcRs;
use attest::{BadPolicy, Policy};
use simulator::snp::{Chip, Product};

use crate::case::Case;
use crate::silicon::vcek_case;

/// A machine that asks for `release/db`, under a policy with these grants.
fn under(grants: &str) -> Case {
    let case = vcek_case(&Chip::new(1, Product::Genoa), |report| report);
    case.policy(|policy| policy.with("grant", grants))
}

#[test]
fn a_purpose_that_a_grant_covers_is_admitted_and_on_record() {
    for paths in [r#"["release/db"]"#, r#"["release/*"]"#, r#"["other", "release/**"]"#, r#"["*/d*"]"#] {
        let record = under(&format!("[{{ paths = {{ any_of = {paths} }} }}]")).admitted();
        let asked = record.checks.iter().find(|check| check.id == "policy.grant").unwrap();
        assert_eq!(asked.found, "release/db");
    }
}

#[test]
fn a_purpose_that_no_grant_covers_is_refused_by_name() {
    for paths in [r#"["release/web"]"#, r#"["release/db/*"]"#, r#"["release"]"#, r#"["login/**"]"#] {
        let record = under(&format!("[{{ paths = {{ any_of = {paths} }} }}]")).refused_by(&["policy.grant"]);
        assert_eq!(record.failing().next().unwrap().found, "release/db");
    }
}

#[test]
fn a_policy_without_grants_is_not_asked() {
    let record = vcek_case(&Chip::new(1, Product::Genoa), |report| report).admitted();
    assert!(record.checks.iter().all(|check| check.id != "policy.grant"));
}

#[test]
fn a_grant_for_a_workload_refuses_as_long_as_no_workload_is_verified() {
    for selector in [
        r#"namespace = { any_of = ["prod"] }"#,
        r#"service_account = { any_of = ["db"] }"#,
        r#"spiffe_id = { any_of = ["spiffe://example.org/db"] }"#,
        &format!(r#"image_digest = {{ any_of = ["sha256:{}"] }}"#, "0a".repeat(32)),
    ] {
        let grant = format!(r#"[{{ paths = {{ any_of = ["release/db"] }}, {selector} }}]"#);
        let record = under(&grant).refused_by(&["policy.grant"]);
        let failing = record.failing().next().unwrap();
        assert!(failing.found.contains("no verified workload"), "{}", failing.found);
        // Another grant without selectors is enough.
        under(&format!(r#"[{{ paths = {{ any_of = ["release/*"] }} }}, {}"#, &grant[1..])).admitted();
    }
}

#[test]
fn a_selector_that_nothing_can_match_does_not_parse() {
    for selector in [
        r#"namespace = { any_of = [""] }"#,
        r#"image_digest = { any_of = ["sha256:00"] }"#,
        r#"image_digest = { any_of = ["latest"] }"#,
        r#"spiffe_id = { any_of = ["https://example.org"] }"#,
    ] {
        let text = under(&format!(r#"[{{ paths = {{ any_of = ["a"] }}, {selector} }}]"#)).policy.text();
        assert!(matches!(Policy::parse(&AwsLcRs, &text), Err(BadPolicy::Grant(_))), "{selector}");
    }
}

/// Lesson L5: an unknown field that was meant as a check.
#[test]
fn l05_an_unknown_selector_or_an_odd_path_does_not_parse() {
    for grant in [
        r#"{ paths = { any_of = ["a"] }, pod = { any_of = ["x"] } }"#,
        "{ paths = { any_of = [] } }",
        r#"{ paths = ["a"] }"#,
        r#"{ paths = { any_of = ["a/**/b"] } }"#,
        r#"{ namespace = { any_of = ["x"] } }"#,
        "{}",
    ] {
        let text = under(&format!("[{grant}]")).policy.text();
        assert!(matches!(Policy::parse(&AwsLcRs, &text), Err(BadPolicy::Document(_))), "{grant}");
    }
}

/// Two faults are two reasons; the purpose of an answer that is not bound was never proved.
#[test]
fn an_answer_that_is_not_bound_is_refused_for_that() {
    let case = vcek_case(&Chip::new(1, Product::Genoa), |report| report.report_data([1; 64]));
    let grant = r#"[{ paths = { any_of = ["release/web"] } }]"#;
    case.policy(|policy| policy.with("grant", grant)).refused_by(&["challenge.bound"]);
}

/// A build without the interpreter says so, and does not pass the module over.
#[cfg(not(feature = "rego"))]
#[test]
fn l05_a_module_that_this_build_cannot_run_does_not_parse() {
    let case = vcek_case(&Chip::new(1, Product::Genoa), |report| report);
    let text = case.policy(|policy| policy.with("rego.module", "'package cloudtaser'")).policy.text();
    assert_eq!(Policy::parse(&AwsLcRs, &text).unwrap_err(), BadPolicy::NoRego);
}
