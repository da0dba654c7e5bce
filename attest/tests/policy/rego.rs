//! The Rego hook: it can refuse, and nothing else; what goes wrong in it refuses.

use attest::crypto::{AwsLcRs, RustCrypto};
use attest::{Answer, BadPolicy, Policy};
use simulator::snp::{Chip, Product};

use crate::case::{Case, Outcome};
use crate::silicon::vcek_case;

fn under(module: &str) -> Case {
    let case = vcek_case(&Chip::new(1, Product::Genoa), |report| report);
    case.policy(|policy| policy.with("rego.module", &format!("'''{module}'''")))
}

fn parse_error(module: &str) -> String {
    match Policy::parse(&AwsLcRs, &under(module).policy.text()) {
        Err(BadPolicy::Rego(why)) => why,
        other => panic!("{module}: {other:?}"),
    }
}

#[test]
fn a_module_without_objection_leaves_one_check_that_passed() {
    let record = under("package cloudtaser\ndeny contains \"x\" if input.claims.vmpl == 3").admitted();
    let asked: Vec<_> = record.checks.iter().filter(|check| check.id == "policy.rego").collect();
    assert_eq!((asked.len(), asked[0].verdict), (1, Answer::Pass));
}

#[test]
fn each_objection_is_a_failing_check_with_its_message() {
    let module = r#"package cloudtaser
deny contains "second" if input.claims.guest_svn < 7
deny contains msg if {
    some check in input.checks
    check.id == "snp.vmpl"
    msg := sprintf("first: %s as %s in %s", [check.id, check.verdict, input.policy.name])
}"#;
    let record = under(module).refused_by(&["policy.rego", "policy.rego"]);
    let found: Vec<&str> = record.failing().map(|check| check.found.as_str()).collect();
    assert_eq!(found, ["first: snp.vmpl as pass in simulated", "second"]);
}

#[test]
fn the_older_spelling_of_a_rule_is_understood() {
    under("package cloudtaser\nimport rego.v1\ndeny contains msg if { msg := \"no\" }")
        .refused_by(&["policy.rego"]);
}

#[test]
fn a_module_cannot_admit_what_the_document_refuses() {
    let module = "package cloudtaser\nallow := true\ndeny contains \"x\" if false";
    let case = vcek_case(&Chip::new(1, Product::Genoa), |report| report.vmpl(1));
    let case = case.policy(|policy| policy.with("rego.module", &format!("'''{module}'''")));
    case.refused_by(&["snp.vmpl"]);
}

#[test]
fn a_module_sees_what_was_waived() {
    let module = r#"package cloudtaser
deny contains check.id if { some check in input.checks; check.verdict == "waived" }"#;
    let case = vcek_case(&Chip::new(1, Product::Genoa), |report| report.vmpl(1));
    let case = case.policy(|policy| {
        policy.waiving(&["snp.vmpl"], "2030-01-01T00:00:00Z").with("rego.module", &format!("'''{module}'''"))
    });
    assert_eq!(case.refused_by(&["policy.rego"]).failing().next().unwrap().found, "snp.vmpl");
}

#[test]
fn what_does_not_compile_does_not_parse() {
    assert!(parse_error("package other\ndeny contains \"x\" if false").contains("package"));
    assert!(!parse_error("package cloudtaser\ndeny contains {").is_empty());
    assert!(!parse_error("package cloudtaser\nallow := true").is_empty());
    assert!(!parse_error("").is_empty());
}

#[test]
fn a_deny_that_is_no_set_of_texts_does_not_parse() {
    for module in ["deny := true", "deny := [\"x\"]", "deny contains 7", "deny := {\"a\": 1}"] {
        let why = parse_error(&format!("package cloudtaser\n{module}"));
        assert!(why.contains("deny"), "{module}: {why}");
    }
}

#[test]
fn what_turns_out_to_be_no_set_of_texts_refuses() {
    let odd = "package cloudtaser\ndeny contains input.claims.vmpl if input.claims";
    let record = under(odd).refused_by(&["policy.rego"]);
    assert!(record.failing().next().unwrap().found.contains("no text"), "{record:?}");
    let many = "package cloudtaser\ndeny contains msg if { some a in input.checks; msg := a.id }";
    let record = under(many).refused_by(&["policy.rego"]);
    assert!(record.failing().next().unwrap().found.contains("more than 32"), "{record:?}");
}

/// What answers differently each time, or reaches outside, is not there.
#[test]
fn there_is_no_clock_no_network_and_no_random_source() {
    for call in [
        "time.now_ns()",
        "rand.intn(\"x\", 10)",
        "http.send({})",
        "opa.runtime()",
        "uuid.rfc4122(\"x\")",
        "net.lookup_ip_addr(\"x\")",
        "numbers.range(0, 1000000000000)",
        "bits.lsh(1, 1000000000000)",
    ] {
        let module = format!("package cloudtaser\ndeny contains \"x\" if {{ y := {call}; y == 1 }}");
        assert!(!parse_error(&module).is_empty(), "{call}");
    }
}

/// The budget is counted in steps, not in seconds: the same work ends at the same step on every machine.
#[test]
fn too_much_work_refuses_and_always_the_same_way() {
    let busy = r#"package cloudtaser
deny contains "never" if {
    some a in input.checks; some b in input.checks; some c in input.checks; some d in input.checks
    sprintf("%s%s%s%s", [a.id, b.id, c.id, d.id]) == "x"
}"#;
    let case = under(busy);
    let record = case.refused_by(&["policy.rego"]);
    assert!(record.failing().next().unwrap().found.contains("budget"), "{record:?}");
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let case = case.clone();
            std::thread::spawn(move || case.refused().to_cbor())
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), record.to_cbor());
    }
}

#[test]
fn a_replay_gives_the_same_bytes_under_both_providers() {
    let module = r#"package cloudtaser
deny contains sprintf("%v", [input.claims.measurement]) if count(input.checks) > 3"#;
    let case = under(module);
    let first = case.refused_by(&["policy.rego"]).to_cbor();
    let Outcome::Refused(second) = case.judge_with(&RustCrypto) else { panic!("admitted") };
    assert_eq!(first, second.to_cbor());
}

/// Lesson L5: beside the module there is nothing.
#[test]
fn l05_an_unknown_field_beside_the_module_does_not_parse() {
    let text =
        under("package cloudtaser\ndeny contains \"x\" if false").policy.with("rego.allow", "true").text();
    assert!(matches!(Policy::parse(&AwsLcRs, &text), Err(BadPolicy::Document(_))));
}
