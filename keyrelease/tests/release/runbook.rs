//! The runbook names nothing that is not there.

use std::collections::BTreeSet;

use crate::server::shared;

const RUNBOOK: &str = include_str!("../../../docs/runbook.md");

/// The words of the runbook that begin so.
fn words(beginnings: &[&str]) -> BTreeSet<&'static str> {
    let ends = |c: char| !(c.is_ascii_alphanumeric() || "_-./".contains(c));
    let words = RUNBOOK.split(ends).map(|word| word.trim_end_matches(['.', '/']));
    words.filter(|word| beginnings.iter().any(|start| word.starts_with(start))).collect()
}

#[test]
fn every_path_that_the_runbook_names_has_help() {
    let paths = words(&["attest-keys/", "auth/attest/"]);
    assert!(paths.len() >= 8, "{paths:?}");
    for path in paths {
        let help = shared().read(&format!("{path}?help=1"));
        assert!(
            help.json["help"].as_str().is_some_and(|help| help.contains("OPERATIONS")),
            "{path}: {help:?}"
        );
    }
}

#[test]
fn every_metric_that_the_runbook_names_is_served_and_every_one_that_is_served_is_named() {
    let (status, page) = shared().text("attest-keys/metrics");
    assert_eq!(status, 200);
    let served: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(words(&["cloudtaser_"]), served);
}
