//! The guest's own word: SEV-SNP reports and TD quotes.
//!
//! [`Snp`] and [`Tdx`] ask the kernel's report interface, configfs-tsm (Linux 6.7). Where no driver serves it
//! they ask the driver's own device, as kernels before had it. What passes by itself is tried again, for a few
//! seconds: the host still owns the buffer (`EBUSY`), a signal (`EINTR`), somebody else's write (the generation).
//! Nothing else is: after a garbled exchange the driver gives up its channel to the firmware for good, and
//! more requests would not help.
//!
//! Source: Linux `Documentation/ABI/testing/configfs-tsm-report`. Untrusted: the host, which makes the
//! certificate table and the quotes, and decides when a request is answered.

mod error;
mod instance;
mod qgs;
mod rtmr;
mod sev_guest;
mod snp;
mod tdx;
mod tdx_guest;

use std::fmt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use attest::crypto::AwsLcRs;
use attest::{Platform, Transcript};

pub use error::Error;
pub use qgs::{Address, Error as QuotingError};
pub use rtmr::Rtmr;
pub use snp::{Settings as SnpSettings, Snp};
pub use tdx::{Settings as TdxSettings, Tdx};

use instance::Instance;

/// Where Linux has the report interface.
pub const REPORTS: &str = "/sys/kernel/config/tsm/report";

/// A driver that serves reports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Provider {
    /// SEV-SNP.
    SevGuest,
    /// TDX.
    TdxGuest,
}

impl Provider {
    /// Its name in the report interface.
    const fn name(self) -> &'static str {
        match self {
            Self::SevGuest => "sev_guest",
            Self::TdxGuest => "tdx_guest",
        }
    }

    const fn module(self) -> &'static str {
        match self {
            Self::SevGuest => "sev-guest",
            Self::TdxGuest => "tdx-guest",
        }
    }

    const fn late(self) -> &'static str {
        match self {
            Self::SevGuest => "the host did not let the firmware answer in time",
            Self::TdxGuest => "the host's quoting service did not answer in time",
        }
    }

    const fn lost(self) -> &'static str {
        match self {
            Self::SevGuest => "the channel to the firmware is gone until the next boot",
            Self::TdxGuest => "the report provider is gone: is tdx-guest still loaded?",
        }
    }

    /// What the kernel may have meant by refusing a value.
    const fn doubt(self) -> &'static str {
        match self {
            Self::SevGuest => "; is privlevel at or above privlevel_floor?",
            Self::TdxGuest => "",
        }
    }

    /// What to do where another provider was found.
    fn advice(found: &str) -> &'static str {
        match found {
            "sev_guest" => ": this is a SEV-SNP guest, use [snp]",
            "tdx_guest" => ": this is a TDX guest, use [tdx]",
            _ => "",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The two blobs of an answer; a TD has no second.
#[derive(Debug)]
struct Blobs {
    outblob: Vec<u8>,
    auxblob: Vec<u8>,
}

/// The report interface once, and the device where no driver serves the interface.
fn either(
    reports: impl FnOnce() -> Result<Blobs, Error>,
    device: impl FnOnce() -> Result<Blobs, Error>,
) -> Result<Blobs, Error> {
    match reports() {
        Err(missing @ Error::NoProvider { .. }) => device().map_err(|error| error.after(missing)),
        other => other,
    }
}

/// One question to the report interface, in a directory of its own.
fn report(
    reports: &Path,
    provider: Provider,
    inblob: &[u8; 64],
    privlevel: Option<u8>,
) -> Result<Blobs, Error> {
    Instance::make(reports, provider)?.ask(inblob, privlevel)
}

/// Asks until there is an answer, or an error that does not pass.
fn patiently(mut ask: impl FnMut() -> Result<Blobs, Error>) -> Result<Blobs, Error> {
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match ask() {
            Err(error) if error.passes() && start.elapsed().saturating_add(pause) < PATIENCE => {
                thread::sleep(pause);
                pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
            }
            other => return other,
        }
    }
}

/// The 64 bytes that the hardware signs.
fn inblob(transcript: &Transcript<'_>, platform: Platform) -> Result<[u8; 64], Error> {
    let caller_data = transcript.caller_data(&AwsLcRs, platform);
    let found = caller_data.len();
    caller_data.try_into().map_err(|_data| Error::CallerData { expected: 64, found })
}

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How long one request is tried again.
const PATIENCE: Duration = Duration::from_secs(5);
