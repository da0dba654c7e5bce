//! Protection reports: what the hardware signed, what came, what it is worth, and what a key demands.

use attest::crypto::AwsLcRs;
use attest::protection::{
    Attack, BadReport, By, Check, Demand, Measured, Outcome, Presented, Report, Score, State, Theft,
};
use attest::workload::Purpose;
use attest::{
    Admitted, Context, Crypto, Digest, Endorsements, Policy, Question, Refused, Standing, decide, parse,
    prepare,
};
use simulator::snp::{Chip, Product};

use crate::case::{Asked, Case, failing};
use crate::silicon::vcek_case;

/// A wrapper without an enforcer, and with guard pages that fail.
fn report() -> Report {
    let measure = |check: Check| {
        let missed = check == Check::GuardPages || check.name().starts_with("ebpf");
        let state = if missed { State::Missed } else { State::Reached };
        Measured { check, state, found: format!("as {check} was found") }
    };
    let theft = Attack {
        theft: Theft::ProcessVmReadv,
        outcome: Outcome::Refused,
        by: Some(By::Kernel),
        found: "EFAULT".to_owned(),
    };
    Report {
        version: Report::VERSION,
        program: "cloudtaser-wrapper 0.1.0".to_owned(),
        attacker: "uid 0, may trace".to_owned(),
        attacks: vec![theft],
        measures: Check::ALL.into_iter().filter(|check| !check.is_attested()).map(measure).collect(),
    }
}

fn digest(bytes: &[u8]) -> Digest<32> {
    AwsLcRs.sha256(&[bytes])
}

/// A machine that answers for `release/db` and the report of this digest.
fn case(signed: Option<Digest<32>>) -> Case {
    let chip = Chip::new(1, Product::Genoa);
    let mut asked = Asked::usual(vcek_case(&chip, |report| report).now);
    asked.context = Purpose { path: "release/db", token: None, protection: signed, pod: None }.to_string();
    let data = asked.caller_data(attest::Platform::SevSnp).try_into().unwrap();
    Case { asked, ..vcek_case(&chip, |report| report.report_data(data)) }
}

fn judge(case: &Case, protection: Option<Presented>) -> Result<Admitted, Refused> {
    let policy = Policy::parse(&AwsLcRs, &case.policy.text()).unwrap();
    let evidence = parse(case.platform, &case.evidence).unwrap();
    let endorsements: &Endorsements = &case.endorsements;
    let prepared = prepare(&evidence, endorsements, &AwsLcRs, &case.anchors, case.now);
    let (challenge, offered) = (case.asked.challenge(), case.asked.key.clone());
    let question = Question { evidence: &evidence, challenge, offered };
    let standing = Standing { protection, ..Standing::default() };
    let context = Context { crypto: &AwsLcRs, policy: &policy, standing: Some(&standing) };
    decide(question, prepared.as_ref(), context, case.now).unwrap()
}

fn came(bytes: Vec<u8>, demand: Demand) -> Option<Presented> {
    Presented::new(Some(bytes), demand)
}

#[track_caller]
fn refused(case: &Case, protection: Option<Presented>, by: &[&str]) -> Vec<String> {
    let refused = judge(case, protection).unwrap_err();
    let appraisal = refused.appraisal();
    assert_eq!(failing(appraisal), by, "{appraisal:#?}");
    assert!(refused.failed().is_none(), "a report says nothing of the machine's state");
    appraisal.failing().map(|check| check.found.clone()).collect()
}

#[test]
fn a_report_that_the_hardware_signed_is_counted_with_what_the_verdict_gives() {
    let bytes = report().to_cbor();
    let admitted = judge(&case(Some(digest(&bytes))), came(bytes, Demand::default())).unwrap();
    let score = admitted.protection().unwrap();
    // 135 less 5 for guard pages and 50 for the enforcer, and all that is attested.
    assert_eq!((score.points, score.most), (145, Score::MAX));
    assert!(
        [Check::AttestationFresh, Check::MeasuredPolicyPinned].iter().all(|one| score.reached.contains(one))
    );
    let said: Vec<_> = admitted.appraisal().checks.iter().rev().take(3).rev().collect();
    let ids: Vec<&str> = said.iter().map(|check| check.id.as_str()).collect();
    assert_eq!(ids, ["protection.bound", "protection.report", "protection.score"]);
    assert_eq!(
        said[2].found,
        "145 of 200: missed guard_pages, ebpf_agent_connected, ebpf_enforce_mode, ebpf_lsm_enforce, ebpf_kprobes"
    );
}

#[test]
fn without_a_report_and_a_demand_nothing_is_asked() {
    let admitted = judge(&case(None), Presented::new(None, Demand::default())).unwrap();
    assert!(admitted.appraisal().checks.iter().all(|check| !check.id.starts_with("protection")));
    assert_eq!(admitted.protection(), None);
}

#[test]
fn a_report_that_was_altered_or_exchanged_or_taken_away_is_refused() {
    let (mine, mut better) = (report(), report());
    better.measures[4].state = State::Reached;
    let signed = case(Some(digest(&mine.to_cbor())));
    let found = refused(&signed, came(better.to_cbor(), Demand::default()), &["protection.bound"]);
    assert_eq!(found, [format!("report {}", digest(&better.to_cbor()))]);
    assert_eq!(refused(&signed, None, &["protection.bound"]), ["no report"]);
    let found = refused(&case(None), came(mine.to_cbor(), Demand::default()), &["protection.bound"]);
    assert_eq!(found, [format!("{}, unsigned", digest(&mine.to_cbor()))]);
    // Also where the verifier keeps no knowledge at all.
    signed.refused_by(&["protection.bound"]);
}

#[test]
fn what_is_demanded_and_missed_is_refused_by_its_name() {
    let bytes = report().to_cbor();
    let case = case(Some(digest(&bytes)));
    let demand =
        |points, checks: &[Check]| Demand { min_protection: points, require_protection: checks.to_vec() };
    let ask = |demand| came(bytes.clone(), demand);
    judge(&case, ask(demand(145, &[Check::MemfdSecret, Check::ReleaseSealedToTee]))).unwrap();
    let found = refused(&case, ask(demand(146, &[])), &["protection.score"]);
    assert!(found[0].starts_with("145 of 200: missed guard_pages, "), "{found:?}");
    let both = demand(0, &[Check::GuardPages, Check::Mlock, Check::EbpfKprobes]);
    let found = refused(&case, ask(both), &["protection.check.guard_pages", "protection.check.ebpf_kprobes"]);
    assert_eq!(found, ["as guard_pages was found", "as ebpf_kprobes was found"]);
    let none = Presented::new(None, demand(1, &[]));
    let found = refused(&self::case(None), none, &["protection.report"]);
    assert_eq!(found, ["none, and what is asked for demands one"]);
}

/// The verdict knows better than the report, and only it knows what is attested.
#[test]
fn a_report_cannot_claim_what_only_a_verdict_gives() {
    let mut claims = report();
    claims.measures.push(Measured {
        check: Check::AttestationVerified,
        state: State::Reached,
        found: "trust me".to_owned(),
    });
    assert_eq!(Report::parse(&claims.to_cbor()), Err(BadReport::Measures));
    let bytes = claims.to_cbor();
    let case = case(Some(digest(&bytes)));
    let found = refused(&case, came(bytes, Demand::default()), &["protection.report"]);
    assert_eq!(found, ["expected each check that a wrapper can measure once, in its order, found others"]);
    // It says that there is no confidential VM: the evidence says that there is.
    let mut modest = report();
    modest.measures[14].state = State::Missed;
    let bytes = modest.to_cbor();
    let admitted = judge(&self::case(Some(digest(&bytes))), came(bytes, Demand::default())).unwrap();
    assert!(admitted.protection().unwrap().reached.contains(&Check::ConfidentialVm));
}

#[test]
fn an_answer_that_is_not_bound_proves_no_report_and_no_freshness() {
    let bytes = report().to_cbor();
    let mut case = case(Some(digest(&bytes)));
    case.asked.nonce = [8; 32];
    let demand = Demand { min_protection: 0, require_protection: vec![Check::AttestationFresh] };
    let found =
        refused(&case, came(bytes, demand), &["challenge.bound", "protection.check.attestation_fresh"]);
    assert_eq!(found[1], "not an answer to this challenge");
}

#[test]
fn a_report_has_one_encoding_and_every_truncation_of_it_is_refused() {
    let bytes = report().to_cbor();
    assert_eq!(Report::parse(&bytes), Ok(report()));
    for cut in 0..bytes.len() {
        assert_eq!(Report::parse(&bytes[..cut]), Err(BadReport::Content), "{cut}");
    }
    assert_eq!(Report::parse(&[&bytes[..], &[0]].concat()), Err(BadReport::Encoding));
    assert_eq!(Report::parse(&vec![0; 8193]), Err(BadReport::TooLong(8193)));
}

#[test]
fn what_no_terminal_should_show_is_refused_and_so_is_more_than_there_is() {
    let parsed = |change: fn(&mut Report)| {
        let mut report = report();
        change(&mut report);
        Report::parse(&report.to_cbor()).unwrap_err()
    };
    assert_eq!(parsed(|report| report.version = 2), BadReport::Version(2));
    let spoilt: [fn(&mut Report); 4] = [
        |report| report.program = "\u{1b}[2J".to_owned(),
        |report| report.attacker = "x".repeat(161),
        |report| report.attacks[0].found = "EFAULT\n".to_owned(),
        |report| report.measures[0].found = "\u{fc}".to_owned(),
    ];
    for spoil in spoilt {
        assert_eq!(parsed(spoil), BadReport::Text);
    }
    let many = |report: &mut Report| report.attacks = vec![report.attacks[0].clone(); 33];
    assert_eq!(parsed(many), BadReport::Attacks(33));
    assert_eq!(parsed(|report| report.measures.swap(0, 1)), BadReport::Measures);
    assert_eq!(parsed(|report| drop(report.measures.pop())), BadReport::Measures);
    let twice = |report: &mut Report| report.measures[1] = report.measures[0].clone();
    assert_eq!(parsed(twice), BadReport::Measures);
}
