//! SEV-SNP reports from the kernel's report interface, configfs-tsm (Linux 6.7).
//!
//! One directory per request. What passes by itself is tried again, for a few seconds: the
//! host still owns the buffer (`EBUSY`), a signal (`EINTR`), somebody else's write (the generation).
//! Nothing else is: after a garbled exchange the driver gives up its channel to the firmware for good, and
//! more requests would not help.
//!
//! Source: Linux `Documentation/ABI/testing/configfs-tsm-report`. Untrusted: the host, which makes the
//! certificate table and decides when a request is answered.

mod instance;

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use attest::crypto::AwsLcRs;
use attest::{Platform, Transcript};

use crate::device::{Collected, Device, Fault};
use instance::Instance;

/// Where Linux has it.
pub const REPORTS: &str = "/sys/kernel/config/tsm/report";

/// What the configuration says about SEV-SNP.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// The directory in which report directories are made.
    pub path: PathBuf,
    /// The VMPL to report; absent: the kernel's own.
    pub privlevel: Option<u8>,
}

/// The guest's firmware, behind the kernel's report interface.
#[derive(Clone, Debug)]
pub struct Snp {
    settings: Settings,
}

/// The two blobs of an answer.
#[derive(Debug)]
struct Blobs {
    outblob: Vec<u8>,
    auxblob: Vec<u8>,
}

impl Snp {
    /// Touches nothing yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    fn ask(&self, inblob: &[u8; 64]) -> Result<Blobs, Error> {
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let answer = Instance::make(&self.settings.path)
                .and_then(|mut instance| instance.ask(inblob, self.settings.privlevel));
            match answer {
                Err(error) if error.passes() && start.elapsed().saturating_add(pause) < PATIENCE => {
                    thread::sleep(pause);
                    pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
                }
                other => return other,
            }
        }
    }
}

impl Device for Snp {
    fn platform(&self) -> Platform {
        Platform::SevSnp
    }

    fn sign(&self, transcript: &Transcript<'_>) -> Result<Collected, Fault> {
        let caller_data = transcript.caller_data(&AwsLcRs, self.platform());
        let wrong = |_| Error::CallerData { expected: 64, found: caller_data.len() };
        let blobs = self.ask(caller_data.as_slice().try_into().map_err(wrong)?)?;
        // A host that hands out a broken table takes away its certificates, not the evidence.
        let (certificates, remark) = match attest::snp::certificates(&blobs.auxblob) {
            Ok(table) => (table.certificates, None),
            Err(error) => (Vec::new(), Some(format!("the host's certificate table: {error}"))),
        };
        Ok(Collected { evidence: blobs.outblob, certificates, remark })
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No driver serves reports, or the interface is not there.
    #[error("no report provider at {path}: load sev-guest and mount configfs ({source})")]
    NoProvider {
        /// Where it was looked for.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Another kind of machine.
    #[error("report provider: expected {expected}, found {found:?}")]
    Provider {
        /// The one for SEV-SNP.
        expected: &'static str,
        /// The one that is there.
        found: String,
    },
    /// Still busy after all attempts.
    #[error("the host's report buffer is busy ({source})")]
    Busy {
        /// What the kernel said.
        source: io::Error,
    },
    /// The host throttled the guest for too long.
    #[error("the host did not let the firmware answer in time ({source})")]
    TimedOut {
        /// What the kernel said.
        source: io::Error,
    },
    /// The driver gave up its key to the firmware.
    #[error("the channel to the firmware is gone until the next boot ({source})")]
    Gone {
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel refused a value.
    #[error("{path}: refused by the kernel; is privlevel at or above privlevel_floor? ({source})")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Somebody else wrote into our directory.
    #[error("report generation: expected {expected}, found {found:?}")]
    Raced {
        /// The number of our own writes.
        expected: u64,
        /// What the kernel counted.
        found: String,
    },
    /// A file longer than any that the interface defines.
    #[error("{path}: expected at most {limit} bytes, found more")]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// The kernel took a part only.
    #[error("{path}: expected {expected} bytes to be taken, found {found}")]
    Short {
        /// The file.
        path: PathBuf,
        /// All of them.
        expected: usize,
        /// As many as were taken.
        found: usize,
    },
    /// Report data of another length.
    #[error("report data: expected {expected} bytes, found {found}")]
    CallerData {
        /// The length of `REPORT_DATA`.
        expected: usize,
        /// The length that was asked for.
        found: usize,
    },
    /// Any other failed call.
    #[error("{call} {path}: {source}")]
    Call {
        /// The call.
        call: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Error {
    fn from_call(call: &'static str, path: &Path, source: io::Error) -> Self {
        use nix::errno::Errno;
        let path = path.to_owned();
        match source.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENXIO) => Self::NoProvider { path, source },
            Some(Errno::ENOENT) if call == "mkdir" => Self::NoProvider { path, source },
            Some(Errno::EBUSY | Errno::EAGAIN) => Self::Busy { source },
            Some(Errno::ETIMEDOUT) => Self::TimedOut { source },
            Some(Errno::ENOTTY) => Self::Gone { source },
            Some(Errno::EINVAL) => Self::Invalid { path, source },
            _ => Self::Call { call, path, source },
        }
    }

    /// Whether the same question may be answered a moment later.
    fn passes(&self) -> bool {
        let interrupted = |source: &io::Error| source.kind() == io::ErrorKind::Interrupted;
        matches!(self, Self::Busy { .. } | Self::Raced { .. })
            || matches!(self, Self::Call { source, .. } if interrupted(source))
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How long one request is tried again.
const PATIENCE: Duration = Duration::from_secs(5);
