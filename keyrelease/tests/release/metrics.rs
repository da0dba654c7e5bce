//! The metrics of a mount, as a scraper of somebody else's reads them.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;
use simulator::snp::ReportBuilder;

use crate::machine::Machine;
use crate::server::{SECRET, Server};

/// Each sample by its name and labels.
type Samples = BTreeMap<String, f64>;

fn page(server: &Server, mount: &str) -> String {
    let (status, text) = server.text(&format!("{mount}/metrics"));
    assert_eq!(status, 200, "{text}");
    text
}

/// The samples of a page. What this finds is held against what Prometheus' own library finds.
fn samples(page: &str) -> Samples {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let split = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(split).collect()
}

#[test]
fn what_a_mount_did_is_counted_by_platform_by_check_and_by_limit() {
    let server = Server::start();
    server.write("attest-keys/config/limits", &json!({ "refusals_burst": 2, "refusals_per_hour": 1 })).ok();
    for _ in 0..3 {
        assert_eq!(Machine::good().open(&server).status, 200);
    }
    let bad = Machine::spoiled(|report| report.measurement([1; 48]).debug());
    // The first, which bars the machine, is always on record.
    for expected in [403, 403, 403, 429] {
        assert_eq!(bad.open(&server).status, expected);
    }
    // The collateral store has what the other chip brought, and nothing of this one.
    let chip = simulator::snp::Chip::new(99, simulator::snp::Product::Genoa).at(crate::server::now().0);
    assert_eq!(Machine { chip, certificates: Some(vec![]), ..Machine::good() }.open(&server).status, 400);
    let found = samples(&page(&server, "attest-keys"));
    for (name, expected) in [
        ("cloudtaser_decisions_total{outcome=\"admitted\",platform=\"sev-snp\"}", 3.0),
        ("cloudtaser_decisions_total{outcome=\"refused\",platform=\"sev-snp\"}", 3.0),
        ("cloudtaser_decisions_total{outcome=\"unjudged\",platform=\"sev-snp\"}", 1.0),
        ("cloudtaser_decisions_total{outcome=\"admitted\",platform=\"tdx\"}", 0.0),
        ("cloudtaser_failing_checks_total{check=\"snp.measurement\"}", 3.0),
        ("cloudtaser_failing_checks_total{check=\"snp.policy.debug\"}", 3.0),
        ("cloudtaser_failing_checks_total{check=\"tpm.pcr.{bank}.{index}\"}", 0.0),
        ("cloudtaser_limited_total{limit=\"refusals_per_hour\"}", 1.0),
        ("cloudtaser_challenges_total", 8.0),
        ("cloudtaser_log_entries", 6.0),
        ("cloudtaser_step_seconds_count{step=\"seal\"}", 3.0),
        ("cloudtaser_step_seconds_count{step=\"judge\"}", 8.0),
        ("cloudtaser_waiting", 0.0),
    ] {
        assert_eq!(found.get(name), Some(&expected), "{name}");
    }
    let empty = samples(&page(&server, "auth/attest"));
    assert_eq!(empty.get("cloudtaser_log_entries"), Some(&0.0));
    assert_eq!(empty.get("cloudtaser_log_head_age_seconds"), None);
}

#[test]
fn what_is_stored_is_measured_by_cause_and_by_kind() {
    let server = crate::governance::ruled();
    let found = |name: &str| samples(&page(&server, "attest-keys")).get(name).copied();
    let bars = |cause: &str| found(&format!("cloudtaser_bars{{cause=\"{cause}\"}}"));
    assert_eq!([bars("revoked"), bars("failed")], [Some(0.0); 2]);
    assert_eq!(found("cloudtaser_collateral_seconds_left{kind=\"crl\"}"), None);
    assert_eq!(Machine::good().open(&server).status, 200);
    let rest = found("cloudtaser_collateral_seconds_left{kind=\"crl\"}").unwrap();
    assert!((1.0..=366.0 * 86_400.0).contains(&rest), "{rest}");
    assert!(found("cloudtaser_log_head_age_seconds").is_some_and(|age| age < 60.0));
    Machine::spoiled(ReportBuilder::debug).open(&server);
    for selector in ["platform=tdx", "product-line=Turin", "policy=other@3"] {
        server.write("attest-keys/revoke", &json!({ "selector": selector, "reason": "x" })).ok();
    }
    assert_eq!([bars("revoked"), bars("failed")], [Some(3.0), Some(1.0)]);
    let lift = json!({ "selector": "platform=tdx", "cause": "revoked", "reason": "x" });
    server.write("attest-keys/reinstate", &lift).ok();
    assert_eq!(bars("revoked"), Some(2.0));
    let waiting = || found("cloudtaser_open_proposals");
    assert_eq!(waiting(), Some(0.0));
    let id = crate::governance::propose(&server, "policy", "simulated", &crate::server::policy(2));
    assert_eq!(waiting(), Some(1.0));
    server.call("DELETE", &format!("attest-keys/proposal/{id}"), None, "root").ok();
    assert_eq!([waiting(), found("cloudtaser_emergencies")], [Some(0.0); 2]);
    crate::emergency::declare(&server, 60).ok();
    assert_eq!(found("cloudtaser_emergencies"), Some(1.0));
}

#[test]
fn no_caller_can_make_the_page_grow() {
    let server = Server::start();
    // Some gauges are absent as long as there is nothing to measure.
    assert_eq!(Machine::good().open(&server).status, 200);
    let names = |server: &Server| samples(&page(server, "attest-keys")).into_keys().collect::<Vec<_>>();
    let before = names(&server);
    for key in ["a", "b\"} 1\n# evil", "c"] {
        let path = format!("attest-keys/release/{}/open", key.replace(['"', '}', '\n', ' ', '#'], "%22"));
        server.call("POST", &path, Some(&json!({ "platform": key, SECRET: 1 })), "");
    }
    for chip in 0..4 {
        let spoiled = Machine::spoiled(|report| report.measurement([2; 48]));
        spoiled.open(&server);
        server
            .write(
                &format!("attest-keys/keys/key{chip}"),
                &json!({ "policy": "simulated", "data": { "a": "b" } }),
            )
            .ok();
    }
    Machine::spoiled(ReportBuilder::debug).open(&server);
    assert_eq!(names(&server), before);
    assert!(before.len() < 600, "{}", before.len());
    assert!(!page(&server, "attest-keys").contains(SECRET));
    let denied = server.call("GET", "attest-keys/metrics", None, "");
    assert_eq!(denied.status, 403, "{denied:?}");
}

/// `SKIP` unless Prometheus' library for Python is installed; `REQUIRE=prometheus` makes that a failure.
#[test]
fn prometheus_own_library_reads_the_same_samples() {
    let has = Command::new("/usr/bin/python3").args(["-c", "import prometheus_client"]).output();
    if !has.is_ok_and(|has| has.status.success()) {
        assert!(std::env::var_os("REQUIRE").is_none_or(|all| !all.to_string_lossy().contains("prometheus")));
        return println!("SKIP prometheus: python3-prometheus-client is not installed");
    }
    let server = Server::start();
    assert_eq!(Machine::good().open(&server).status, 200);
    let page = page(&server, "attest-keys");
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", READER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    let theirs = samples(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(theirs, samples(&page));
}

const READER: &str = r#"
import sys
from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.type in ("counter", "gauge", "histogram"), family
    assert family.documentation, family
    for name, labels, value, *_ in family.samples:
        pairs = ",".join(f'{key}="{word}"' for key, word in labels.items())
        print(name + ("{" + pairs + "}" if pairs else ""), value)
"#;
