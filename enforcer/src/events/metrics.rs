//! How things stand, in the text format of Prometheus, version 0.0.4.
//!
//! Written into a file that a collector on the machine takes along (node exporter's `textfile` folder), because the enforcer
//! does not touch the network. Core: numbers and names of the catalogue; no name that an attacker chose.

use std::fmt::Write as _;

use enforcer_abi::share::{CAPACITY, Table};
use enforcer_abi::{CATALOGUE, Vector};
use protocol::enforcer::{Defence, Matrix, Verified};

use super::pump::Now;

/// What the kernel's side counted since the programs were loaded.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Refused, by the vector's number.
    pub denied: Vec<u64>,
    /// Let through and told, by the vector's number.
    pub told: Vec<u64>,
    /// Records that the ring buffer had no room for.
    pub lost: u64,
    /// Calls in which nothing was found: looked at, looked at but for their ends, not to be read.
    pub searches: [u64; 3],
    /// Entries in use of each table of the kernel's side, in the order of [`Table::ALL`].
    pub fill: [u64; 2],
}

/// What user space counted since it started.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Passed {
    /// Records taken from the ring buffer.
    pub records: u64,
    /// Events that were made of them.
    pub events: u64,
    /// Events that an outlet could not write.
    pub outlets_lost: u64,
}

/// The whole text.
#[must_use]
pub fn text(matrix: &Matrix, counts: &Counts, passed: Passed, now: Now) -> String {
    let mut text = Text::default();
    let info = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("mode", &matrix.mode),
        ("kernel", &matrix.kernel),
        ("programs", &matrix.programs),
    ];
    text.family("info", "gauge", "What runs here.", &[(info.to_vec(), 1)]);
    text.one("heartbeat_timestamp_seconds", "gauge", "When this was written.", now.unix / 1_000_000_000);
    let accesses: Vec<_> =
        by_vector(&counts.denied, "denied").chain(by_vector(&counts.told, "told")).collect();
    text.family("accesses_total", "counter", "Accesses that the policy is against.", &accesses);
    let searches = ["searched", "cut", "unread"].map(|result| vec![("result", result)]);
    let searches: Vec<_> = searches.into_iter().zip(counts.searches).collect();
    text.family("searches_total", "counter", "Calls in which no secret was found.", &searches);
    let maps = Table::ALL.map(|table| vec![("map", table.name())]);
    let fill: Vec<_> = maps.into_iter().zip(counts.fill).collect();
    text.family("map_fill", "gauge", "Entries in use of a table that all protected processes share.", &fill);
    text.one("map_capacity", "gauge", "Entries of each.", CAPACITY.into());
    text.one("records_lost_total", "counter", "Records that the ring buffer had no room for.", counts.lost);
    text.one("records_total", "counter", "Records taken from the ring buffer.", passed.records);
    text.one("events_total", "counter", "Events made of them.", passed.events);
    text.one("outlets_lost_total", "counter", "Events that were not written.", passed.outlets_lost);
    let defences: Vec<_> = matrix.vectors.iter().map(|defence| (labels(defence), 1)).collect();
    text.family("defence", "gauge", "How each vector is defended.", &defences);
    let verified = |defence: &Defence| u64::from(defence.verified == Verified::Yes);
    let tried = matrix.vectors.iter().filter(|defence| defence.verified != Verified::Untried);
    let tried: Vec<_> = tried.map(|one| (vec![("vector", one.vector.as_str())], verified(one))).collect();
    text.family("verified", "gauge", "Whether an attack on a decoy was refused.", &tried);
    text.0
}

type Sample<'l> = (Vec<(&'l str, &'l str)>, u64);

fn by_vector<'c>(counts: &'c [u64], decision: &'static str) -> impl Iterator<Item = Sample<'c>> {
    let names = Vector::ALL.iter().map(|vector| vector.row().name);
    names.zip(counts).map(move |(name, count)| (vec![("vector", name), ("decision", decision)], *count))
}

fn labels(defence: &Defence) -> Vec<(&str, &str)> {
    vec![
        ("vector", &defence.vector),
        ("tier", &defence.tier),
        ("mode", &defence.mode),
        ("verified", defence.verified.name()),
    ]
}

/// Families of samples, one after the other.
#[derive(Default)]
struct Text(String);

impl Text {
    fn one(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.family(name, kind, help, &[(Vec::new(), value)]);
    }

    fn family(&mut self, name: &str, kind: &str, help: &str, samples: &[Sample<'_>]) {
        if samples.is_empty() {
            return;
        }
        let name = format!("cloudtaser_enforcer_{name}");
        // Writing to a string does not fail.
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").unwrap_or_default();
        for (labels, value) in samples {
            let labels: Vec<String> =
                labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
            let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
            writeln!(self.0, "{name}{labels} {value}").unwrap_or_default();
        }
    }
}

/// What stands in quotes, by the rules of the format.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

/// Counters of nothing yet.
impl Counts {
    /// One zero for each vector.
    #[must_use]
    pub fn zero() -> Self {
        Self {
            denied: vec![0; CATALOGUE.len()],
            told: vec![0; CATALOGUE.len()],
            lost: 0,
            searches: [0; 3],
            fill: [0; 2],
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::events) fn matrix() -> Matrix {
        let defence = |vector: Vector, tier: &str, verified| Defence {
            vector: vector.row().name.to_owned(),
            event: vector.row().event.to_owned(),
            tier: tier.to_owned(),
            mode: "enforce".to_owned(),
            verified,
            why: None,
        };
        Matrix {
            mode: "enforce".to_owned(),
            kernel: "6.12\"x".to_owned(),
            programs: "00".repeat(32),
            vectors: vec![
                defence(Vector::ProcMem, "lsm", Verified::Yes),
                defence(Vector::Environ, "kill", Verified::No),
                defence(Vector::Kexec, "lsm", Verified::Untried),
            ],
        }
    }

    #[test]
    fn metrics_are_families_of_samples() {
        let mut counts = Counts { lost: 5, searches: [7, 8, 9], fill: [4, 2], ..Counts::zero() };
        counts.denied[usize::from(Vector::Environ.number())] = 3;
        let now = Now { boot: 1, unix: 1_795_370_814_999_999_999 };
        let text = text(&matrix(), &counts, Passed { records: 9, ..Passed::default() }, now);
        for line in [
            r#"cloudtaser_enforcer_accesses_total{vector="environ",decision="denied"} 3"#,
            r#"cloudtaser_enforcer_accesses_total{vector="environ",decision="told"} 0"#,
            r#"cloudtaser_enforcer_searches_total{result="searched"} 7"#,
            r#"cloudtaser_enforcer_map_fill{map="tasks"} 4"#,
            r#"cloudtaser_enforcer_map_fill{map="made"} 2"#,
            "cloudtaser_enforcer_map_capacity 65536",
            r#"cloudtaser_enforcer_searches_total{result="cut"} 8"#,
            r#"cloudtaser_enforcer_searches_total{result="unread"} 9"#,
            "cloudtaser_enforcer_records_lost_total 5",
            "cloudtaser_enforcer_records_total 9",
            "cloudtaser_enforcer_heartbeat_timestamp_seconds 1795370814",
            "# TYPE cloudtaser_enforcer_accesses_total counter",
            r#"cloudtaser_enforcer_defence{vector="environ",tier="kill",mode="enforce",verified="no"} 1"#,
            r#"cloudtaser_enforcer_verified{vector="proc-mem"} 1"#,
            r#"cloudtaser_enforcer_verified{vector="environ"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(text.contains(r#"kernel="6.12\"x""#));
        assert!(!text.contains(r#"verified{vector="kexec"}"#), "what was not tried is neither: {text}");
    }
}
