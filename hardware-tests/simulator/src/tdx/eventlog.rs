//! The event log of a TD (CCEL), whose replay gives the run-time measurements of its quote.
//!
//! TCG PC Client Platform Firmware Profile, section 10 (crypto-agile log), with SHA-384 alone; UEFI 2.10,
//! section 38: measurement register 0 is the MRTD, 1 to 4 are RTMR 0 to 3.

use aws_lc_rs::digest::{SHA384, digest};

/// An event log about to be encoded.
#[derive(Clone, Debug, Default)]
pub struct EventLog {
    events: Vec<Event>,
    padding: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Event {
    register: u32,
    kind: u32,
    digest: [u8; 48],
    data: Vec<u8>,
}

impl EventLog {
    /// What a small TD measures: firmware settings, a boot loader's calls, a kernel and its command line.
    #[must_use]
    pub fn production(kernel_command_line: &str) -> Self {
        let line = format!("kernel_cmdline: {kernel_command_line}");
        let boot = Self::default()
            .event(1, kind::EFI_PLATFORM_FIRMWARE_BLOB2, b"simulated firmware")
            .event(1, kind::SEPARATOR, &[0; 4])
            .event(2, kind::EFI_ACTION, b"Calling EFI Application from Boot Option")
            .event(2, kind::SEPARATOR, &[0; 4]);
        let logged = [line.as_bytes(), &[0]].concat();
        boot.event_over(3, kind::IPL, kernel_command_line.as_bytes(), &logged)
            .event(2, kind::EFI_ACTION, b"Exit Boot Services Invocation")
            .event(2, kind::EFI_ACTION, b"Exit Boot Services Returned with Success")
    }

    /// Measures `data`, and logs it.
    #[must_use]
    pub fn event(self, register: u32, kind: u32, data: &[u8]) -> Self {
        self.event_over(register, kind, data, data)
    }

    /// Measures one thing, and logs another.
    #[must_use]
    pub fn event_over(self, register: u32, kind: u32, measured: &[u8], logged: &[u8]) -> Self {
        self.event_with(register, kind, sha384(&[measured]), logged)
    }

    /// Extends by a given digest.
    #[must_use]
    pub fn event_with(mut self, register: u32, kind: u32, digest: [u8; 48], data: &[u8]) -> Self {
        self.events.push(Event { register, kind, digest, data: data.to_vec() });
        self
    }

    /// Fills the table up to a length, as firmware hands it over: with 0xff or 0.
    #[must_use]
    pub fn padded(mut self, byte: u8, length: usize) -> Self {
        self.padding.clear();
        let missing = length.saturating_sub(self.encode().len());
        self.padding = vec![byte; missing];
        self
    }

    /// RTMR 0 to 3 after these events.
    #[must_use]
    pub fn rtmrs(&self) -> [[u8; 48]; 4] {
        [1, 2, 3, 4].map(|register| self.replay(register))
    }

    /// The log's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let specification = specification();
        let mut log = [1, kind::NO_ACTION].map(u32::to_le_bytes).concat();
        log.extend([0; 20]);
        log.extend(length(specification.len()));
        log.extend(specification);
        log.extend(self.events.iter().flat_map(Event::encode));
        log.extend(&self.padding);
        log
    }

    fn replay(&self, register: u32) -> [u8; 48] {
        let extending = self.events.iter().filter(|event| event.register == register);
        let extending = extending.filter(|event| event.kind != kind::NO_ACTION);
        extending.fold([0; 48], |value, event| sha384(&[&value, &event.digest]))
    }
}

impl Event {
    fn encode(&self) -> Vec<u8> {
        [
            &self.register.to_le_bytes()[..],
            &self.kind.to_le_bytes(),
            &1_u32.to_le_bytes(),
            &SHA384_ID.to_le_bytes(),
            &self.digest,
            &length(self.data.len()),
            &self.data,
        ]
        .concat()
    }
}

/// `TCG_EfiSpecIDEvent`, version 2.0, for SHA-384 alone.
fn specification() -> Vec<u8> {
    let [low, high] = SHA384_ID.to_le_bytes();
    [&b"Spec ID Event03\0"[..], &[0, 0, 0, 0], &[0, 2, 0, 2], &[1, 0, 0, 0], &[low, high, 48, 0], &[0]]
        .concat()
}

fn sha384(parts: &[&[u8]]) -> [u8; 48] {
    let mut bytes = [0; 48];
    for (byte, value) in bytes.iter_mut().zip(digest(&SHA384, &parts.concat()).as_ref()) {
        *byte = *value;
    }
    bytes
}

fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes()
}

/// `TPM_ALG_SHA384`
const SHA384_ID: u16 = 0x000c;

/// Types of events.
mod kind {
    pub(super) const NO_ACTION: u32 = 3;
    pub(super) const SEPARATOR: u32 = 4;
    pub(super) const IPL: u32 = 0x0d;
    pub(super) const EFI_ACTION: u32 = 0x8000_0007;
    pub(super) const EFI_PLATFORM_FIRMWARE_BLOB2: u32 = 0x8000_000a;
}
