//! SEV-SNP: a report of the guest's firmware, and the certificates that the host has at hand.
//!
//! Untrusted: the host, which makes the certificate table.

use std::path::PathBuf;

use attest::{Platform, Transcript};

use super::{Blobs, Error, Provider, either, inblob, patiently, report, sev_guest};
use crate::device::{Collected, Device, Fault};

/// What the configuration says about SEV-SNP.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The directory in which report directories are made.
    pub path: PathBuf,
    /// The driver's own device, for kernels without that directory.
    pub device: PathBuf,
    /// The VMPL to report; absent: the kernel's own.
    pub privlevel: Option<u8>,
}

/// The guest's firmware.
#[derive(Clone, Debug)]
pub struct Snp {
    settings: Settings,
}

impl Snp {
    /// Touches nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    fn ask(&self, inblob: &[u8; 64]) -> Result<Blobs, Error> {
        let Settings { path, device, privlevel } = &self.settings;
        patiently(|| {
            either(
                || report(path, Provider::SevGuest, inblob, *privlevel),
                || sev_guest::ask(device, inblob, privlevel.unwrap_or(0)),
            )
        })
    }
}

impl Device for Snp {
    fn platform(&self) -> Platform {
        Platform::SevSnp
    }

    fn sign(&self, transcript: &Transcript<'_>) -> Result<Collected, Fault> {
        let blobs = self.ask(&inblob(transcript, self.platform())?)?;
        // A host that hands out a broken table takes away its certificates, not the evidence.
        let (certificates, remark) = match attest::snp::certificates(&blobs.auxblob) {
            Ok(table) => (table.certificates, None),
            Err(error) => (Vec::new(), Some(format!("the host's certificate table: {error}"))),
        };
        Ok(Collected { evidence: blobs.outblob, certificates, remark })
    }
}
