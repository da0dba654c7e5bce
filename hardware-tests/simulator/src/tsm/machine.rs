//! The machine behind the files: the guest's report, the host's certificates, and what goes wrong.

use std::thread;
use std::time::Duration;

use fuser::Errno;

use crate::snp::{Chip, ReportBuilder};

/// A guest on a chip, as the `sev_guest` driver sees it.
#[derive(Clone, Debug)]
pub struct Machine {
    report: ReportBuilder,
    auxblob: Vec<u8>,
    key: Key,
    floor: u32,
    fault: Fault,
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
    /// The host throttles for too long: each request fails with `ETIMEDOUT`.
    TimedOut,
    /// A signal arrives while waiting: each request fails with `EINTR`.
    Interrupted,
    /// After this many reports the guest's channel to the firmware is gone for good (`ENOTTY`).
    GoneAfter(u32),
    /// Each request takes this long.
    Slow(Duration),
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

#[derive(Clone, Copy, Debug)]
enum Key {
    Vcek,
    Vlek,
}

impl Machine {
    /// A healthy guest at VMPL 0, whose reports are signed with the VCEK.
    #[must_use]
    pub fn new(chip: &Chip) -> Self {
        Self {
            report: chip.report(),
            auxblob: chip.cert_table().encode(),
            key: Key::Vcek,
            floor: 0,
            fault: Fault::Healthy,
            reports: 0,
        }
    }

    /// A healthy guest whose reports are signed with the provider's VLEK.
    #[must_use]
    pub fn with_vlek(chip: &Chip) -> Self {
        Self { key: Key::Vlek, auxblob: chip.vlek_cert_table().encode(), ..Self::new(chip) }
    }

    /// Takes all fields but report data and VMPL from this report.
    #[must_use]
    pub fn report(mut self, report: ReportBuilder) -> Self {
        self.report = report;
        self
    }

    /// Gives these bytes as certificates; empty where the host has none.
    #[must_use]
    pub fn auxblob(mut self, auxblob: &[u8]) -> Self {
        auxblob.clone_into(&mut self.auxblob);
        self
    }

    /// Runs the guest's kernel at this VMPL, the lowest that can be asked for.
    #[must_use]
    pub const fn privlevel_floor(mut self, floor: u32) -> Self {
        self.floor = floor;
        self
    }

    /// Lets something go wrong.
    #[must_use]
    pub const fn fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    pub(super) const fn floor(&self) -> u32 {
        self.floor
    }

    pub(super) fn is_raced(&self) -> bool {
        self.fault == Fault::GenerationRace
    }

    /// The answer to `mkdir`.
    pub(super) fn admit(&self) -> Result<(), Errno> {
        if self.fault == Fault::NoProvider { Err(Errno::ENXIO) } else { Ok(()) }
    }

    /// Asks the firmware for a report: 64 bytes of report data and a VMPL no better than the kernel's.
    pub(super) fn request(&mut self, inblob: &[u8], privlevel: u32) -> Result<Response, Errno> {
        let data: [u8; 64] = inblob.try_into().map_err(|_wrong_length| Errno::EINVAL)?;
        self.delay_or_fail()?;
        if privlevel < self.floor {
            // The firmware refuses a VMPL better than that of the key the request came under.
            return Err(Errno::EIO);
        }
        self.reports = self.reports.saturating_add(1);
        let report = self.report.clone().report_data(data).vmpl(privlevel);
        let outblob = match self.key {
            Key::Vcek => report.sign(),
            Key::Vlek => report.sign_with_vlek(),
        };
        Ok(Response { outblob, auxblob: self.auxblob.clone() })
    }

    fn delay_or_fail(&self) -> Result<(), Errno> {
        match self.fault {
            Fault::Busy => Err(Errno::EBUSY),
            Fault::TimedOut => Err(Errno::ETIMEDOUT),
            Fault::Interrupted => Err(Errno::EINTR),
            Fault::GoneAfter(reports) if self.reports >= reports => Err(Errno::ENOTTY),
            Fault::Healthy | Fault::NoProvider | Fault::GenerationRace | Fault::GoneAfter(_) => Ok(()),
            Fault::Slow(delay) => {
                thread::sleep(delay);
                Ok(())
            }
        }
    }
}
