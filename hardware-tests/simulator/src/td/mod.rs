//! What a TD has besides its report interface: a device, an event log, registers, and a quoting service.
//!
//! One [`Td`] stands behind all of them: what is extended into a register by [`Files`] is in the next quote, whichever
//! way it is asked for. [`Files`] shows by FUSE what Linux shows at `/dev/tdx_guest`,
//! `/sys/firmware/acpi/tables/data/CCEL` and `/sys/devices/virtual/misc/tdx_guest/measurements`; [`Quoting`] is
//! the host's service on a Unix socket.
//!
//! Source of the behaviour: Linux `drivers/virt/coco/tdx-guest` and `drivers/virt/coco/guest/tsm-mr.c`; Intel SGX DCAP
//! `qgs_msg_lib.h`; the TD report as in Intel TDX module ABI 348551, section 3.9.

mod files;
mod fs;
mod quoting;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{SHA256, SHA384, digest};

use crate::tdx::QuoteBuilder;
use crate::tsm::Machine;

pub use files::Files;
pub use quoting::{Quoting, QuotingFault};

/// A running TD.
#[derive(Clone, Debug)]
pub struct Td {
    quote: QuoteBuilder,
    event_log: Vec<u8>,
    registers: Registers,
}

/// RTMR 0 to 3, which change while the TD runs.
#[derive(Clone, Debug)]
pub struct Registers(Arc<Mutex<[[u8; 48]; 4]>>);

impl Td {
    /// A TD whose quotes have all fields but report data from this one, and registers that change. It has no log.
    #[must_use]
    pub fn new(quote: QuoteBuilder) -> Self {
        let registers = Registers(Arc::new(Mutex::new(quote.values())));
        Self { quote, event_log: Vec::new(), registers }
    }

    /// Shows these bytes as event log.
    #[must_use]
    pub fn event_log(mut self, log: Vec<u8>) -> Self {
        self.event_log = log;
        self
    }

    /// Its report interface.
    #[must_use]
    pub fn machine(&self) -> Machine {
        Machine::tdx(self.quote.clone()).registers(self.registers.clone())
    }

    /// Its registers.
    #[must_use]
    pub fn registers(&self) -> &Registers {
        &self.registers
    }

    /// What the processor answers to a request for a report: report data in, a structure with a MAC out.
    #[must_use]
    pub fn report(&self, report_data: [u8; 64]) -> [u8; REPORT] {
        let mut report = [0; REPORT];
        put(&mut report, 0, &[0x81]);
        put(&mut report, REPORT_DATA, &report_data);
        let mac = mac(&report);
        put(&mut report, MAC, mac.as_ref());
        report
    }

    /// The quote over a report, unless no processor of this machine made it.
    fn quoted(&self, report: &[u8]) -> Option<Vec<u8>> {
        let report: &[u8; REPORT] = report.try_into().ok()?;
        let found = report.iter().skip(MAC).take(32);
        if !mac(report).as_ref().iter().eq(found) {
            return None;
        }
        let mut data = [0; 64];
        for (byte, value) in data.iter_mut().zip(report.iter().skip(REPORT_DATA)) {
            *byte = *value;
        }
        Some(self.quote.clone().rtmrs(self.registers.values()).report_data(data).sign())
    }
}

impl Registers {
    /// All four.
    #[must_use]
    pub fn values(&self) -> [[u8; 48]; 4] {
        *self.lock()
    }

    /// Extends a register by a digest; there are four, and others do nothing.
    pub fn extend(&self, number: usize, by: [u8; 48]) {
        if let Some(value) = self.lock().get_mut(number) {
            let next = digest(&SHA384, &[*value, by].concat());
            put(value, 0, next.as_ref());
        }
    }

    fn lock(&self) -> MutexGuard<'_, [[u8; 48]; 4]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Anybody can make this one: it only tells a report from other bytes.
fn mac(report: &[u8; REPORT]) -> aws_lc_rs::digest::Digest {
    digest(&SHA256, report.get(..MAC).unwrap_or_default())
}

fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    for (byte, value) in bytes.iter_mut().skip(offset).zip(value) {
        *byte = *value;
    }
}

/// The length of a TD report.
pub const REPORT: usize = 1024;
const REPORT_DATA: usize = 128;
const MAC: usize = 224;
