//! What a policy asks of Nitro documents, field by field.

use attest::crypto::AwsLcRs;
use attest::{Appraisal, BadPolicy, Policy};
use simulator::nitro::{DocumentBuilder, Kind, Module};

use crate::case::Case;
use crate::document::Document;
use crate::security_module::{admitting, enclave, instance, of, register, with_key};
use crate::silicon::NOW;

#[test]
fn a_field_that_is_not_set_refuses_by_name() {
    for (field, ids) in [
        ("nitro.pcrs", &["nitro.pcr.image", "nitro.pcr.values"][..]),
        ("nitro.role", &["nitro.role"]),
        ("nitro.instances", &["nitro.instance"]),
        ("nitro.regions", &["nitro.region"]),
        ("nitro.public_key", &["nitro.public_key"]),
        ("nitro.max_age_seconds", &["nitro.document.age"]),
    ] {
        enclave(|document| document).policy(|policy| policy.without(field)).refused_by(ids);
    }
    for (field, ids) in [
        ("nitro-tpm.pcrs", &["nitro-tpm.pcr.together", "nitro-tpm.pcr.values"][..]),
        ("nitro-tpm.instances", &["nitro.instance"]),
        ("nitro-tpm.regions", &["nitro.region"]),
        ("nitro-tpm.public_key", &["nitro.public_key"]),
        ("nitro-tpm.max_age_seconds", &["nitro.document.age"]),
    ] {
        instance(|document| document).policy(|policy| policy.without(field)).refused_by(ids);
    }
}

#[test]
fn a_section_for_one_kind_says_nothing_of_the_other() {
    let mut case = enclave(|document| document);
    case.policy = admitting(Kind::Tpm);
    case.refused_by(&["policy.platform"]);
    let mut case = instance(|document| document);
    case.policy = admitting(Kind::Enclave);
    case.refused_by(&["policy.platform"]);
}

/// Zero registers are what `--debug-mode` attests: no rule, and no waiver, reaches them.
#[test]
fn a_debug_enclave_is_refused_whatever_the_policy() {
    let ids = ["nitro.pcr0.nonzero", "nitro.pcr1.nonzero", "nitro.pcr2.nonzero"];
    let debug = |policy: Document| {
        let case = enclave(DocumentBuilder::debug);
        case.policy(|_| policy)
    };
    let lax = admitting(Kind::Enclave).with("nitro.pcrs", r#""any""#);
    debug(lax.clone()).refused_by(&ids);
    debug(admitting(Kind::Enclave))
        .refused_by(&[&ids[..], &["nitro.pcr.0", "nitro.pcr.1", "nitro.pcr.2"]].concat());
    for id in ids {
        assert_eq!(
            Policy::parse(&AwsLcRs, &lax.clone().waiving(&[id], "2048-01-01T00:00:00Z").text()).err(),
            Some(BadPolicy::Waiver(id.to_owned()))
        );
    }
    let half = enclave(|document| document.pcr(1, &[0; 48])).policy(|_| lax.clone());
    half.refused_by(&["nitro.pcr1.nonzero"]);
    enclave(|document| document.without_pcr(2)).policy(|_| lax).refused_by(&["nitro.pcr2.nonzero"]);
}

#[test]
fn an_instance_that_measured_no_boot_is_refused_whatever_the_policy() {
    let lax = || admitting(Kind::Tpm).with("nitro-tpm.pcrs", r#""any""#);
    for (index, id) in [(4, "nitro-tpm.pcr4.nonzero"), (7, "nitro-tpm.pcr7.nonzero")] {
        instance(|document| document.pcr(index, &[0; 48])).policy(|_| lax()).refused_by(&[id]);
        instance(|document| document.without_pcr(index)).policy(|_| lax()).refused_by(&[id]);
    }
    instance(|document| document.pcr(12, &[1; 48])).policy(|_| lax()).admitted();
}

#[test]
fn another_value_of_a_register_is_refused_by_its_number() {
    for (index, id) in [(0, "nitro.pcr.0"), (1, "nitro.pcr.1"), (2, "nitro.pcr.2")] {
        enclave(|document| document.pcr(index, &[1; 48])).refused_by(&[id]);
    }
    for (index, id) in [(4, "nitro-tpm.pcr.4"), (7, "nitro-tpm.pcr.7"), (12, "nitro-tpm.pcr.12")] {
        instance(|document| document.pcr(index, &[1; 48])).refused_by(&[id]);
    }
    enclave(|document| document.pcr(16, &[1; 48])).admitted();
    let absent = ruling(Kind::Enclave, &[0, 1, 2], 16);
    enclave(|document| document).policy(|_| absent).refused_by(&["nitro.pcr.16"]);
}

/// A new release beside the one in use: either is admitted, by name.
#[test]
fn a_register_may_have_several_values() {
    let old = hex::encode(register(&Module::enclave(1), 0));
    let new = "ab".repeat(48);
    let reference =
        |id: &str, value: &str| format!(r#"{{ id = "{id}", value = "{value}", provenance = "test" }}"#);
    let references = format!("[{}, {}]", reference("old", &old), reference("new", &new.to_uppercase()));
    let policy = admitting(Kind::Enclave)
        .with("reference", &references)
        .with("nitro.pcrs", r#"[{ index = 0, any_of = ["old", "new"] }]"#);
    enclave(|document| document).policy(|_| policy.clone()).admitted();
    enclave(|document| document.pcr(0, &[0xab; 48])).policy(|_| policy.clone()).admitted();
    enclave(|document| document.pcr(0, &[0xac; 48])).policy(|_| policy).refused_by(&["nitro.pcr.0"]);
}

#[test]
fn rules_that_leave_out_the_image_or_one_of_the_three_are_refused() {
    let rules = |kind, indices: &[u8]| ruling(kind, indices, indices[0]);
    enclave(|document| document).policy(|_| rules(Kind::Enclave, &[1, 2])).refused_by(&["nitro.pcr.image"]);
    let signed = enclave(|document| document.pcr(8, &[0x5a; 48]));
    let by_signer = admitting(Kind::Enclave)
        .with(
            "reference",
            &format!(r#"[{{ id = "signer", value = "{}", provenance = "test" }}]"#, "5a".repeat(48)),
        )
        .with("nitro.pcrs", r#"[{ index = 8, any_of = ["signer"] }]"#);
    signed.policy(|_| by_signer).admitted();
    for indices in [[4, 7], [4, 12], [7, 12]] {
        let policy = rules(Kind::Tpm, &indices);
        instance(|document| document).policy(|_| policy).refused_by(&["nitro-tpm.pcr.together"]);
    }
}

/// PCR 3 is the hash of a name: the policy has the name.
#[test]
fn the_parents_role_is_written_as_its_arn() {
    let arn = "arn:aws:iam::123456789012:role/db";
    let role = |rule: &str| {
        let rule = rule.to_owned();
        move |policy: Document| policy.with("nitro.role", &rule)
    };
    let with_role = || enclave(|document| document.role(arn));
    with_role().refused_by(&["nitro.role"]);
    with_role().policy(role(&format!(r#"{{ any_of = ["none", "{arn}"] }}"#))).admitted();
    with_role().policy(role(&format!(r#"{{ any_of = ["{arn}x"] }}"#))).refused_by(&["nitro.role"]);
    with_role().policy(role(r#""any""#)).admitted();
    let value = "cd".repeat(48);
    let in_hex = role(&format!(r#"{{ any_of = ["{value}"] }}"#));
    enclave(|document| document.pcr(3, &[0xcd; 48])).policy(in_hex).admitted();
    enclave(|document| document.without_pcr(3)).refused_by(&["nitro.role"]);
    for odd in ["role/db", "", "ARN:aws", "cd"] {
        let policy = admitting(Kind::Enclave).with("nitro.role", &format!(r#"{{ any_of = ["{odd}"] }}"#));
        assert_eq!(bad(&policy), BadPolicy::Nitro(format!("role {odd:?}")));
    }
}

/// The two hashes that AWS' own documents show: of an instance's id, and so of any name.
#[test]
fn a_name_is_hashed_as_aws_hashes_it() {
    let module = Module::enclave(1);
    let expected = attest::Crypto::sha384(&AwsLcRs, &[&[0; 48], module.instance().as_bytes()]);
    assert_eq!(register(&module, 4), expected.0);
    // A document of 2024 whose module's id begins with this instance.
    let real = attest::Crypto::sha384(&AwsLcRs, &[&[0; 48], b"i-0f1cd77d37fd8bcc9"]);
    assert!(real.to_string().starts_with("45ff8769d16a46d16fcf4b872b546b02d587267a16d2325f"));
}

#[test]
fn another_instance_or_region_is_refused() {
    of(&Module::enclave(2), |document| document).refused_by(&["nitro.instance"]);
    of(&Module::tpm(2), |document| document).refused_by(&["nitro.instance"]);
    let elsewhere = Module::enclave(1).in_region("us-east-1");
    of(&elsewhere, |document| document).refused_by(&["nitro.region"]);
    of(&Module::enclave(1).in_region("eu-north-1"), |document| document).admitted();
}

#[test]
fn a_policy_may_want_no_key_in_the_document() {
    let absent = |policy: Document| policy.with("nitro.public_key", r#""absent""#);
    enclave(|document| document).policy(absent).admitted();
    enclave(with_key).policy(absent).refused_by(&["nitro.public_key"]);
}

#[test]
fn a_document_older_than_the_policy_allows_is_refused() {
    let aged = |seconds: u64| enclave(|document| document).at(attest::UnixTime(NOW.0 + seconds));
    let late = |case: Case| {
        let mut case = case;
        case.asked.expires = case.now.plus(60);
        case
    };
    late(aged(300)).admitted();
    late(aged(301)).refused_by(&["nitro.document.age"]);
}

#[test]
fn a_rule_for_a_register_that_there_is_none_of_is_no_policy() {
    for kind in [Kind::Enclave, Kind::Tpm] {
        assert_eq!(bad(&ruling(kind, &[0, 4, 7], 32)), BadPolicy::Nitro("PCR 32".to_owned()));
    }
    let section = admitting(Kind::Tpm).with("nitro-tpm.role", r#""any""#);
    assert!(matches!(bad(&section), BadPolicy::Document(_)));
    let dangling = admitting(Kind::Enclave).with("nitro.pcrs", r#"[{ index = 0, any_of = ["nobody"] }]"#);
    assert_eq!(bad(&dangling), BadPolicy::Dangling("nobody".to_owned()));
}

/// The verdict ends with the certificates, and the record names both.
#[test]
fn a_verdict_does_not_outlive_the_leaf() {
    let long = |policy: Document| policy.with("freshness.verdict_seconds", "1000000");
    let record: Appraisal = enclave(|document| document).policy(long).admitted();
    assert_eq!(record.valid_until.0, NOW.0 + 3 * 3600 - 120 + 1);
}

fn bad(policy: &Document) -> BadPolicy {
    Policy::parse(&AwsLcRs, &policy.text()).unwrap_err()
}

/// The admitting policy with rules for these registers, and one more.
fn ruling(kind: Kind, indices: &[u8], more: u8) -> Document {
    let section = if kind == Kind::Enclave { "nitro" } else { "nitro-tpm" };
    let module = if kind == Kind::Enclave { Module::enclave(1) } else { Module::tpm(1) };
    let mut all = indices.to_vec();
    if !all.contains(&more) {
        all.push(more);
    }
    let value = |index: u8| if index < 16 { hex::encode(register(&module, index)) } else { "11".repeat(48) };
    let references: Vec<String> = all
        .iter()
        .map(|index| format!(r#"{{ id = "pcr{index}", value = "{}", provenance = "test" }}"#, value(*index)))
        .collect();
    let rules: Vec<String> =
        all.iter().map(|index| format!(r#"{{ index = {index}, any_of = ["pcr{index}"] }}"#)).collect();
    admitting(kind)
        .with("reference", &format!("[{}]", references.join(", ")))
        .with(&format!("{section}.pcrs"), &format!("[{}]", rules.join(", ")))
}
