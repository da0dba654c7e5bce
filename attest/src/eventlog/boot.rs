//! What a boot is proved to have been.

use super::reading::Reading;
use super::{EventLog, Facts, Layout, Measurement, Register, State, Unreplayable};
use crate::crypto::{Crypto, Hash};

/// What the events of a replayed log prove. Every digest stands in the quoted registers; every text was hashed
/// to such a digest.
///
/// Firmware and boot loaders vouch for the events up to the handover; whoever has the machine later can only
/// add. So a rule over these lists asks that each entry is a known one, and the list not empty.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Boot {
    /// The bank whose digests these are.
    pub bank: Hash,
    /// Whose registers.
    pub layout: Layout,
    /// The quoted registers, each compared.
    pub registers: Vec<Register>,
    /// How many events the log has.
    pub events: usize,
    /// The version of the firmware, as it calls itself (PCR 0).
    pub firmware_version: Option<String>,
    /// Whether the firmware ran only signed programs.
    pub secure_boot: SecureBoot,
    /// Whether the firmware let devices read and write all memory.
    pub dma_unprotected: bool,
    /// The keys and lists that Secure Boot had when it started (PCR 7; RTMR 0).
    pub variables: Vec<Variable>,
    /// Everything measured there afterwards: what vouched for the programs, and levels of revocation.
    pub authorities: Vec<Measurement>,
    /// Programs that were loaded: Authenticode digests (PCR 4; RTMR 1).
    pub images: Vec<Measurement>,
    /// Drivers that did not come with the firmware (PCR 2).
    pub drivers: Vec<Measurement>,
    /// Machine owner's keys, digests of their lists (PCR 14).
    pub owner_keys: Vec<Measurement>,
    /// What the system said of itself, each time that it was measured (PCR 14; RTMR 2).
    pub facts: Vec<Facts>,
    /// Kernel command lines (PCR 8, 9, 12; RTMR 2).
    pub command_lines: Vec<CommandLine>,
    /// Sections of a unified kernel image (PCR 11; RTMR 2).
    pub sections: Vec<Section>,
    /// Commands that a boot loader ran: how many.
    pub commands: usize,
    /// What else boot loaders measured: files, of which only the digest is known (PCR 8, 9, 11 to 13; RTMR 2).
    pub opaque: Vec<Opaque>,
    /// Whether the firmware gave the machine to an operating system.
    pub handed_over: bool,
}

/// Whether the firmware ran only signed programs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SecureBoot {
    /// On, measured before anything else could have measured it.
    On,
    /// Off.
    Off,
    /// Nothing proves it: no such variable before the separator, or no separator.
    NotMeasured,
    /// On, but the firmware could not measure, or a debugger may be attached to it.
    Undermined,
}

/// A variable of Secure Boot.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Variable {
    /// PK, KEK, db, dbx, dbt or dbr.
    pub name: &'static str,
    /// What was measured: the digest of vendor, name and value.
    pub digest: Measurement,
}

/// A kernel command line.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct CommandLine {
    /// Who measured it.
    pub by: Loader,
    /// The digest in the log.
    pub digest: Measurement,
    /// The text, if it is known and has this digest.
    pub text: Option<String>,
}

/// Who measured a command line.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Loader {
    /// GRUB, into PCR 8.
    Grub,
    /// systemd-boot or systemd-stub, into PCR 12 (before version 251: PCR 8).
    Systemd,
    /// The kernel's own EFI stub, into PCR 9: what the kernel really got.
    Kernel,
}

/// A section of a unified kernel image.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Section {
    /// Its name, for example `.linux`.
    pub name: String,
    /// The digest of its content.
    pub digest: Measurement,
}

/// Something of which only the digest is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Opaque {
    /// The register.
    pub register: u32,
    /// The digest.
    pub digest: Measurement,
}

impl Boot {
    /// Reads a log whose replay gives the `quoted` registers (index, value) of a bank.
    pub fn proved(
        crypto: &dyn Crypto,
        log: &EventLog<'_>,
        layout: Layout,
        bank: Hash,
        quoted: &[(u32, &[u8])],
    ) -> Result<Self, Unproved> {
        if !log.banks().contains(&bank) {
            return Err(Unproved::NoBank(bank));
        }
        let replay = log.replay(crypto, layout, bank)?;
        let registers = replay.compare(crypto, quoted);
        let wrong = |register: &&Register| matches!(register.state, State::Differs(_));
        let wrong: Vec<Register> = registers.iter().filter(wrong).cloned().collect();
        if !wrong.is_empty() {
            return Err(Unproved::Differs(wrong));
        }
        let mut reading = Reading::new(crypto, layout, bank);
        let proved = |register: u32| quoted.iter().any(|(quoted, _)| *quoted == register);
        for event in log.events().filter(|event| proved(event.register)) {
            reading.take(&event);
        }
        Ok(reading.finish(registers, log.count()))
    }

    /// The phases that systemd reported, separated by colons: `enter-initrd:leave-initrd`. Empty if none.
    #[must_use]
    pub fn phases(&self) -> &str {
        let phases = self.registers.iter().find_map(|register| match &register.state {
            State::MatchesWith(phases) => Some(phases.as_str()),
            State::Matches | State::Silent | State::Differs(_) => None,
        });
        phases.unwrap_or_default()
    }

    /// Whether the log tells all that was measured into this register.
    #[must_use]
    pub fn tells(&self, index: u32) -> bool {
        let told = |register: &Register| matches!(register.state, State::Matches | State::MatchesWith(_));
        self.registers.iter().any(|register| register.index == index && told(register))
    }
}

/// Why a log proves nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unproved {
    /// The log has no digests of the bank.
    #[error("the log has no {0} digests")]
    NoBank(Hash),
    /// It cannot be replayed at all.
    #[error(transparent)]
    Unreplayable(#[from] Unreplayable),
    /// It gives other values than those that were quoted.
    #[error("registers {} differ from the quoted ones", indices(.0))]
    Differs(Vec<Register>),
}

fn indices(registers: &[Register]) -> String {
    let texts: Vec<String> = registers.iter().map(|register| register.index.to_string()).collect();
    texts.join(", ")
}
