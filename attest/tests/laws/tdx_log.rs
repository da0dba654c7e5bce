//! The event log of a TD: what it proves, and what a policy asks of that.

use attest::crypto::AwsLcRs;
use attest::eventlog::{Loader, SecureBoot};
use attest::node::Rule;
use attest::{Context, Node, Part, Policy, Question, Standing, decide, parcel};
use simulator::tdx::{EventLog, Platform};

use crate::case::Case;
use crate::td::td_case;

const LINE: &str = "/vmlinuz root=/dev/vda ro";

fn machine() -> Platform {
    Platform::new(1)
}

fn log() -> EventLog {
    EventLog::production(LINE)
}

/// A TD with the RTMRs of one log that sends another.
fn telling(measured: &EventLog, sent: &EventLog) -> Case {
    let mut case = td_case(&machine(), |quote| quote.rtmrs(measured.rtmrs()));
    case.evidence = parcel::assemble(&[(Part::TdQuote, &case.evidence), (Part::Ccel, &sent.encode())]);
    case.policy(|document| {
        ["tdx.rtmr0", "tdx.rtmr1", "tdx.rtmr2", "tdx.rtmr3"]
            .into_iter()
            .fold(document, |document, key| document.with(key, r#""any""#))
    })
}

const RULES: [(&str, &str); 18] = [
    ("secure_boot", r#""any""#),
    ("exit_boot_services", r#""set""#),
    ("firmware_version", r#""any""#),
    ("pk", r#""any""#),
    ("kek", r#""any""#),
    ("db", r#""any""#),
    ("dbx", r#""any""#),
    ("authorities", r#""any""#),
    ("drivers", r#""any""#),
    ("images", r#""any""#),
    ("owner_keys", r#""any""#),
    ("kernel_cmdline", r#"{ by = "grub", none_of = ["init=", "debug"] }"#),
    ("uki", r#""any""#),
    ("files", r#""any""#),
    ("phases", r#""any""#),
    ("ima", r#""any""#),
    ("cluster", r#""any""#),
    ("facts", r#""any""#),
];

/// The section with one rule changed, or left out.
fn boot(change: &str, rule: Option<&str>) -> String {
    let rules = RULES.iter().filter_map(|(name, usual)| {
        let value = if *name == change { rule } else { Some(*usual) };
        value.map(|value| format!("{name} = {value}"))
    });
    format!("{{ {} }}", rules.collect::<Vec<_>>().join(", "))
}

fn asking(case: Case, change: &str, rule: Option<&str>) -> Case {
    let section = boot(change, rule);
    case.policy(|document| document.with("tdx.boot", &section))
}

#[test]
fn a_log_that_replays_is_read() {
    let case = telling(&log(), &log().padded(0xff, 4096));
    let boot = case.td_claims().unwrap().boot.unwrap();
    assert_eq!((boot.secure_boot, boot.handed_over), (SecureBoot::NotMeasured, true));
    let line = boot.command_lines.first().unwrap();
    assert_eq!((line.by, line.text.as_deref()), (Loader::Grub, Some(LINE)));
    asking(case, "", None).admitted();
}

#[test]
fn a_log_of_another_boot_is_refused() {
    let other = EventLog::production("/vmlinuz init=/evil");
    telling(&other, &log()).refused_by(&["tdx.log.replay"]);
    telling(&log(), &EventLog::default()).refused_by(&["tdx.log.replay"]);
}

#[test]
fn a_section_about_the_boot_wants_a_log() {
    let mut case = asking(telling(&log(), &log()), "", None);
    case.evidence = td_case(&machine(), |quote| quote.rtmrs(log().rtmrs())).evidence;
    case.refused_by(&["tdx.boot.log", "tdx.boot.exit_boot_services", "tdx.boot.kernel_cmdline"]);
}

#[test]
fn each_rule_about_the_boot_that_is_not_set_refuses_by_name() {
    for (name, _) in RULES {
        asking(telling(&log(), &log()), name, None).refused_by(&[&format!("tdx.boot.{name}")]);
    }
}

#[test]
fn a_word_that_the_policy_forbids_is_found_in_the_command_line() {
    let evil = EventLog::production("/vmlinuz root=/dev/vda init=/evil");
    asking(telling(&evil, &evil), "", None).refused_by(&["tdx.boot.kernel_cmdline"]);
}

/// In a TD, files and command lines share a register: a line could be called a file.
#[test]
fn what_is_unknown_beside_a_command_line_refuses() {
    let hidden = log().event_over(3, 13, b"/vmlinuz init=/evil", b"/a/file\0");
    asking(telling(&hidden, &hidden), "", None).refused_by(&["tdx.boot.kernel_cmdline"]);
}

#[test]
fn a_td_joins_one_cluster() {
    let joined = |name: &str| log().event_over(4, 13, name.as_bytes(), b"");
    let rule = Some(r#"{ any_of = ["prod-1"] }"#);
    asking(telling(&joined("prod-1"), &log()), "cluster", rule).admitted();
    asking(telling(&joined("prod-2"), &log()), "cluster", rule).refused_by(&["tdx.boot.cluster"]);
    asking(telling(&log(), &log()), "cluster", rule).refused_by(&["tdx.boot.cluster"]);
}

#[test]
fn a_td_says_of_itself_what_its_policy_asks() {
    let says = |text: &str| log().event(3, 6, text.as_bytes());
    let rule = Some(r#"{ lockdown = { any_of = ["integrity"] } }"#);
    let good = says("cloudtaser/facts/v1\nlockdown=integrity\n");
    asking(telling(&good, &good), "facts", rule).admitted();
    let none = says("cloudtaser/facts/v1\nlockdown=none\n");
    asking(telling(&none, &none), "facts", rule).refused_by(&["tdx.boot.facts"]);
    asking(telling(&log(), &log()), "facts", rule).refused_by(&["tdx.boot.facts"]);
    // What was measured and is not in the log that was sent.
    telling(&good, &log()).refused_by(&["tdx.log.replay"]);
}

/// An attack: the TD's own text is called a file, a command or a command line, and another text is measured behind it.
#[test]
fn l13_facts_that_the_log_calls_otherwise_hide_behind_no_other_facts() {
    let (bad, good) =
        (&b"cloudtaser/facts/v1\nlockdown=none\n"[..], b"cloudtaser/facts/v1\nlockdown=integrity\n");
    let rule = Some(r#"{ lockdown = { any_of = ["integrity"] } }"#);
    let command = [b"grub_cmd: ", bad].concat();
    for name in [&b"/a/file\0"[..], &command, b"\x0d\xed\x89\xaf\0\0\0\0LOADED_IMAGE::LoadOptions\0"] {
        let hidden = log().event_over(3, 13, bad, name).event(3, 6, good);
        let case = telling(&hidden, &hidden).policy(|document| {
            let section = boot("facts", rule).replace(GRUB_LINES, r#""any""#);
            document.with("tdx.boot", &section)
        });
        case.refused_by(&["tdx.boot.facts"]);
    }
}

const GRUB_LINES: &str = r#"{ by = "grub", none_of = ["init=", "debug"] }"#;

/// An attack: a pod has genuine evidence of its node, and words the log in another way, so that the node fails.
#[test]
fn a_workload_that_words_a_log_makes_no_machine_fail_and_the_node_itself_does() {
    let unknown = log().event_over(3, 13, b"/vmlinuz init=/evil", b"/a/file\0");
    let case = asking(telling(&unknown, &unknown), "", None);
    let policy = Policy::parse(&AwsLcRs, &case.policy.text()).unwrap();
    let evidence = attest::parse(case.platform, &case.evidence).unwrap();
    let prepared = case.prepare(&AwsLcRs, &evidence);
    let node = |name: &str| Node {
        name: Some(name.to_owned()),
        rule: Rule::Any,
        entry: None,
        others: Vec::new(),
        replaced: false,
        endorsed: None,
    };
    for (node, fails) in [(None, false), (Some(node("n1")), true)] {
        let (challenge, offered) = (case.asked.challenge(), case.asked.key.clone());
        let question = Question { evidence: &evidence, challenge, offered };
        let standing = Standing { node, ..Standing::default() };
        let context = Context { crypto: &AwsLcRs, policy: &policy, standing: Some(&standing) };
        let refused = decide(question, prepared.as_ref(), context, case.now).unwrap().unwrap_err();
        let failing: Vec<&str> = refused.appraisal().failing().map(|check| check.id.as_str()).collect();
        assert_eq!((failing, refused.failed().is_some()), (vec!["tdx.boot.kernel_cmdline"], fails));
    }
}
