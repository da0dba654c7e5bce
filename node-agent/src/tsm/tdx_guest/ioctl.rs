//! The system call to `/dev/tdx_guest`: the one home of `unsafe` of this device.
//!
//! Source: Linux `include/uapi/linux/tdx-guest.h` (`TDX_CMD_GET_REPORT0`).

#![expect(unsafe_code, reason = "nix has no safe call for a driver's own number")]

use std::fs::File;
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;

/// `TDX_REPORT_LEN`.
pub(super) const REPORT: usize = 1024;

/// `struct tdx_report_req`.
#[repr(C)]
struct Request {
    report_data: [u8; 64],
    report: [u8; REPORT],
}

nix::ioctl_readwrite!(get_report0, b'T', 1, Request);

/// A report that the processor made, for this machine's quoting enclave.
pub(super) fn report(device: &File, report_data: &[u8; 64]) -> Result<Box<[u8; REPORT]>, Errno> {
    let mut request = Request { report_data: *report_data, report: [0; REPORT] };
    // SAFETY: the driver reads and writes the 1088 bytes of `request`, which lives until it has returned.
    unsafe { get_report0(device.as_raw_fd(), &raw mut request) }?;
    Ok(Box::new(request.report))
}
