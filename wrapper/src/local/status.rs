//! How things stand, in the words of JSON and of Prometheus.
//!
//! Core: numbers and fixed words. No value, no token and no name of a lease is ever here.

use std::fmt::Write as _;

use protocol::protection::{Assessment, State};
use serde::Serialize;

/// How things stand.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Status {
    /// Of this program.
    pub version: &'static str,
    /// Our process.
    pub pid: i32,
    /// The program's.
    pub program: Option<i32>,
    /// Since we started.
    pub uptime_seconds: u64,
    /// How values reached the program.
    pub way: Option<&'static str>,
    /// What they lie in.
    pub memory: &'static str,
    /// How the program learns of a new one.
    pub strategy: &'static str,
    /// Whether the program stands still, because a value was withdrawn.
    pub frozen: bool,
    /// Since OpenBao last spoke for the values; none where it was not asked.
    pub fresh_seconds: Option<u64>,
    /// Times that the program was started anew.
    pub restarts: u64,
    /// Values that were exchanged for new ones.
    pub rotations: u64,
    /// How long what was brought is good for.
    pub leases: Vec<Lease>,
    /// What was given, and to whom it was refused.
    pub served: Served,
    /// `protects`, or why the enforcer does not.
    pub enforcer: String,
    /// What stands between the values and an attacker.
    pub protection: Option<Assessment>,
}

/// How long something is good for.
#[derive(Clone, Debug, Serialize)]
pub struct Lease {
    /// Where it comes from; `token` for our own login.
    pub of: String,
    /// Seconds left; none where it has no end.
    pub seconds: Option<u64>,
    /// Whether it can be prolonged.
    pub renewable: bool,
    /// The version, of a secret that has versions.
    pub version: Option<u64>,
}

/// What was given.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Served {
    /// Files that were opened.
    pub files: u64,
    /// Values that went over the socket.
    pub values: u64,
    /// Requests for values by whom they are not for.
    pub refused: u64,
}

impl Status {
    /// What is said of an enforcer that is there.
    pub(super) const PROTECTS: &str = "protects";

    /// As JSON.
    pub(super) fn json(&self) -> Vec<u8> {
        // Maps with keys that are no text are what cannot be written; there are none.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// In the text format of Prometheus, version 0.0.4.
    pub(super) fn metrics(&self) -> String {
        let mut text = Text::default();
        let labels = [
            ("version", self.version),
            ("way", self.way.unwrap_or("none")),
            ("memory", self.memory),
            ("strategy", self.strategy),
        ];
        text.family("info", "gauge", "What runs here.", [(&labels[..], 1)]);
        text.one("uptime_seconds", "gauge", "Seconds since the wrapper started.", Some(self.uptime_seconds));
        text.one("running", "gauge", "Whether there is a program.", Some(u64::from(self.program.is_some())));
        text.one(
            "enforced",
            "gauge",
            "Whether the enforcer is there, and protects us.",
            Some(u64::from(self.enforcer == Status::PROTECTS)),
        );
        text.one("frozen", "gauge", "Whether the program was stopped.", Some(u64::from(self.frozen)));
        text.one("fresh_seconds", "gauge", "Seconds since OpenBao spoke for the values.", self.fresh_seconds);
        text.one("restarts_total", "counter", "Times the program was started anew.", Some(self.restarts));
        text.one("rotations_total", "counter", "Values exchanged for new ones.", Some(self.rotations));
        text.one("files_opened_total", "counter", "Files of ours that were opened.", Some(self.served.files));
        text.one("values_served_total", "counter", "Values served on the socket.", Some(self.served.values));
        text.one(
            "values_refused_total",
            "counter",
            "Requests for values refused.",
            Some(self.served.refused),
        );
        let left = self.leases.iter().filter_map(|lease| Some((lease, lease.seconds?)));
        let left: Vec<_> = left.map(|(lease, left)| ([("of", lease.of.as_str())], left)).collect();
        let left = left.iter().map(|(labels, left)| (&labels[..], *left));
        text.family("lease_seconds", "gauge", "Seconds until a lease ends.", left);
        if let Some(protection) = &self.protection {
            text.protection(protection);
        }
        text.0
    }
}

/// Families of samples, one after the other.
#[derive(Default)]
struct Text(String);

impl Text {
    fn one(&mut self, name: &str, kind: &str, help: &str, value: Option<u64>) {
        self.family(name, kind, help, value.map(|value| (&[][..], value)));
    }

    fn family<'l>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        samples: impl IntoIterator<Item = (&'l [(&'l str, &'l str)], u64)>,
    ) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        let name = format!("cloudtaser_wrapper_{name}");
        let mut text = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (labels, value) in samples {
            let labels: Vec<String> =
                labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            // Writing to a string does not fail.
            writeln!(text, "{name}{labels} {value}").unwrap_or_default();
        }
        self.0.push_str(&text);
    }

    /// What does not apply is no sample.
    fn protection(&mut self, Assessment { score, report }: &Assessment) {
        self.one("protection_score", "gauge", "Points of the protection score.", Some(score.points.into()));
        self.one("protection_score_max", "gauge", "Points of all that applies.", Some(score.most.into()));
        let applies = report.measures.iter().filter(|measured| measured.state != State::NotApplicable);
        let checks: Vec<_> = applies
            .map(|one| ([("check", one.check.name())], u64::from(one.state == State::Reached)))
            .collect();
        let checks = checks.iter().map(|(labels, reached)| (&labels[..], *reached));
        self.family("protection_check", "gauge", "Whether a protection was reached.", checks);
    }
}

/// What stands in quotes, by the rules of the format.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::protection::{Check, Measured, Report};

    fn status() -> Status {
        let lease = Lease { of: "a\"b\\c".to_owned(), seconds: Some(60), renewable: true, version: Some(3) };
        let of = |check, state| Measured { check, state, found: "as found".to_owned() };
        let report = Report {
            version: Report::VERSION,
            program: "cloudtaser-wrapper 1.0.0".to_owned(),
            attacker: "uid 0".to_owned(),
            attacks: vec![],
            measures: vec![
                of(Check::MemfdSecret, State::Reached),
                of(Check::GuardPages, State::Missed),
                of(Check::TokenProtected, State::NotApplicable),
            ],
        };
        Status {
            version: "1.0.0",
            pid: 1,
            program: Some(7),
            way: Some("graft"),
            memory: "memfd_secret",
            strategy: "restart",
            leases: vec![lease],
            protection: Some(Assessment::from(&report)),
            ..Status::default()
        }
    }

    #[test]
    fn metrics_are_families_of_samples() {
        let text = status().metrics();
        for line in [
            r#"cloudtaser_wrapper_info{version="1.0.0",way="graft",memory="memfd_secret",strategy="restart"} 1"#,
            "# TYPE cloudtaser_wrapper_restarts_total counter",
            "cloudtaser_wrapper_restarts_total 0",
            "cloudtaser_wrapper_running 1",
            r#"cloudtaser_wrapper_lease_seconds{of="a\"b\\c"} 60"#,
            "cloudtaser_wrapper_protection_score 15",
            "cloudtaser_wrapper_protection_score_max 20",
            r#"cloudtaser_wrapper_protection_check{check="memfd_secret"} 1"#,
            r#"cloudtaser_wrapper_protection_check{check="guard_pages"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(!text.contains("fresh_seconds"), "what is not known is not said: {text}");
        assert!(!text.contains("token_protected"), "what does not apply is not said: {text}");
    }

    #[test]
    fn a_status_is_json_that_names_no_lease() {
        let json: serde_json::Value = serde_json::from_slice(&status().json()).unwrap();
        assert_eq!(json["program"], 7);
        assert_eq!(
            json["leases"][0],
            serde_json::json!({"of": "a\"b\\c", "seconds": 60, "renewable": true, "version": 3})
        );
        assert_eq!(json["protection"]["score"]["points"], 15);
        assert_eq!(json["protection"]["report"]["measures"][0]["check"], "memfd_secret");
        let read: Result<Assessment, _> = serde_json::from_value(json["protection"].clone());
        assert_eq!(read.unwrap(), status().protection.unwrap());
        assert_eq!(json["fresh_seconds"], serde_json::Value::Null);
    }
}
