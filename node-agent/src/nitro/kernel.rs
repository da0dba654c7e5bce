//! The one system call of the kernel's `nsm` driver. The one home of `unsafe` in this folder.
//!
//! Source: Linux `include/uapi/linux/nsm.h`, `drivers/misc/nsm.c`. Untrusted: the device; what it wrote is bytes, as
//! many as the kernel says and never more than there is room for.

#![expect(unsafe_code, reason = "ioctl(2) with two buffers; nothing else here")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

/// Has the device answer `request` into `room`, and says how many bytes it wrote. Blocks for as long as the driver
/// waits: two minutes at most.
pub(super) fn exchange(device: &File, request: &[u8], room: &mut [u8]) -> io::Result<usize> {
    let mut message = Message {
        request: libc::iovec { iov_base: request.as_ptr().cast_mut().cast(), iov_len: request.len() },
        response: libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() },
    };
    // SAFETY: the descriptor is open, and `message` is the structure of this request code. Both buffers outlive the
    // call; the kernel reads the first within its length and writes the second within its length.
    let status = unsafe { libc::ioctl(device.as_raw_fd(), NSM_IOCTL_RAW, &raw mut message) };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    match message.response.iov_len {
        written if written <= room.len() => Ok(written),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// `struct nsm_raw`: on every 64-bit machine, two pairs of an address and a length, 64 bits each.
#[repr(C)]
struct Message {
    request: libc::iovec,
    response: libc::iovec,
}

const _: () = assert!(size_of::<Message>() == 32, "struct nsm_raw has 32 bytes");

/// `_IOWR(0x0A, 0, struct nsm_raw)`.
const NSM_IOCTL_RAW: libc::Ioctl = 0xC020_0A00;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_of_another_kind_refuses_the_call() {
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        let error = exchange(&null, b"request", &mut [0; 64]).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
    }
}
