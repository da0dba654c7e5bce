//! A confidential machine of Azure's, as it is typed.

use std::path::PathBuf;

use clap::Args;
use simulator::azure::{Fault, Kind};

use super::{Problems, read_instant};

#[derive(Args, Debug)]
pub(super) struct RawAzure {
    /// The hardware under the paravisor: snp or tdx.
    #[arg(long)]
    kind: String,
    /// Which machine.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Directory of the TPM's state; made if absent.
    #[arg(long)]
    state: PathBuf,
    /// The clock at the start: seconds since 1970, or 2026-11-21T00:00:00Z.
    #[arg(long)]
    at: Option<String>,
    /// What goes wrong: no-report, broken-report, other-key, other-chip, imds-silent, imds-not-json, imds-busy,
    /// imds-moved, imds-endless.
    #[arg(long)]
    fault: Option<String>,
    /// Write the hardware's certificates, lists and documents to this directory.
    #[arg(long)]
    write_endorsements: Option<PathBuf>,
}

/// A machine of Azure's.
#[derive(Debug)]
pub(crate) struct Azure {
    pub(crate) kind: Kind,
    pub(crate) seed: u64,
    pub(crate) at: u64,
    pub(crate) state: PathBuf,
    pub(crate) fault: Fault,
    pub(crate) endorsements: Option<PathBuf>,
}

impl RawAzure {
    pub(super) fn read(self, now: u64, problems: &mut Problems) -> Option<Azure> {
        let kind = problems.note(read_kind(&self.kind));
        let fault = problems.note(self.fault.as_deref().map_or(Ok(Fault::Healthy), read_fault));
        let at = problems.note(self.at.as_deref().map_or(Ok(now), read_instant));
        let (kind, fault, at) = (kind?, fault?, at?);
        let Self { seed, state, write_endorsements: endorsements, .. } = self;
        Some(Azure { kind, seed, at, state, fault, endorsements })
    }
}

fn read_kind(word: &str) -> Result<Kind, String> {
    match word {
        "snp" => Ok(Kind::Snp),
        "tdx" => Ok(Kind::Tdx),
        _ => Err(format!("--kind is {word}, expected snp or tdx")),
    }
}

fn read_fault(word: &str) -> Result<Fault, String> {
    let known = Fault::ALL.into_iter().find(|(name, _)| *name == word);
    let names = || Fault::ALL.map(|(name, _)| name).join(", ");
    known.map(|(_, fault)| fault).ok_or_else(|| format!("--fault is {word}, expected one of {}", names()))
}
