//! TD quotes without the kernel's help: a report from `/dev/tdx_guest`, a quote over it from the host's quoting
//! service. For kernels whose driver serves no report interface (6.2 to 6.6).
//!
//! Source: Linux `include/uapi/linux/tdx-guest.h`. Untrusted: the host.

mod ioctl;

use std::fs::File;
use std::path::Path;

use super::qgs::{self, Address};
use super::{Blobs, Error, Provider};

/// Asks once.
pub(super) fn ask(path: &Path, quoting: &Address, report_data: &[u8; 64]) -> Result<Blobs, Error> {
    let opened = File::options().read(true).write(true).open(path);
    let device = opened.map_err(|error| Error::from_open(Provider::TdxGuest, path, error))?;
    let report = ioctl::report(&device, report_data)
        .map_err(|errno| Error::from_call(Provider::TdxGuest, "ioctl", path, errno.into()))?;
    Ok(Blobs { outblob: qgs::quote(quoting, report.as_slice())?, auxblob: Vec::new() })
}
