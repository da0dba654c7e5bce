//! The two system calls to `/dev/sev-guest`: the one home of `unsafe` of this device.
//!
//! Source: Linux `include/uapi/linux/sev-guest.h` (`SNP_GET_REPORT`, `SNP_GET_EXT_REPORT`).

#![expect(unsafe_code, reason = "the driver takes its request by pointers")]

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::ptr;

use nix::errno::Errno;

/// `struct snp_report_resp`.
pub(super) const RESPONSE: usize = 4000;

/// `struct snp_report_req`.
#[repr(C)]
struct Request {
    user_data: [u8; 64],
    vmpl: u32,
    reserved: [u8; 28],
}

/// `struct snp_ext_report_req`.
#[repr(C)]
struct ExtendedRequest {
    request: Request,
    certificates: *mut u8,
    length: u32,
}

/// `struct snp_guest_request_ioctl`.
#[repr(C)]
struct Call<Q> {
    version: u8,
    request: *const Q,
    response: *mut [u8; RESPONSE],
    /// The firmware's code in the low half, the host's in the high one.
    detail: u64,
}

const _: () = {
    assert!(size_of::<Request>() == 96);
    assert!(size_of::<ExtendedRequest>() == 112);
    assert!(size_of::<Call<Request>>() == 32);
};

nix::ioctl_readwrite!(get_report, b'S', 0, Call<Request>);
nix::ioctl_readwrite!(get_extended_report, b'S', 2, Call<ExtendedRequest>);

/// What the kernel, the firmware and the host said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Refusal {
    pub(super) errno: Errno,
    pub(super) detail: u64,
}

impl Refusal {
    pub(super) fn firmware(&self) -> u32 {
        let [a, b, c, d, ..] = self.detail.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }

    pub(super) fn host(&self) -> u32 {
        let [.., a, b, c, d] = self.detail.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }
}

/// A report alone.
pub(super) fn report(device: &File, user_data: &[u8; 64], vmpl: u32) -> Result<Box<[u8; RESPONSE]>, Refusal> {
    let request = Request { user_data: *user_data, vmpl, reserved: [0; 28] };
    let mut response = Box::new([0; RESPONSE]);
    let mut call = Call { version: 1, request: &raw const request, response: &raw mut *response, detail: 0 };
    // SAFETY: the pointers are to values of the lengths that the driver reads and writes, and these live until it
    // has returned; the driver writes to `response` and `detail` alone.
    let done = unsafe { get_report(device.as_raw_fd(), &raw mut call) };
    done.map(|_zero| response).map_err(|errno| Refusal { errno, detail: call.detail })
}

/// A report, and the host's certificates, which are put into `certificates`.
pub(super) fn extended_report(
    device: &File,
    user_data: &[u8; 64],
    vmpl: u32,
    certificates: &mut [u8],
) -> Result<Box<[u8; RESPONSE]>, Refusal> {
    let request = Request { user_data: *user_data, vmpl, reserved: [0; 28] };
    let length = u32::try_from(certificates.len()).unwrap_or(0);
    let mut request = ExtendedRequest { request, certificates: certificates.as_mut_ptr(), length };
    let mut response = Box::new([0; RESPONSE]);
    let mut call = Call {
        version: 1,
        request: ptr::from_mut(&mut request).cast_const(),
        response: &raw mut *response,
        detail: 0,
    };
    // SAFETY: as above; the driver also writes at most `length` bytes of `certificates`, and the needed length into
    // `request`, which nobody else looks at meanwhile.
    let done = unsafe { get_extended_report(device.as_raw_fd(), &raw mut call) };
    done.map(|_zero| response).map_err(|errno| Refusal { errno, detail: call.detail })
}
