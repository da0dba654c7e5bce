//! Section `[pods]`, and how often each caller may ask.
//!
//! Trusted: whoever may write the file.

use serde::Deserialize;

use crate::caller::Settings;
use crate::caller::cgroup::Root;
use crate::rates::Pace;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPods {
    enabled: Option<bool>,
    cgroup_root: Option<String>,
}

pub(super) fn pods(raw: &RawPods, problems: &mut Vec<String>) -> Option<Settings> {
    if raw.enabled == Some(false) {
        return None;
    }
    match Root::parse(raw.cgroup_root.as_deref().unwrap_or("/")) {
        Ok(cgroup_root) => Some(Settings { cgroup_root }),
        Err(problem) => {
            problems.push(format!("pods.cgroup_root: {problem}"));
            None
        }
    }
}

pub(super) fn pace(per_second: Option<u32>, burst: Option<u32>, problems: &mut Vec<String>) -> Pace {
    let pace = Pace { per_second: per_second.unwrap_or(PACE.per_second), burst: burst.unwrap_or(PACE.burst) };
    for (name, number) in [("requests_per_second", pace.per_second), ("requests_burst", pace.burst)] {
        if !(1..=100_000).contains(&number) {
            problems.push(format!("{name}: expected 1 to 100000, found {number}"));
        }
    }
    pace
}

/// A pod asks once for each secret, and again when it begins anew; the hardware has other callers.
const PACE: Pace = Pace { per_second: 10, burst: 100 };

#[cfg(test)]
mod tests {
    use crate::config::{Config, Problems};

    #[test]
    fn pods_may_be_the_only_ones_who_call() {
        let config = Config::parse("allowed_uids = []\n[pods]\ncgroup_root = \"/kubelet\"\n[snp]\n").unwrap();
        assert!(config.pods.is_some() && config.allowed_uids.is_empty());
        let Problems(problems) =
            Config::parse("allowed_uids = []\n[pods]\nenabled = false\n[snp]\n").unwrap_err();
        assert_eq!(problems, ["allowed_uids: empty, so nobody could ask for evidence"]);
    }

    #[test]
    fn a_root_and_a_pace_that_are_none_are_told() {
        let text = "allowed_uids = [0]\nrequests_per_second = 0\nrequests_burst = 100001\n\
                    [pods]\ncgroup_root = \"kubelet\"\n[snp]\n";
        let Problems(problems) = Config::parse(text).unwrap_err();
        let expected = [
            "pods.cgroup_root: expected an absolute path such as / or /kubelet",
            "requests_per_second: expected 1 to 100000, found 0",
            "requests_burst: expected 1 to 100000, found 100001",
        ];
        assert_eq!(problems, expected);
        let Problems(problems) =
            Config::parse("allowed_uids = [0]\n[snp]\n[pods]\nuids = [0]\n").unwrap_err();
        assert!(problems[0].contains("unknown field `uids`"), "{problems:?}");
    }
}
