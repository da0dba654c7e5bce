//! Replay: the values that registers have if the events of a log were extended into them, and nothing else was.
//!
//! A register starts as zeros, but for PCR 0, whose last byte is the locality that started the TPM, and PCRs 17
//! to 22, which start as ones (PC Client Platform TPM Profile 1.05, section 4.6.2). Events without action are
//! not extended (Platform Firmware Profile 1.06, section 10.4.5).

use super::{Event, EventLog, Measurement};
use crate::crypto::{Crypto, Hash};

/// Whose registers a log speaks of.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Layout {
    /// PCRs 0 to 23 of a TPM.
    Tpm,
    /// Measurement registers of the EFI CC protocol: 1 to 4 are RTMR 0 to 3 of a TD.
    Cc,
}

/// The registers after a replay.
#[derive(Clone, Debug)]
pub struct Replay {
    layout: Layout,
    bank: Hash,
    values: Vec<Option<Measurement>>,
    start: Measurement,
}

/// A quoted register beside the replayed one.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Register {
    /// Its number in the log.
    pub index: u32,
    /// What the comparison says.
    pub state: State,
}

/// How a register compares with the log.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum State {
    /// The replay gives the quoted value: the log has all that was measured there.
    Matches,
    /// The replay gives the quoted value once these phases of systemd are added, which no firmware logs.
    MatchesWith(String),
    /// The log has no event of it, yet something was measured there.
    Silent,
    /// The replay gives another value.
    Differs(Measurement),
}

/// Why a log cannot be replayed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreplayable {
    /// No digests of this bank.
    #[error("event {event} has no {bank} digest")]
    NoDigest {
        /// Which event, counted from 0.
        event: usize,
        /// The bank that was asked for.
        bank: Hash,
    },
    /// An event of a register that there is not.
    #[error("event {event} is of register {register}, which there is not")]
    NoRegister {
        /// Which event, counted from 0.
        event: usize,
        /// Its register.
        register: u32,
    },
    /// A start that no TPM has, or that is told too late.
    #[error("event {event} tells a startup locality that no TPM has, or too late")]
    Locality {
        /// Which event, counted from 0.
        event: usize,
    },
}

impl EventLog<'_> {
    /// Computes the registers of a bank.
    pub fn replay(&self, crypto: &dyn Crypto, layout: Layout, bank: Hash) -> Result<Replay, Unreplayable> {
        let mut replay = Replay::new(layout, bank);
        for (at, event) in self.events().enumerate() {
            replay.take(crypto, at, &event)?;
        }
        Ok(replay)
    }
}

impl Replay {
    fn new(layout: Layout, bank: Hash) -> Self {
        Self { layout, bank, values: vec![None; layout.registers()], start: Measurement::filled(bank, 0) }
    }

    fn take(&mut self, crypto: &dyn Crypto, at: usize, event: &Event<'_>) -> Result<(), Unreplayable> {
        if !event.is_extended() {
            return self.locality(at, event);
        }
        let bank = self.bank;
        let digest = event.digest(bank).ok_or(Unreplayable::NoDigest { event: at, bank })?;
        let no_register = Unreplayable::NoRegister { event: at, register: event.register };
        // Measurement register 0 is the TD's build-time measurement: nothing extends it.
        let missing = self.layout == Layout::Cc && event.register == 0;
        let start = self.initial(event.register);
        let value = place(event.register).and_then(|place| self.values.get_mut(place)).filter(|_| !missing);
        let value = value.ok_or(no_register)?;
        *value = Some(value.unwrap_or(start).extended(crypto, bank, digest));
        Ok(())
    }

    /// Section 10.4.5.3: only what started the TPM tells it, before anything is measured into PCR 0.
    fn locality(&mut self, at: usize, event: &Event<'_>) -> Result<(), Unreplayable> {
        let Some(locality) = event.data.strip_prefix(STARTUP_LOCALITY) else { return Ok(()) };
        let untouched = self.values.first().is_some_and(Option::is_none);
        let first = self.start == Measurement::filled(self.bank, 0);
        match locality {
            [locality @ (0 | 3 | 4)] if self.layout == Layout::Tpm && untouched && first => {
                self.start = self.start.ending(*locality);
                Ok(())
            }
            _ => Err(Unreplayable::Locality { event: at }),
        }
    }

    fn initial(&self, index: u32) -> Measurement {
        match (self.layout, index) {
            (Layout::Tpm, 0) => self.start,
            (Layout::Tpm, 17..=22) => Measurement::filled(self.bank, 0xff),
            _ => Measurement::filled(self.bank, 0),
        }
    }

    /// The bank.
    #[must_use]
    pub fn bank(&self) -> Hash {
        self.bank
    }

    /// The registers that the log has events of, with their values.
    pub fn touched(&self) -> impl Iterator<Item = (u32, Measurement)> + '_ {
        (0..).zip(&self.values).filter_map(|(index, value)| value.map(|value| (index, value)))
    }

    /// The register's value: after its events, or as it starts.
    #[must_use]
    pub fn value(&self, index: u32) -> Measurement {
        self.logged(index).unwrap_or_else(|| self.initial(index))
    }

    fn logged(&self, index: u32) -> Option<Measurement> {
        place(index).and_then(|place| self.values.get(place)).copied().flatten()
    }

    /// Compares with quoted values (index, value), each once.
    #[must_use]
    pub fn compare(&self, crypto: &dyn Crypto, quoted: &[(u32, &[u8])]) -> Vec<Register> {
        let state = |(index, value): &(u32, &[u8])| Register {
            index: *index,
            state: self.state(crypto, *index, value),
        };
        quoted.iter().map(state).collect()
    }

    fn state(&self, crypto: &dyn Crypto, index: u32, quoted: &[u8]) -> State {
        let replayed = self.value(index);
        if replayed.as_bytes() == quoted {
            State::Matches
        } else if let Some(phases) = self.phases(crypto, index, quoted) {
            State::MatchesWith(phases)
        } else if self.logged(index).is_none() && !self.layout.of_firmware(index) {
            State::Silent
        } else {
            State::Differs(replayed)
        }
    }

    /// What systemd measured into PCR 11 after the firmware's log had ended: the boot phases up to now.
    fn phases(&self, crypto: &dyn Crypto, index: u32, quoted: &[u8]) -> Option<String> {
        if self.layout != Layout::Tpm || index != 11 {
            return None;
        }
        let mut value = self.value(index);
        let mut reached = Vec::new();
        for phase in PHASES {
            let digest = Measurement::of(crypto, self.bank, &[phase.as_bytes()]);
            value = value.extended(crypto, self.bank, digest.as_bytes());
            reached.push(phase);
            if value.as_bytes() == quoted {
                return Some(reached.join(":"));
            }
        }
        None
    }
}

impl Layout {
    fn registers(self) -> usize {
        match self {
            Self::Tpm => 24,
            Self::Cc => 5,
        }
    }

    /// The registers that only firmware and boot loaders measure into: a log must tell all of it.
    fn of_firmware(self, index: u32) -> bool {
        match self {
            Self::Tpm => index <= 7,
            Self::Cc => matches!(index, 1 | 2),
        }
    }
}

fn place(index: u32) -> Option<usize> {
    usize::try_from(index).ok()
}

const STARTUP_LOCALITY: &[u8] = b"StartupLocality\0";
/// systemd-pcrphase: the words of a boot and its end, in their order.
const PHASES: [&str; 6] = ["enter-initrd", "leave-initrd", "sysinit", "ready", "shutdown", "final"];
