//! The laws: what holds for every platform's evidence, whatever it says.

use std::path::Path;

use attest::crypto::{AwsLcRs, RustCrypto};
use attest::{
    Bundle, Context, Crypto, Evidence, Platform, Policy, Prepared, Question, Roots, UnixTime, Window, decide,
};
use simulator::snp::{Chip, Product, ReportBuilder};
use simulator::tdx::{Body, Platform as Machine};

use crate::captures;
use crate::case::{Case, Outcome, failing};
use crate::silicon::{vcek_case, vlek_case};
use crate::td::{td_case, td_cases};
use crate::{azure, certified, security_module, software_tpm};

#[test]
fn genuine_evidence_is_genuine_under_both_providers() {
    for case in every_case() {
        assert!(case.verifies(&AwsLcRs), "{}", case.name);
        assert!(case.verifies(&RustCrypto), "{}", case.name);
    }
}

#[test]
fn genuine_evidence_that_answers_the_challenge_is_admitted_with_the_same_record_by_both_providers() {
    for case in answering_cases() {
        let Outcome::Admitted(other) = case.judge_with(&RustCrypto) else { panic!("{}", case.name) };
        assert_eq!(case.admitted().to_cbor(), other.to_cbor());
    }
}

#[test]
fn every_truncation_is_refused_without_a_panic() {
    for case in every_case() {
        for length in 0..case.evidence.len() {
            assert!(
                Evidence::parse(case.platform, &case.evidence[..length]).is_err(),
                "{} {length}",
                case.name
            );
        }
    }
}

#[test]
fn trailing_bytes_are_refused() {
    for case in every_case() {
        for tail in [&[0][..], &[0; 7], &[0xff; 4096]] {
            let longer = [&case.evidence, tail].concat();
            assert!(Evidence::parse(case.platform, &longer).is_err(), "{}", case.name);
        }
    }
}

#[test]
fn every_flipped_bit_in_the_signed_range_is_refused() {
    for case in every_case() {
        // All eight bits of every byte of one case of each kind, one bit of every byte of the others.
        let every_bit = ["Genoa version 5 under Vcek", "Turin version 5 under Vlek", "TPM", "genoa-v5"];
        let all = every_bit.iter().any(|name| case.name.contains(name));
        flip_each(&case, &AwsLcRs, 1, if all { &[0, 1, 2, 3, 4, 5, 6, 7] } else { &[3] });
    }
    // The second implementation is slower.
    for case in answering_cases() {
        flip_each(&case, &RustCrypto, 48, &[5]);
    }
}

#[test]
fn every_flipped_bit_behind_the_signed_range_is_refused_too() {
    for case in answering_cases() {
        let prepared = prepared(&case, &AwsLcRs);
        // A quote is long behind its signed range; every seventh byte of five of them stands for all.
        let long = [Platform::Tdx, Platform::AzureTdx].contains(&case.platform);
        let (step, unread) = (if long { 7 } else { 1 }, azure::unread(&case));
        let behind = (case.signed.end..case.evidence.len()).step_by(step);
        for at in behind.filter(|at| !unread.iter().any(|range| range.contains(at))) {
            refused_flipped(&case, &AwsLcRs, &prepared, at, 1);
        }
    }
}

#[test]
fn another_machines_endorsement_is_refused() {
    for mut case in every_case() {
        (case.endorsements, case.anchors) = case.strangers.clone();
        assert!(!case.verifies(&AwsLcRs), "{}", case.name);
        assert!(!case.verifies(&RustCrypto), "{}", case.name);
    }
}

#[test]
fn another_root_is_refused() {
    for case in every_case() {
        let other = case.other_anchors.clone();
        let case = case.anchors(other);
        assert!(!case.verifies(&AwsLcRs), "{}", case.name);
        assert!(!case.verifies(&RustCrypto), "{}", case.name);
    }
}

#[test]
fn a_second_before_and_after_its_window_evidence_is_refused() {
    for case in every_case() {
        let evidence = Evidence::parse(case.platform, &case.evidence).unwrap();
        let prepared = prepared(&case, &AwsLcRs);
        let Window { from, until } = prepared.window();
        if prepared.window() == Window::ALWAYS {
            continue;
        }
        let times = [(from.0 - 1, false), (from.0, true), (until.0 - 1, true), (until.0, false)];
        for (at, inside) in times.map(|(at, inside)| (UnixTime(at), inside)) {
            // Afresh, and with what was prepared while it held.
            assert_eq!(case.clone().at(at).verifies(&AwsLcRs), inside, "{} at {at}", case.name);
            assert_eq!(evidence.verify(&AwsLcRs, &prepared, at).is_ok(), inside, "{} at {at}", case.name);
        }
    }
}

#[test]
fn a_swapped_nonce_context_or_key_is_not_bound() {
    for case in answering_cases() {
        let swapped = |change: fn(&mut Case)| {
            let mut case = case.clone();
            change(&mut case);
            case.refused_by(&["challenge.bound"]);
        };
        swapped(|case| case.asked.nonce[31] ^= 1);
        swapped(|case| case.asked.nonce = [0; 32]);
        swapped(|case| case.asked.context.push('x'));
        swapped(|case| case.asked.context.clear());
        swapped(|case| case.asked.key.public[0] ^= 1);
        swapped(|case| case.asked.key.public.clear());
        swapped(|case| case.asked.key.kem = attest::Kem::XWing);
    }
}

#[test]
fn an_answer_at_the_expiry_is_too_late() {
    for mut case in answering_cases() {
        case.asked.expires = UnixTime(case.now.0 + 1);
        case.admitted();
        case.asked.expires = case.now;
        case.refused_by(&["challenge.current"]);
    }
}

#[test]
fn a_challenge_that_was_answered_before_is_not_answered_again() {
    for mut case in answering_cases() {
        case.asked.answered = true;
        case.refused_by(&["challenge.unused"]);
    }
}

#[test]
fn evidence_of_another_platform_is_not_judged() {
    for mut case in every_case() {
        case.platform = if case.platform == Platform::SevSnp { Platform::Tpm2 } else { Platform::SevSnp };
        case.not_judged("evidence.malformed");
    }
}

#[test]
fn no_shipped_policy_admits_a_debug_guest_or_simulated_roots() {
    let debug = |product| vcek_case(&Chip::new(1, product), ReportBuilder::debug);
    for (name, policy) in shipped_policies() {
        for case in Product::ALL.map(debug) {
            let ids = refusals(&case, &policy);
            assert!(ids.iter().any(|id| id == "roots.accepted"), "{name}: {ids:?}");
            let reason = if ids.iter().any(|id| id == "policy.platform") {
                "policy.platform"
            } else {
                "snp.policy.debug"
            };
            assert!(ids.iter().any(|id| id == reason), "{name}: {ids:?}");
        }
        for case in Body::ALL.map(|body| td_case(&Machine::new(1), |quote| quote.body(body).debug())) {
            let ids = refusals(&case, &policy);
            assert!(ids.iter().any(|id| id == "roots.accepted"), "{name}: {ids:?}");
            let reasons = ["policy.platform", "tdx.attributes.debug"];
            assert!(ids.iter().any(|id| reasons.contains(&id.as_str())), "{name}: {ids:?}");
        }
        for case in captures::debug_enclaves() {
            let ids = refusals(&case, &policy);
            let named = ids.iter().any(|id| id == "nitro.pcr0.nonzero" || id == "policy.platform");
            assert!(named, "{name}: {ids:?}");
        }
        for case in captures::debug_guests() {
            let ids = refusals(&case, &policy);
            assert!(
                ids.iter().any(|id| id == "snp.policy.debug" || id == "policy.platform"),
                "{name}: {ids:?}"
            );
        }
    }
}

/// So the policies are not refusing for want of sense: old captures answer no challenge of ours, and no
/// revocation list was kept for them.
#[test]
fn each_shipped_policy_finds_nothing_wrong_with_the_machine_that_its_values_are_from() {
    let mut machines = captures::snp_reports();
    machines.extend(captures::cos_quote());
    for (file, machine, ids) in [
        ("snp-genoa.toml", "snp-genoa-v5-oak-containers", &["challenge.bound", "snp.crl.present"][..]),
        ("snp-turin.toml", "snp-turin-v5-oak-containers", &["challenge.bound", "snp.crl.present"]),
        ("vtpm.toml", "GCE COS 85", &["challenge.bound"]),
    ] {
        let policies = shipped_policies();
        let (_, policy) = policies.iter().find(|(name, _)| name.ends_with(file)).unwrap();
        for case in machines.iter().filter(|case| case.name == machine) {
            assert_eq!(refusals(case, policy), ids, "{file}");
        }
    }
}

#[test]
fn an_empty_policy_does_not_parse() {
    let head = "name = 'n'\nversion = 1\nexpires = '2030-01-01T00:00:00Z'\n[freshness]\nverdict_seconds = 1\ncollateral_days = 1\n";
    for text in ["", "{}", head] {
        assert!(Policy::parse(&AwsLcRs, text).is_err(), "{text}");
    }
    assert_eq!(Policy::parse(&AwsLcRs, head).unwrap_err(), attest::BadPolicy::Empty);
    let case = vcek_case(&Chip::new(1, Product::Genoa), |report| report);
    for empty in ["{ any_of = [] }", "[]", "{}"] {
        let text = case.policy.clone().with("snp.measurement", empty).text();
        assert!(matches!(Policy::parse(&AwsLcRs, &text), Err(attest::BadPolicy::Document(_))), "{empty}");
    }
}

#[test]
fn the_record_names_all_failing_checks() {
    let chip = Chip::new(1, Product::Genoa);
    let mut case = vcek_case(&chip, |report| report.debug().vmpl(2).measurement([1; 48]).host_data([1; 32]));
    case.asked.nonce = [0; 32];
    let case = case.policy(|policy| policy.without("insecure-accept-simulated-roots"));
    let record = case.refused_by(&[
        "roots.accepted",
        "challenge.bound",
        "snp.vmpl",
        "snp.measurement",
        "snp.host_data",
        "snp.policy.debug",
    ]);
    for check in record.failing() {
        assert!(!check.expected.is_empty() && !check.found.is_empty(), "{check:?}");
    }
    let old_tcb = simulator::snp::Tcb { snp: 1, ..chip.tcb() };
    let report =
        vcek_case(&chip, |report| report.reported_tcb(old_tcb).cpuid([0; 3]).mask_chip_key().sig_algo(9));
    report.evidence(|bytes| bytes[0x2a0] ^= 1).refused_by(&[
        "snp.report.signature_algorithm",
        "snp.report.mask_chip_key",
        "snp.product.cpuid",
        "snp.vek.tcb",
        "snp.signature",
    ]);
}

#[test]
fn a_replay_gives_identical_bytes_and_another_instant_another_verdict() {
    for case in answering_cases() {
        let appraisal = case.admitted();
        let bundle = bundle(&case, appraisal);
        for crypto in PROVIDERS {
            assert!(bundle.replay(crypto, &case.anchors).unwrap().identical, "{}", case.name);
        }
        let expired = bundle.replay_at(&AwsLcRs, &case.anchors, case.asked.expires).unwrap();
        assert!(!expired.identical);
        assert_eq!(failing(&expired.appraisal), ["challenge.current"], "{}", case.name);
    }
}

/// A server verifies a chain once and uses it for an hour; an auditor verifies it afresh.
#[test]
fn a_verdict_under_endorsements_prepared_earlier_replays_to_identical_bytes() {
    for case in answering_cases() {
        let prepared = prepared(&case, &AwsLcRs);
        let later = UnixTime(case.now.0 + 60);
        let evidence = Evidence::parse(case.platform, &case.evidence).unwrap();
        let policy = Policy::parse(&AwsLcRs, &case.policy.text()).unwrap();
        let question = Question {
            evidence: &evidence,
            challenge: case.asked.challenge(),
            offered: case.asked.key.clone(),
        };
        let context = Context { crypto: &AwsLcRs, policy: &policy, standing: None };
        let admitted = decide(question, Ok(&prepared), context, later).unwrap().unwrap();
        assert_eq!(admitted.appraisal().at, later);
        let bundle = bundle(&case, admitted.appraisal().clone());
        assert!(bundle.replay(&RustCrypto, &case.anchors).unwrap().identical, "{}", case.name);
    }
}

#[test]
fn a_bundle_that_was_changed_does_not_replay() {
    for case in answering_cases() {
        let mut forged = bundle(&case, case.admitted());
        forged.appraisal.valid_until = UnixTime(case.now.0 + 1);
        assert!(!forged.replay(&AwsLcRs, &case.anchors).unwrap().identical);
        let mut forged = bundle(&case, case.admitted());
        forged.challenge.nonce = [1; 32];
        let replay = forged.replay(&AwsLcRs, &case.anchors).unwrap();
        assert_eq!(failing(&replay.appraisal), ["challenge.bound"]);
        assert!(!replay.identical);
    }
}

#[test]
fn a_verdict_says_whose_roots_stand_behind_it() {
    for case in answering_cases() {
        let enrolled = case.platform == Platform::Tpm2 && case.endorsements.certificates.is_empty();
        let expected = if enrolled { Roots::Vendor } else { Roots::Simulated };
        assert_eq!(case.admitted().roots, expected, "{}", case.name);
    }
}

const PROVIDERS: [&dyn Crypto; 2] = [&AwsLcRs, &RustCrypto];

/// Every genuine case: simulated, captured, of a TPM.
fn every_case() -> Vec<Case> {
    let mut cases = answering_cases();
    cases.extend(captures::snp_reports());
    cases.extend(captures::cos_quote());
    cases.extend(captures::nitro_documents());
    cases
}

/// The cases that answer our own challenge, so that a policy can admit them.
fn answering_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for product in Product::ALL {
        let chip = Chip::new(1, product);
        cases.push(vcek_case(&chip, |report| report));
        cases.push(vlek_case(&chip, |report| report));
    }
    for version in [2, 3, 4] {
        cases.push(vcek_case(&Chip::new(3, Product::Genoa), |report| report.version(version)));
    }
    cases.extend(td_cases());
    cases.push(software_tpm::case());
    cases.push(security_module::enclave(|document| document));
    cases.push(security_module::instance(security_module::with_key));
    cases.extend(azure::cases());
    cases.extend(certified::cases());
    cases
}

fn prepared(case: &Case, crypto: &dyn Crypto) -> Prepared {
    let evidence = Evidence::parse(case.platform, &case.evidence).unwrap();
    case.prepare(crypto, &evidence).unwrap()
}

/// Flips these bits, each by itself, of every `step`th signed byte.
fn flip_each(case: &Case, crypto: &dyn Crypto, step: usize, bits: &[u32]) {
    let prepared = prepared(case, crypto);
    for at in case.signed.clone().step_by(step) {
        for bit in bits {
            refused_flipped(case, crypto, &prepared, at, 1 << bit);
        }
    }
}

fn refused_flipped(case: &Case, crypto: &dyn Crypto, prepared: &Prepared, at: usize, mask: u8) {
    let mut bytes = case.evidence.clone();
    bytes[at] ^= mask;
    let Ok(evidence) = Evidence::parse(case.platform, &bytes) else { return };
    let verified = evidence.verify(crypto, prepared, case.now);
    assert!(verified.is_err(), "{}: byte {at:#x} with {mask:#04x} flipped", case.name);
}

fn bundle(case: &Case, appraisal: attest::Appraisal) -> Bundle {
    Bundle {
        request: "test".to_owned(),
        verifier: "test".to_owned(),
        platform: case.platform,
        evidence: case.evidence.clone(),
        endorsements: case.endorsements.clone(),
        attestation_keys: Vec::new(),
        challenge: case.asked.challenge(),
        offered: case.asked.key.clone(),
        policy: case.policy.text(),
        standing: None,
        appraisal,
    }
}

/// The policies of the folder `policies/measured`.
fn shipped_policies() -> Vec<(String, Policy)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/measured");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let policies: Vec<_> = files
        .map(|path| {
            let policy = Policy::parse(&AwsLcRs, &std::fs::read_to_string(&path).unwrap());
            let name = path.display().to_string();
            let policy = policy.unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, policy)
        })
        .collect();
    assert!(policies.len() >= 3, "{policies:?}");
    policies
}

fn refusals(case: &Case, policy: &Policy) -> Vec<String> {
    let evidence = Evidence::parse(case.platform, &case.evidence).unwrap();
    let claims = evidence.verify(&AwsLcRs, &prepared(case, &AwsLcRs), case.now).unwrap();
    let key = case.asked.challenge().redeem(&AwsLcRs, case.asked.key.clone(), &claims, case.now);
    let refused = policy.appraise(&claims, key, case.now).unwrap_err();
    failing(refused.appraisal()).into_iter().map(str::to_owned).collect()
}
