//! TDX: a quote of the TD, and the event log that its run-time measurements replay.
//!
//! A log that is missing, too long or not to be parsed is remarked on, and the quote goes out alone: a policy that
//! wants the log then refuses, and says so.
//!
//! Untrusted: the host, whose quoting service makes the quote, and the log.

use std::path::PathBuf;

use attest::eventlog::EventLog;
use attest::{Part, Platform, Transcript, parcel};

use super::{Address, Blobs, Error, Provider, Rtmr, either, inblob, patiently, report, tdx_guest};
use crate::device::{Collected, Device, Fault};
use crate::facts::{self, Measured, Place};
use crate::logs::file;

/// What the configuration says about TDX.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The directory in which report directories are made.
    pub path: PathBuf,
    /// The driver's own device, for kernels without that directory.
    pub device: PathBuf,
    /// The host's quoting service, which is asked for a quote with such kernels.
    pub quoting: Address,
    /// The event log that the firmware left (ACPI table CCEL).
    pub event_log: PathBuf,
    /// RTMR 3, which takes in the cluster's name.
    pub register: PathBuf,
    /// RTMR 2, which takes facts in.
    pub facts_register: PathBuf,
    /// What it took in.
    pub measured: Option<Measured>,
}

impl Settings {
    /// RTMR 3, which firmware and kernel leave alone.
    #[must_use]
    pub fn register(&self) -> Rtmr {
        Rtmr::new(3, self.register.clone())
    }

    /// RTMR 2, and what it took in, if facts are measured.
    #[must_use]
    pub fn facts(&self) -> Option<Place> {
        let register = Rtmr::new(2, self.facts_register.clone());
        Some((self.measured.clone()?, Box::new(register)))
    }
}

/// The TD.
#[derive(Clone, Debug)]
pub struct Tdx {
    settings: Settings,
}

impl Tdx {
    /// Where Linux has the event log.
    pub const EVENT_LOG: &'static str = "/sys/firmware/acpi/tables/data/CCEL";

    /// Touches nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    fn ask(&self, inblob: &[u8; 64]) -> Result<Blobs, Error> {
        let Settings { path, device, quoting, .. } = &self.settings;
        patiently(|| {
            either(
                || report(path, Provider::TdxGuest, inblob, None),
                || tdx_guest::ask(device, quoting, inblob),
            )
        })
    }

    fn event_log(&self) -> Result<Vec<u8>, String> {
        let path = &self.settings.event_log;
        let log = file::read(path, MAX_LOG).map_err(|unread| unread.to_string())?;
        EventLog::parse(&log).map_err(|error| format!("{}: {error}", path.display()))?;
        let log = self.appended(log)?;
        if log.len() > MAX_LOG {
            return Err(format!(
                "{}: with facts expected at most {MAX_LOG} bytes, found {}",
                path.display(),
                log.len()
            ));
        }
        Ok(log)
    }
}

impl Tdx {
    /// With what was measured since.
    fn appended(&self, log: Vec<u8>) -> Result<Vec<u8>, String> {
        match &self.settings.measured {
            Some(measured) => measured.appended(log).map_err(|error| error.to_string()),
            None => Ok(log),
        }
    }
}

impl Device for Tdx {
    fn platform(&self) -> Platform {
        Platform::Tdx
    }

    fn sign(&self, transcript: &Transcript<'_>) -> Result<Collected, Fault> {
        let _still = facts::still();
        let quote = self.ask(&inblob(transcript, self.platform())?)?.outblob;
        let (evidence, remark) = match self.event_log() {
            Ok(log) => (parcel::assemble(&[(Part::TdQuote, &quote), (Part::Ccel, &log)]), None),
            Err(problem) => (quote, Some(format!("without an event log: {problem}"))),
        };
        Ok(Collected { evidence, certificates: Vec::new(), remark })
    }
}

/// Firmware sets aside 64 KiB; a reply has room for some more.
const MAX_LOG: usize = 192 * 1024;
