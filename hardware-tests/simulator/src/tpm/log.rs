//! What a machine with a TPM measured: the firmware's event log, and the kernel's list of files.
//!
//! TCG PC Client Platform Firmware Profile 1.06, section 10 (crypto-agile log), with SHA-256 alone; Linux,
//! IMA-templates.rst (`ima-ng`). Whoever shows one extends the TPM's registers by [`EventLog::measured`] and
//! [`FileList::measured`], each content by the bank's own hash.

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

/// An event log about to be encoded.
#[derive(Clone, Debug, Default)]
pub struct EventLog {
    events: Vec<Event>,
}

#[derive(Clone, Debug)]
struct Event {
    register: u32,
    kind: u32,
    measured: Vec<u8>,
    logged: Vec<u8>,
}

/// A list of measured files about to be encoded.
#[derive(Clone, Debug, Default)]
pub struct FileList {
    paths: Vec<String>,
}

impl EventLog {
    /// What a small machine measures: firmware, a boot loader's calls, a kernel's command line.
    #[must_use]
    pub fn production(kernel_command_line: &str) -> Self {
        let separated = (0..8)
            .fold(Self::default().event(0, S_CRTM_VERSION, b"simulated firmware"), |log, pcr| {
                log.event(pcr, SEPARATOR, &[0; 4])
            });
        let logged = format!("kernel_cmdline: {kernel_command_line}\0");
        separated
            .event_over(8, IPL, kernel_command_line.as_bytes(), logged.as_bytes())
            .event(5, EFI_ACTION, b"Exit Boot Services Invocation")
            .event(5, EFI_ACTION, b"Exit Boot Services Returned with Success")
    }

    /// Measures `data`, and logs it.
    #[must_use]
    pub fn event(self, register: u32, kind: u32, data: &[u8]) -> Self {
        self.event_over(register, kind, data, data)
    }

    /// Measures one thing, and logs another.
    #[must_use]
    pub fn event_over(mut self, register: u32, kind: u32, measured: &[u8], logged: &[u8]) -> Self {
        self.events.push(Event { register, kind, measured: measured.to_vec(), logged: logged.to_vec() });
        self
    }

    /// What goes into which register, in order.
    pub fn measured(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.events.iter().map(|event| (event.register, event.measured.as_slice()))
    }

    /// The log's bytes, as in `binary_bios_measurements`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let specification =
            [&b"Spec ID Event03\0"[..], &[0, 0, 0, 0], &[0, 2, 0, 2], &[1, 0, 0, 0], &[0x0b, 0, 32, 0], &[0]]
                .concat();
        let head = [&word(0)[..], &word(NO_ACTION), &[0; 20], &sized(&specification)].concat();
        let events = self.events.iter().flat_map(|event| {
            let digest = hashed(&SHA256, &event.measured);
            let place = [word(event.register), word(event.kind), word(1)].concat();
            [&place[..], &[0x0b, 0], &digest, &sized(&event.logged)].concat()
        });
        head.into_iter().chain(events).collect()
    }
}

impl FileList {
    /// Measures a file of which the content is its own path.
    #[must_use]
    pub fn file(mut self, path: &str) -> Self {
        self.paths.push(path.to_owned());
        self
    }

    /// What goes into PCR 10, in order.
    pub fn measured(&self) -> impl Iterator<Item = Vec<u8>> {
        self.paths.iter().map(|path| fields(path))
    }

    /// The list's bytes, as in `binary_runtime_measurements`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let entry = |path: &String| {
            let fields = fields(path);
            let recorded = hashed(&SHA1_FOR_LEGACY_USE_ONLY, &fields);
            [&word(10)[..], &recorded, &sized(b"ima-ng"), &sized(&fields)].concat()
        };
        self.paths.iter().flat_map(entry).collect()
    }
}

fn fields(path: &str) -> Vec<u8> {
    let digest = [&b"sha256:\0"[..], &hashed(&SHA256, path.as_bytes())].concat();
    [sized(&digest), sized(&[path.as_bytes(), &[0]].concat())].concat()
}

fn hashed(algorithm: &'static Algorithm, data: &[u8]) -> Vec<u8> {
    digest(algorithm, data).as_ref().to_vec()
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&word(u32::try_from(bytes.len()).unwrap_or(u32::MAX))[..], bytes].concat()
}

fn word(number: u32) -> [u8; 4] {
    number.to_le_bytes()
}

/// Types of events.
const NO_ACTION: u32 = 3;
const SEPARATOR: u32 = 4;
const S_CRTM_VERSION: u32 = 8;
const IPL: u32 = 0x0d;
const EFI_ACTION: u32 = 0x8000_0007;
