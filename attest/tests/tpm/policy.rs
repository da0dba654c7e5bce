//! What the section `[tpm]` of a policy admits.

use attest::crypto::{AwsLcRs, Hash};
use attest::{Appraisal, BadPolicy, Challenge, Kem, OfferedKey, Platform, Policy, Transcript};

use super::forge::{Key, Statement, Value};
use super::judge::{NOW, genuine, ids};

const HEAD: &str = r#"
name = "vtpm"
version = 1
expires = "2030-01-01T00:00:00Z"
freshness = { verdict_seconds = 60, collateral_days = 30 }
[[reference]]
id = "secure-boot-on"
value = "1717171717171717171717171717171717171717171717171717171717171717"
provenance = "computed for this test"
"#;

const RULES: [(&str, &str); 8] = [
    ("tpm.ak.origin", r#"ak = { any_of = ["enrolled"] }"#),
    ("tpm.ak.allowed", r#"attestation_keys = "any""#),
    ("tpm.signature.hash", r#"signature_hash = { any_of = ["sha256", "sha384"] }"#),
    ("tpm.clock.safe", r#"clock_safe = "set""#),
    ("tpm.firmware_version", r#"firmware_version = { any_of = ["2019102300163636"] }"#),
    ("tpm.pcr.bank", r#"banks = { any_of = ["sha256", "sha384"] }"#),
    ("tpm.pcr.measured_boot", "required = [0, 4, 7]"),
    ("tpm.pcr.values", r#"pcrs = [{ bank = "sha256", index = 7, any_of = ["secure-boot-on"] }]"#),
];

fn policy(rules: &[&str]) -> Result<Policy, BadPolicy> {
    Policy::parse(&AwsLcRs, &format!("{HEAD}[tpm]\n{}\n", rules.join("\n")))
}

fn whole() -> Vec<&'static str> {
    RULES.iter().map(|(_, rule)| *rule).collect()
}

fn with(id: &str, rule: &'static str) -> Policy {
    let rules: Vec<&str> = RULES.iter().map(|(known, old)| if *known == id { rule } else { *old }).collect();
    policy(&rules).unwrap()
}

/// A quote that answers a challenge, appraised.
fn appraise(policy: &Policy, change: impl Fn(&mut Statement)) -> Appraisal {
    let challenge =
        Challenge { nonce: [3; 32], context: "login".to_owned(), expires: NOW.plus(60), answered: false };
    let offered = OfferedKey { kem: Kem::X25519, public: vec![9; 32] };
    let transcript = Transcript { nonce: &challenge.nonce, context: &challenge.context, key: &offered };
    let mut statement = Statement::quote(&transcript.caller_data(&AwsLcRs, Platform::Tpm2));
    change(&mut statement);
    let key = Key::new();
    let claims = genuine(&key.evidence(&statement.marshal(), &statement.values), &key.name());
    let key = challenge.redeem(&AwsLcRs, offered, &claims, NOW);
    match policy.appraise(&claims, key, NOW) {
        Ok(admitted) => admitted.appraisal().clone(),
        Err(refused) => refused.appraisal().clone(),
    }
}

fn failing(policy: &Policy, change: impl Fn(&mut Statement)) -> Vec<String> {
    ids(&appraise(policy, change).checks)
}

fn values(values: &[(Hash, u32, u8)]) -> impl Fn(&mut Statement) + use<> {
    let len = |bank| if bank == Hash::Sha1 { 20 } else { 32 };
    let values: Vec<Value> =
        values.iter().map(|(bank, index, byte)| (*bank, *index, vec![*byte; len(*bank)])).collect();
    move |statement| statement.values.clone_from(&values)
}

#[test]
fn a_measured_machine_is_admitted() {
    assert!(appraise(&policy(&whole()).unwrap(), |_| ()).admits());
}

#[test]
fn each_rule_that_is_not_set_refuses_by_name() {
    for (id, rule) in RULES {
        let rest: Vec<&str> = whole().into_iter().filter(|other| *other != rule).collect();
        let failing = failing(&policy(&rest).unwrap(), |_| ());
        assert!(failing.contains(&id.to_owned()), "{id}: {failing:?}");
    }
}

#[test]
fn a_rule_refuses_what_it_does_not_allow() {
    let zeros = format!("000b{}", "00".repeat(32));
    let keys = format!("attestation_keys = {{ any_of = [\"{zeros}\"] }}").leak();
    for (id, rule) in [
        ("tpm.ak.allowed", &*keys),
        ("tpm.signature.hash", r#"signature_hash = { any_of = ["sha384"] }"#),
        ("tpm.clock.safe", r#"clock_safe = "clear""#),
        ("tpm.firmware_version", r#"firmware_version = { any_of = ["2019102300163637"] }"#),
        ("tpm.pcr.measured_boot", "required = [0, 4, 7, 11]"),
    ] {
        assert_eq!(failing(&with(id, rule), |_| ()), [id]);
    }
}

#[test]
fn a_value_that_is_not_a_reference_is_refused_by_its_pcr() {
    let policy = policy(&whole()).unwrap();
    let other = values(&[(Hash::Sha256, 0, 1), (Hash::Sha256, 4, 2), (Hash::Sha256, 7, 3)]);
    assert_eq!(failing(&policy, other), ["tpm.pcr.sha256.7"]);
    let absent = values(&[(Hash::Sha256, 0, 1), (Hash::Sha256, 4, 2)]);
    assert_eq!(failing(&policy, absent), ["tpm.pcr.measured_boot", "tpm.pcr.sha256.7"]);
}

#[test]
fn a_machine_that_measured_nothing_is_refused() {
    let policy = with("tpm.pcr.values", r#"pcrs = "any""#);
    for reset in [0x00, 0xff] {
        let blank = values(&[(Hash::Sha256, 0, reset), (Hash::Sha256, 4, 2), (Hash::Sha256, 7, 3)]);
        assert_eq!(failing(&policy, blank), ["tpm.pcr.measured_boot"]);
    }
}

#[test]
fn l12_a_digest_without_values_meets_no_rule() {
    let policy = policy(&whole()).unwrap();
    let none = values(&[]);
    assert_eq!(failing(&policy, none), ["tpm.pcr.bank", "tpm.pcr.measured_boot", "tpm.pcr.sha256.7"]);
}

#[test]
fn a_sha1_bank_does_not_stand_in_for_a_sha256_bank() {
    let policy = policy(&whole()).unwrap();
    let old = values(&[(Hash::Sha1, 0, 1), (Hash::Sha1, 4, 2), (Hash::Sha1, 7, 0x17)]);
    assert_eq!(failing(&policy, old), ["tpm.pcr.bank", "tpm.pcr.measured_boot", "tpm.pcr.sha256.7"]);
    let both =
        values(&[(Hash::Sha1, 0, 1), (Hash::Sha256, 0, 1), (Hash::Sha256, 4, 2), (Hash::Sha256, 7, 0x17)]);
    assert_eq!(failing(&policy, both), Vec::<String>::new());
    let rule = r#"pcrs = [{ bank = "sha1", index = 0, any_of = ["secure-boot-on"] }]"#;
    assert!(failing(&with("tpm.pcr.values", rule), |_| ()).contains(&"tpm.pcr.bank".to_owned()));
}

#[test]
fn l01_a_quote_without_a_nonce_is_refused() {
    let failing = failing(&policy(&whole()).unwrap(), |statement| statement.extra_data.clear());
    assert_eq!(failing, ["challenge.bound", "tpm.quote.extra_data"]);
}

#[test]
fn empty_sets_and_unknown_words_do_not_parse() {
    for rule in [
        "required = []",
        "pcrs = []",
        r#"pcrs = "none""#,
        r#"pcrs = [{ bank = "sha256", index = 7, any_of = [] }]"#,
        r#"banks = { any_of = ["md5"] }"#,
        r#"attestation_keys = { any_of = ["000b00"] }"#,
        "nonce = true",
    ] {
        assert!(matches!(policy(&[rule]), Err(BadPolicy::Document(_))), "{rule}");
    }
    let dangling = r#"pcrs = [{ bank = "sha256", index = 7, any_of = ["nowhere"] }]"#;
    assert!(matches!(policy(&[dangling]), Err(BadPolicy::Dangling(id)) if id == "nowhere"));
}
