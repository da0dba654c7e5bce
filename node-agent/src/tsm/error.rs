//! Why the guest gave no word of its own.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::{Provider, qgs};

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No driver serves reports, or the interface is not there.
    #[error("no report provider at {path}: load {} and mount configfs ({source})", .provider.module())]
    NoProvider {
        /// The one that was looked for.
        provider: Provider,
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Neither the report interface nor the driver's own device.
    #[error("{reports}; {device}: {source}")]
    NoDevice {
        /// What was said of the report interface.
        reports: Box<Error>,
        /// The device.
        device: PathBuf,
        /// What was said of it.
        source: io::Error,
    },
    /// Another kind of machine.
    #[error("report provider: expected {expected}, found {found:?}{}", Provider::advice(.found))]
    Provider {
        /// The one of the section.
        expected: Provider,
        /// The one that is there.
        found: String,
    },
    /// Still busy after all attempts.
    #[error("the host's report buffer is busy ({source})")]
    Busy {
        /// What the kernel said.
        source: io::Error,
    },
    /// The host kept the guest waiting for too long.
    #[error("{} ({source})", .provider.late())]
    TimedOut {
        /// Whose report was asked for.
        provider: Provider,
        /// What the kernel said.
        source: io::Error,
    },
    /// The driver gave up its key to the firmware, or went away.
    #[error("{} ({source})", .provider.lost())]
    Gone {
        /// Whose report was asked for.
        provider: Provider,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel refused a value.
    #[error("{path}: refused by the kernel{} ({source})", .provider.doubt())]
    Invalid {
        /// Whose report was asked for.
        provider: Provider,
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The agent's user may not do this.
    #[error("{call} {path}: may the agent's user do this? ({source})")]
    Denied {
        /// The call.
        call: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A report that the kernel has no room for.
    #[error("{path}: the report is larger than this kernel can hold ({source})")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The host answered with nothing, which the driver passes on.
    #[error("{path}: empty; the host gave no report")]
    Empty {
        /// The file.
        path: PathBuf,
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
        /// The length of the field in the report.
        expected: usize,
        /// The length that was asked for.
        found: usize,
    },
    /// The firmware or the host refused a request to `/dev/sev-guest`.
    #[error("{path}: refused, firmware error {firmware:#x}, host error {host:#x} ({source})")]
    Refused {
        /// The device.
        path: PathBuf,
        /// The firmware's code; all ones if it was not asked.
        firmware: u32,
        /// The host's code.
        host: u32,
        /// What the kernel said.
        source: io::Error,
    },
    /// What the firmware answered is not a report.
    #[error("{path}: expected {expected}, found {found}")]
    Response {
        /// The device.
        path: PathBuf,
        /// What was expected of the answer.
        expected: &'static str,
        /// What is there.
        found: u32,
    },
    /// The quoting service, asked without the kernel.
    #[error(transparent)]
    Quoting(#[from] qgs::Error),
    /// A kernel that shows no run-time registers.
    #[error("no run-time register at {path}: Linux 6.16 has it ({source})")]
    NoRegister {
        /// Where it was looked for.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A run-time register of another length.
    #[error("{path}: expected a value of {expected} bytes, found {found}")]
    Register {
        /// The file.
        path: PathBuf,
        /// The length of SHA-384.
        expected: usize,
        /// The length of what was read.
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
    /// What an error number of the report interface means.
    pub(super) fn from_call(provider: Provider, call: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENXIO) => Self::NoProvider { provider, path, source },
            Some(Errno::ENOENT) if call == "mkdir" => Self::NoProvider { provider, path, source },
            Some(Errno::EBUSY | Errno::EAGAIN) => Self::Busy { source },
            Some(Errno::ETIMEDOUT) => Self::TimedOut { provider, source },
            Some(Errno::ENOTTY) => Self::Gone { provider, source },
            Some(Errno::EINVAL) => Self::Invalid { provider, path, source },
            Some(Errno::EFBIG) => Self::TooLarge { path, source },
            Some(Errno::EACCES | Errno::EPERM) => Self::Denied { call, path, source },
            _ => Self::Call { call, path, source },
        }
    }

    /// What it means that a driver's own device cannot be opened.
    pub(super) fn from_open(provider: Provider, path: &Path, source: io::Error) -> Self {
        match source.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOENT | Errno::ENODEV) => {
                Self::NoProvider { provider, path: path.to_owned(), source }
            }
            _ => Self::from_call(provider, "open", path, source),
        }
    }

    /// The second way failed after the first: where there is no device either, both are told.
    pub(super) fn after(self, reports: Self) -> Self {
        let Self::NoProvider { path: device, source, .. } = self else { return self };
        Self::NoDevice { reports: Box::new(reports), device, source }
    }

    /// Whether the same question may be answered a moment later.
    pub(super) fn passes(&self) -> bool {
        let interrupted = |source: &io::Error| source.kind() == io::ErrorKind::Interrupted;
        matches!(self, Self::Busy { .. } | Self::Raced { .. })
            || matches!(self, Self::Call { source, .. } if interrupted(source))
    }
}
