//! Prometheus' text format, version 0.0.4.

use std::fmt::{Display, Write};

use super::histogram::Histogram;

/// A page of metrics.
#[derive(Debug, Default)]
pub(super) struct Page(String);

/// What a metric is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Type {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts magnitudes.
    Histogram,
}

impl Page {
    /// Begins a metric.
    pub(super) fn metric(&mut self, name: &str, kind: Type, help: &str) {
        let kind = match kind {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
            Type::Histogram => "histogram",
        };
        self.line(&format_args!("# HELP {name} {help}"));
        self.line(&format_args!("# TYPE {name} {kind}"));
    }

    /// A sample; labels are ours and need no escapes.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: &dyn Display) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        if labels.is_empty() {
            self.line(&format_args!("{name} {value}"));
        } else {
            self.line(&format_args!("{name}{{{}}} {value}", labels.join(",")));
        }
    }

    /// The samples of a histogram; `shown` turns its unit into the page's.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        labels: &[(&str, &str)],
        histogram: &Histogram,
        shown: fn(u64) -> String,
    ) {
        let bucket = format!("{name}_bucket");
        for (bound, count) in histogram.cumulative() {
            let bound = shown(bound);
            self.sample(&bucket, &[labels, &[("le", bound.as_str())]].concat(), &count);
        }
        let (count, sum) = histogram.totals();
        self.sample(&bucket, &[labels, &[("le", "+Inf")]].concat(), &count);
        self.sample(&format!("{name}_sum"), labels, &shown(sum));
        self.sample(&format!("{name}_count"), labels, &count);
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }

    fn line(&mut self, line: &dyn Display) {
        // Writing to a String cannot fail.
        writeln!(self.0, "{line}").unwrap_or_default();
    }
}

/// Microseconds as seconds, exactly.
pub(super) fn seconds(micros: u64) -> String {
    let (whole, rest) = (micros / 1_000_000, micros % 1_000_000);
    let text = format!("{whole}.{rest:06}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microseconds_are_told_in_seconds_without_rounding() {
        assert_eq!([100, 2_500, 1_000_000, 10_000_000, 0].map(seconds), ["0.0001", "0.0025", "1", "10", "0"]);
    }
}
