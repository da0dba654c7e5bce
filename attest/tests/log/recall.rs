//! Recalls: what a selector finds, and what it leaves alone.

use attest::crypto::AwsLcRs;
use attest::log::{
    DecisionId, Entry, Event, Kind, Measurement, PolicyRef, Recall, Report, SaltedName, SecretRef, Selector,
    Subject, Tail, Text,
};
use attest::{Digest, Platform, UnixTime};

use crate::shelf::release;

/// Two chips; the first is admitted under two versions of a policy, and renewed.
fn log() -> Vec<Entry> {
    let secret = |name, version| Some(SecretRef { name: SaltedName(Digest([name; 32])), version });
    let until = |number: u64| Some(UnixTime(1_795_290_000 + number));
    let on = |chip: u8, version| Subject {
        platform: Some(Platform::SevSnp),
        product_line: Some(Text::new(if chip == 1 { "Milan" } else { "Genoa" }).unwrap()),
        hardware: Some(Digest([chip; 32])),
        measurement: Some(Measurement::new(&[chip; 48]).unwrap()),
        policy: Some(PolicyRef { name: Text::new("payments").unwrap(), version, digest: Digest([9; 32]) }),
        ..Subject::default()
    };
    let events = [
        (Kind::Admission, None, Subject { valid_until: until(100), ..on(1, 1) }),
        (
            Kind::TokenRelease,
            Some(0),
            Subject { secret: secret(0xa, 1), valid_until: until(100), ..Subject::default() },
        ),
        (Kind::Admission, None, Subject { secret: secret(0xb, 1), valid_until: until(900), ..on(2, 1) }),
        (Kind::Refusal, None, on(1, 2)),
        (Kind::Admission, None, Subject { secret: secret(0xa, 2), valid_until: until(200), ..on(1, 2) }),
        (Kind::Renewal, Some(4), Subject { valid_until: until(300), ..Subject::default() }),
        (Kind::TokenRelease, Some(5), Subject { secret: secret(0xb, 4), ..Subject::default() }),
        (Kind::Revocation, None, on(1, 2)),
        (Kind::TokenRelease, Some(99), Subject { secret: secret(0xc, 1), ..Subject::default() }),
    ];
    let mut tail = Tail::EMPTY;
    let mut log = Vec::new();
    for ((kind, under, subject), number) in events.into_iter().zip(0..) {
        let under = under.map(|number| release(number).decision);
        let event = Event { kind, under, subject, ..release(number) };
        log.push(tail.append(&AwsLcRs, event).unwrap().0);
    }
    log
}

fn recall(selector: &str) -> Report {
    let mut recall = Recall::of(selector.parse::<Selector>().unwrap());
    for entry in log() {
        recall.see(&entry);
    }
    recall.report()
}

fn indices(report: &Report) -> Vec<u64> {
    report.decisions.iter().map(|decision| decision.index).collect()
}

#[test]
fn a_chip_is_recalled_with_all_that_rests_on_its_admissions() {
    let report = recall(&format!("hardware={}", "01".repeat(32)));
    assert_eq!(indices(&report), [0, 1, 4, 5, 6]);
    assert_eq!(
        (report.entries, report.admissions, report.releases, report.renewals, report.refusals),
        (9, 2, 3, 1, 1)
    );
    assert_eq!(report.valid_until, Some(UnixTime(1_795_290_300)));
    let secrets: Vec<(u8, Vec<u64>)> = report
        .secrets
        .iter()
        .map(|secret| (secret.name.0.0[0], secret.exposed.versions.iter().copied().collect()))
        .collect();
    assert_eq!(secrets, [(0xa, vec![1, 2]), (0xb, vec![4])]);
}

#[test]
fn each_selector_finds_its_own() {
    for (selector, expected) in [
        (format!("hardware={}", "02".repeat(32)), vec![2]),
        (format!("measurement={}", "02".repeat(48)), vec![2]),
        ("policy=payments@1".to_owned(), vec![0, 1, 2]),
        ("policy=payments@2".to_owned(), vec![0, 1, 2, 4, 5, 6]),
        ("policy=payments@0".to_owned(), vec![]),
        ("policy=other@9".to_owned(), vec![]),
        ("product-line=Milan".to_owned(), vec![0, 1, 4, 5, 6]),
        ("platform=sev-snp".to_owned(), vec![0, 1, 2, 4, 5, 6]),
        ("platform=tdx".to_owned(), vec![]),
        (format!("instance={}", "01".repeat(32)), vec![]),
    ] {
        let report = recall(&selector);
        assert_eq!(indices(&report), expected, "{selector}");
        assert_eq!(report.selector, selector);
    }
}

#[test]
fn machines_come_in_one_order_with_what_each_was_given() {
    let report = recall("platform=sev-snp");
    let lines: Vec<_> =
        report.recipients.iter().map(|released| released.recipient.product_line.clone()).collect();
    let line = |name: &str| Some(Text::new(name).unwrap());
    // Entries without a machine of their own are of the one that they rest on.
    assert_eq!(lines, [line("Genoa"), line("Milan")]);
    let milan = &report.recipients[1].granted;
    assert_eq!((milan.releases, milan.policies.len()), (3, 2));
    assert_eq!(milan.first, Some(UnixTime(1_795_284_000)));
    assert_eq!(milan.last, Some(UnixTime(1_795_284_006)));
}

#[test]
fn what_selects_nothing_is_refused() {
    let bad = |text: &str| text.parse::<Selector>().unwrap_err().to_string();
    assert_eq!(bad("hardware=00"), "expected 64 hex digits, found \"hardware=00\"");
    assert_eq!(bad("policy=payments"), "expected policy=NAME@VERSION, found \"policy=payments\"");
    assert_eq!(bad("policy=payments@x"), "expected a version in decimal, found \"policy=payments@x\"");
    let names = Platform::ALL.map(Platform::name).join(", ");
    let expected = format!("expected a platform's name ({names}), found \"platform=z80\"");
    assert_eq!(bad("platform=z80"), expected);
    assert!(bad("chip=00").starts_with("expected hardware=HEX, instance=HEX"));
    assert!("".parse::<Selector>().is_err());
}

#[test]
fn a_report_names_decisions_that_can_be_looked_up() {
    let report = recall("policy=payments@1");
    let decisions: Vec<DecisionId> = report.decisions.iter().map(|decision| decision.decision).collect();
    assert_eq!(decisions, [0, 1, 2].map(|number| release(number).decision));
}
