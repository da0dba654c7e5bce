//! The machine behind the files: the guest's report, the host's certificates, and what goes wrong.

use std::thread;
use std::time::Duration;

use fuser::Errno;

use super::attribute::Attribute;
use crate::snp::{Chip, ReportBuilder};
use crate::td::Registers;
use crate::tdx::QuoteBuilder;

/// A guest on a chip, as its driver sees it.
#[derive(Clone, Debug)]
pub struct Machine {
    silicon: Silicon,
    fault: Fault,
    /// How many requests the fault still befalls.
    passes_after: Option<u32>,
    reports: u32,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Fault {
    /// Nothing.
    #[default]
    Healthy,
    /// No driver is loaded: no directory can be made (`ENXIO`).
    NoProvider,
    /// The host still owns the buffer: each request fails with `EBUSY`.
    Busy,
    /// The host takes too long: each request fails with `ETIMEDOUT`; a TD's next with `EBUSY`, because the host
    /// still owns the buffer.
    TimedOut,
    /// A signal arrives while waiting: each request fails with `EINTR`.
    Interrupted,
    /// After this many reports the guest's channel to the firmware is gone for good (`ENOTTY`).
    GoneAfter(u32),
    /// Each request takes this long.
    Slow(Duration),
    /// The host's quoting service fails: the driver passes on an empty report.
    Empty,
    /// The report is larger than the kernel holds (`EFBIG`).
    TooLarge,
    /// The caller may make no directory (`EACCES`).
    Denied,
    /// Somebody else writes to the same directory before each request: the report is over other data,
    /// and the generation says so.
    GenerationRace,
}

/// A report and the certificates that came with it.
#[derive(Clone, Debug)]
pub(super) struct Response {
    pub(super) outblob: Vec<u8>,
    pub(super) auxblob: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Silicon {
    Snp { report: Box<ReportBuilder>, auxblob: Vec<u8>, key: Key, floor: u32 },
    Tdx { quote: Box<QuoteBuilder>, registers: Option<Registers> },
}

#[derive(Clone, Copy, Debug)]
enum Key {
    Vcek,
    Vlek,
}

impl Machine {
    /// A healthy SEV-SNP guest at VMPL 0, whose reports are signed with the VCEK.
    #[must_use]
    pub fn new(chip: &Chip) -> Self {
        Self::snp(chip.report(), chip.cert_table().encode(), Key::Vcek)
    }

    /// A healthy SEV-SNP guest whose reports are signed with the provider's VLEK.
    #[must_use]
    pub fn with_vlek(chip: &Chip) -> Self {
        Self::snp(chip.report(), chip.vlek_cert_table().encode(), Key::Vlek)
    }

    /// A healthy TD, with all fields but report data taken from this quote.
    #[must_use]
    pub fn tdx(quote: QuoteBuilder) -> Self {
        Self {
            silicon: Silicon::Tdx { quote: Box::new(quote), registers: None },
            fault: Fault::Healthy,
            passes_after: None,
            reports: 0,
        }
    }

    /// Takes a TD's run-time measurements from registers that change.
    #[must_use]
    pub fn registers(mut self, new: Registers) -> Self {
        if let Silicon::Tdx { registers, .. } = &mut self.silicon {
            *registers = Some(new);
        }
        self
    }

    /// Takes all fields but report data and VMPL from this report; a TD has none.
    #[must_use]
    pub fn report(mut self, new: ReportBuilder) -> Self {
        if let Silicon::Snp { report, .. } = &mut self.silicon {
            **report = new;
        }
        self
    }

    /// Gives these bytes as certificates, empty where the host has none; a TD has no such file.
    #[must_use]
    pub fn auxblob(mut self, new: &[u8]) -> Self {
        if let Silicon::Snp { auxblob, .. } = &mut self.silicon {
            new.clone_into(auxblob);
        }
        self
    }

    /// Runs the guest's kernel at this VMPL, the lowest that can be asked for; a TD has none.
    #[must_use]
    pub const fn privlevel_floor(mut self, new: u32) -> Self {
        if let Silicon::Snp { floor, .. } = &mut self.silicon {
            *floor = new;
        }
        self
    }

    /// Lets something go wrong.
    #[must_use]
    pub const fn fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    /// Lets something go wrong at this many requests, and be well again after them.
    #[must_use]
    pub const fn passing_fault(mut self, fault: Fault, requests: u32) -> Self {
        self.passes_after = Some(requests);
        self.fault(fault)
    }

    fn snp(report: ReportBuilder, auxblob: Vec<u8>, key: Key) -> Self {
        let silicon = Silicon::Snp { report: Box::new(report), auxblob, key, floor: 0 };
        Self { silicon, fault: Fault::Healthy, passes_after: None, reports: 0 }
    }

    /// The name of the driver, as the kernel shows it.
    pub(super) const fn provider(&self) -> &'static str {
        match self.silicon {
            Silicon::Snp { .. } => "sev_guest\n",
            Silicon::Tdx { .. } => "tdx_guest\n",
        }
    }

    /// The files of a report directory.
    pub(super) const fn attributes(&self) -> &'static [Attribute] {
        match self.silicon {
            Silicon::Snp { .. } => &Attribute::ALL,
            Silicon::Tdx { .. } => &Attribute::TDX,
        }
    }

    pub(super) const fn floor(&self) -> u32 {
        match self.silicon {
            Silicon::Snp { floor, .. } => floor,
            Silicon::Tdx { .. } => 0,
        }
    }

    pub(super) fn is_raced(&self) -> bool {
        self.fault == Fault::GenerationRace
    }

    /// The answer to `mkdir`.
    pub(super) fn admit(&self) -> Result<(), Errno> {
        match self.fault {
            Fault::NoProvider => Err(Errno::ENXIO),
            Fault::Denied => Err(Errno::EACCES),
            Fault::Healthy
            | Fault::Busy
            | Fault::TimedOut
            | Fault::Interrupted
            | Fault::GoneAfter(_)
            | Fault::Slow(_)
            | Fault::Empty
            | Fault::TooLarge
            | Fault::GenerationRace => Ok(()),
        }
    }

    /// Asks the firmware for a report: 64 bytes of report data and a VMPL no better than the kernel's.
    pub(super) fn request(&mut self, inblob: &[u8], privlevel: u32) -> Result<Response, Errno> {
        let data: [u8; 64] = inblob.try_into().map_err(|_wrong_length| Errno::EINVAL)?;
        let passed = self.delay_or_fail();
        if self.fault == Fault::TimedOut && matches!(self.silicon, Silicon::Tdx { .. }) {
            self.fault = Fault::Busy;
        }
        self.outlive_fault();
        passed?;
        if privlevel < self.floor() {
            // The firmware refuses a VMPL better than that of the key the request came under.
            return Err(Errno::EIO);
        }
        self.reports = self.reports.saturating_add(1);
        let mut response = self.silicon.sign(data, privlevel);
        if self.fault == Fault::Empty {
            response.outblob.clear();
        }
        Ok(response)
    }

    const fn outlive_fault(&mut self) {
        match self.passes_after {
            Some(0 | 1) => {
                self.fault = Fault::Healthy;
                self.passes_after = None;
            }
            Some(more) => self.passes_after = Some(more.wrapping_sub(1)),
            None => {}
        }
    }

    fn delay_or_fail(&self) -> Result<(), Errno> {
        match self.fault {
            Fault::Busy => Err(Errno::EBUSY),
            Fault::TimedOut => Err(Errno::ETIMEDOUT),
            Fault::Interrupted => Err(Errno::EINTR),
            Fault::GoneAfter(reports) if self.reports >= reports => Err(Errno::ENOTTY),
            Fault::TooLarge => Err(Errno::EFBIG),
            Fault::Healthy
            | Fault::NoProvider
            | Fault::Denied
            | Fault::Empty
            | Fault::GenerationRace
            | Fault::GoneAfter(_) => Ok(()),
            Fault::Slow(delay) => {
                thread::sleep(delay);
                Ok(())
            }
        }
    }
}

impl Silicon {
    fn sign(&self, data: [u8; 64], privlevel: u32) -> Response {
        match self {
            Self::Snp { report, auxblob, key, .. } => {
                let report = ReportBuilder::clone(report).report_data(data).vmpl(privlevel);
                let outblob = match key {
                    Key::Vcek => report.sign(),
                    Key::Vlek => report.sign_with_vlek(),
                };
                Response { outblob, auxblob: auxblob.clone() }
            }
            Self::Tdx { quote, registers } => {
                let quote = QuoteBuilder::clone(quote).report_data(data);
                let quote = match registers {
                    Some(registers) => quote.rtmrs(registers.values()),
                    None => quote,
                };
                Response { outblob: quote.sign(), auxblob: Vec::new() }
            }
        }
    }
}
