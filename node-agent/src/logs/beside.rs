//! Which logs go with a quote.
//!
//! A log says what was measured, a quote only what came of it. A log is read after the quote: a list that grows in
//! between is then longer than what was quoted, which a verifier allows, and never shorter. One that cannot go
//! along (unreadable, cut short, too long, of another bank) stays behind with a remark: evidence goes out without
//! it, and a policy that asks for it refuses.
//!
//! Untrusted: the logs. Only their shape is looked at, so that a verifier does not drop the quote because of them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use attest::crypto::Hash;
use attest::eventlog::EventLog;
use attest::ima::ImaLog;
use attest::{Part, parcel};

use super::file::{Unread, read};
use crate::facts::Measured;
use crate::vtpm::Selection;

/// Where a log is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// None is sent.
    Off,
    /// Where the kernel usually has it; that there is none is no news.
    Usual(PathBuf),
    /// Where the operator says.
    Named(PathBuf),
}

/// Which logs are sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The firmware's (`binary_bios_measurements`).
    pub event_log: Source,
    /// The kernel's list of files (`binary_runtime_measurements`).
    pub ima_log: Source,
    /// What the agent itself measured since, which goes behind the firmware's events.
    pub measured: Option<Measured>,
}

/// What stands beside a quote.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    parts: BTreeMap<Part, Vec<u8>>,
    remarks: Vec<String>,
}

impl Settings {
    /// No logs.
    pub const OFF: Self = Self { event_log: Source::Off, ima_log: Source::Off, measured: None };

    /// Reads what there is, now.
    pub(crate) fn collect(&self, pcrs: &Selection) -> Beside {
        let mut beside = Beside::default();
        beside.take(Part::EventLog, &self.event_log, |bytes| {
            event_log_fits(&bytes, pcrs)?;
            self.appended(bytes)
        });
        beside.take(Part::ImaLog, &self.ima_log, |bytes| ima_log_fits(&bytes, pcrs).map(|()| bytes));
        beside
    }

    fn appended(&self, log: Vec<u8>) -> Result<Vec<u8>, String> {
        match &self.measured {
            Some(measured) => measured.appended(log).map_err(|error| error.to_string()),
            None => Ok(log),
        }
    }
}

impl Beside {
    /// The evidence: the quote alone if nothing stands beside it.
    pub(crate) fn with(mut self, quote: Vec<u8>) -> (Vec<u8>, Vec<String>) {
        if self.parts.is_empty() {
            return (quote, self.remarks);
        }
        self.put(Part::TpmQuote, quote);
        self.into_parcel()
    }

    /// Adds a part that is no log.
    pub(crate) fn put(&mut self, part: Part, bytes: Vec<u8>) {
        self.parts.insert(part, bytes);
    }

    /// Adds something that the operator should know.
    pub(crate) fn remark(&mut self, remark: String) {
        self.remarks.push(remark);
    }

    /// All of it.
    pub(crate) fn into_parcel(self) -> (Vec<u8>, Vec<String>) {
        let parts: Vec<(Part, &[u8])> =
            self.parts.iter().map(|(part, bytes)| (*part, bytes.as_slice())).collect();
        (parcel::assemble(&parts), self.remarks)
    }

    /// The one place through which a log's bytes go before they are evidence.
    fn take(&mut self, part: Part, source: &Source, ready: impl Fn(Vec<u8>) -> Result<Vec<u8>, String>) {
        let (path, expected) = match source {
            Source::Off => return,
            Source::Usual(path) => (path, false),
            Source::Named(path) => (path, true),
        };
        let left = MAX_LOGS.saturating_sub(self.parts.values().map(Vec::len).sum());
        match read(path, left) {
            Ok(bytes) => match ready(bytes) {
                // What was measured since makes it longer than its file.
                Ok(bytes) if bytes.len() > left => {
                    self.leave(part, path, &format!("expected at most {left} bytes, found more"));
                }
                Ok(bytes) => self.put(part, bytes),
                Err(why) => self.leave(part, path, &why),
            },
            Err(Unread::Call { source, .. }) if !expected && source.kind() == io::ErrorKind::NotFound => {}
            Err(Unread::Empty { .. }) if !expected => {}
            Err(Unread::TooLong { limit, .. }) => {
                self.leave(part, path, &format!("expected at most {limit} bytes, found more"));
            }
            Err(Unread::Call { source, .. }) => self.leave(part, path, &source.to_string()),
            Err(Unread::Empty { .. }) => self.leave(part, path, "empty"),
        }
    }

    fn leave(&mut self, part: Part, path: &Path, why: &str) {
        let what = if part == Part::ImaLog { "IMA list" } else { "event log" };
        self.remark(format!("{what} not sent: {}: {why}", path.display()));
    }
}

/// A verifier refuses a log that has no digest of any quoted bank.
fn event_log_fits(bytes: &[u8], pcrs: &Selection) -> Result<(), String> {
    let logs = EventLog::parse_all(bytes).map_err(|error| error.to_string())?;
    let banks: Vec<Hash> = logs.iter().flat_map(EventLog::banks).collect();
    if pcrs.keys().any(|bank| banks.contains(bank)) {
        return Ok(());
    }
    Err(format!("it has digests of {}, and the quote values of {}", words(&banks), words(pcrs.keys())))
}

/// A verifier replays the list to PCR 10.
fn ima_log_fits(bytes: &[u8], pcrs: &Selection) -> Result<(), String> {
    ImaLog::parse(bytes).map_err(|error| error.to_string())?;
    if pcrs.values().any(|indices| indices.contains(&10)) {
        Ok(())
    } else {
        Err("PCR 10 is not quoted".to_owned())
    }
}

fn words<'b>(banks: impl IntoIterator<Item = &'b Hash>) -> String {
    let names: Vec<String> = banks.into_iter().map(ToString::to_string).collect();
    if names.is_empty() { "no bank".to_owned() } else { names.join(", ") }
}

/// For both together: a reply of the agent has 512 KiB, and quote and certificates want room in it.
const MAX_LOGS: usize = 320 * 1024;
