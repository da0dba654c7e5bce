//! The plugin's log: one line of JSON for each event, in the form that OpenBao takes over.
//!
//! OpenBao reads a plugin's standard error. A line of JSON whose `@message`, `@level` or
//! `@timestamp` is not a string stops the *server* (go-plugin 1.8), so these three are written
//! last, by this module, and nothing else reaches that file: see [`crate::serve`].
//! Never log secrets or evidence.
//!
//! Untrusted: messages and values; they become JSON strings, cut to a bounded length.

use std::fmt::Display;
use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use prost_types::Timestamp;
use serde_json::{Map, Value};

/// For someone who looks for a fault.
pub fn debug(message: &str, fields: Fields<'_>) {
    write("debug", message, fields);
}

/// For an operator to know.
pub fn info(message: &str, fields: Fields<'_>) {
    write("info", message, fields);
}

/// For an operator to look into.
pub fn warn(message: &str, fields: Fields<'_>) {
    write("warn", message, fields);
}

/// For an operator to act on.
pub fn error(message: &str, fields: Fields<'_>) {
    write("error", message, fields);
}

/// Names with values, shown beside the message.
pub type Fields<'a> = &'a [(&'a str, &'a dyn Display)];

/// Sends the log to `file` from now on.
pub(crate) fn open(file: File) {
    // Only the first caller decides; `serve` runs once in a process.
    drop(SINK.set(Mutex::new(file)));
}

/// Whether [`open`] was called.
pub(crate) fn is_open() -> bool {
    SINK.get().is_some()
}

/// The wall clock, read here and nowhere else: for log lines and the issue times of leases.
pub(crate) fn now() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "a log line's time; no decision depends on it")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: since.subsec_nanos().cast_signed(),
    }
}

fn write(level: &str, message: &str, fields: Fields<'_>) {
    let Some(sink) = SINK.get() else { return };
    let line = line(level, message, fields, now());
    let mut file = sink.lock().unwrap_or_else(PoisonError::into_inner);
    // One write for a line, so that lines of two threads never mix. When the host is gone
    // there is nobody left to tell.
    drop(file.write_all(line.as_bytes()));
}

fn line(level: &str, message: &str, fields: Fields<'_>, now: Timestamp) -> String {
    let mut object = Map::new();
    for (name, value) in fields.iter().take(MAX_FIELDS) {
        object.insert((*name).to_owned(), Value::String(cut(&value.to_string())));
    }
    object.insert("@level".to_owned(), Value::String(level.to_owned()));
    object.insert("@message".to_owned(), Value::String(cut(message)));
    object.insert("@timestamp".to_owned(), Value::String(stamp(now)));
    let mut line = Value::Object(object).to_string();
    line.push('\n');
    line
}

/// Exactly six decimals, or hclog takes the whole line for plain text.
fn stamp(now: Timestamp) -> String {
    let micros = now.nanos.checked_div(1000).unwrap_or(0);
    let seconds = Timestamp { nanos: 0, ..now }.to_string();
    format!("{}.{micros:06}Z", seconds.trim_end_matches('Z'))
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_CHARS).collect()
}

static SINK: OnceLock<Mutex<File>> = OnceLock::new();

/// The host reads lines of up to 64 KiB. A character takes at most 6 bytes as JSON text
/// (`\u0000`) or 4 as UTF-8: 9 strings of 1000 characters stay below 54 KiB.
const MAX_CHARS: usize = 1000;
const MAX_FIELDS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp { seconds: 1_795_262_400, nanos: 5_000_999 };

    #[test]
    fn a_time_always_has_six_decimals() {
        assert_eq!(stamp(NOON), "2026-11-21T12:00:00.005000Z");
        assert_eq!(stamp(Timestamp { nanos: 0, ..NOON }), "2026-11-21T12:00:00.000000Z");
    }

    #[test]
    fn a_field_cannot_take_the_place_of_the_three_that_the_server_trusts() {
        let line = line("info", "real", &[("@message", &1), ("@level", &2), ("@timestamp", &3)], NOON);
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["@message"], "real");
        assert_eq!(value["@level"], "info");
        assert_eq!(value["@timestamp"], "2026-11-21T12:00:00.005000Z");
    }

    #[test]
    fn a_message_that_is_json_stays_a_string() {
        let line = line("info", r#"{"@message":7,"@level":[]}"#, &[], NOON);
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["@message"], r#"{"@message":7,"@level":[]}"#);
    }

    #[test]
    fn the_longest_line_fits_into_the_hosts_buffer() {
        let worst = "\u{0}".repeat(100_000);
        let names: Vec<String> = (0..50).map(|n| format!("k{n}")).collect();
        let fields: Vec<(&str, &dyn Display)> =
            names.iter().map(|name| -> (&str, &dyn Display) { (name, &worst) }).collect();
        let line = line("error", &worst, &fields, NOON);
        assert!(line.len() < 64 * 1024, "{}", line.len());
        assert_eq!(line.matches('\n').count(), 1);
    }
}
