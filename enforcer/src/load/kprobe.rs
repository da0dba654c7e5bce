//! Kprobes: programs at the entry of any function of the kernel, where nothing obeys them.
//!
//! Each is an event of perf (`perf_event_open(2)`, the unit `kprobe`), to which a program is linked; the link may be pinned.

#![expect(unsafe_code, reason = "perf_event_open(2) and bpf(2) take structures of numbers and addresses")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::path::Path;

use aya_obj::generated::{bpf_attach_type, perf_event_attr};

use crate::confine::{self, Listing};
use crate::kernel;
use crate::procfs::{genuine_bytes, magic};

/// The number of the unit.
const UNIT: &str = "/sys/bus/event_source/devices/kprobe/type";
/// `PERF_FLAG_FD_CLOEXEC` (`linux/perf_event.h`).
const CLOSE_ON_EXEC: libc::c_ulong = 8;

/// Links a program to the entry of a function; it is told the number. Distributions' kernels ask `CAP_SYS_ADMIN` of whoever opens an event
/// (`kernel.perf_event_paranoid` above 2), whatever other right it has.
pub(crate) fn attach(program: BorrowedFd<'_>, function: &str, cookie: u64) -> io::Result<OwnedFd> {
    confine::spare(Listing::Possible)?;
    let event = event(function);
    confine::spare(Listing::Spared)?;
    let event = event?;
    #[expect(clippy::as_conversions, reason = "the number of an enum")]
    let link = kernel::link(program, number(&event), bpf_attach_type::BPF_PERF_EVENT as u32, cookie)?;
    // The link holds the event from now on.
    Ok(link)
}

fn event(function: &str) -> io::Result<OwnedFd> {
    let unit = String::from_utf8(genuine_bytes(Path::new(UNIT), magic::SYSFS)?).map_err(io::Error::other)?;
    let unit = unit.trim().parse().map_err(io::Error::other)?;
    let name = CString::new(function)?;
    // SAFETY: a structure of plain numbers; all zeros are its state of rest.
    let mut attributes: perf_event_attr = unsafe { std::mem::zeroed() };
    attributes.type_ = unit;
    attributes.size = u32::try_from(size_of::<perf_event_attr>()).map_err(io::Error::other)?;
    #[expect(clippy::as_conversions, reason = "the kernel takes addresses as numbers")]
    let address = name.as_ptr() as u64;
    attributes.__bindgen_anon_3.kprobe_func = address;
    // SAFETY: the structure and the name live as long as the call; -1: all processes, no group; processor 0 stands for all.
    let result = unsafe {
        libc::syscall(libc::SYS_perf_event_open, std::ptr::from_ref(&attributes), -1, 0, -1, CLOSE_ON_EXEC)
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let event = RawFd::try_from(result).map_err(io::Error::other)?;
    // SAFETY: the kernel has just given it to us, and to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(event) })
}

fn number(event: &OwnedFd) -> u32 {
    u32::try_from(event.as_raw_fd()).unwrap_or(u32::MAX)
}
