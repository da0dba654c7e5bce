//! What opens a process to others, or to calls that nobody sees.

use rustix::fs::{Mode, OFlags};

use super::ordered;
use crate::call;
use crate::kernel::{Side, adopt, clone, leave, side};
use crate::layout::put;
use crate::told::{Found, absent, nothing, told};
use crate::{Outcome, Probe};

pub(crate) const PROBES: &[Probe] = &[
    Probe::new("inside/io-uring", "io-uring", "io_uring_setup", |stage| ordered(stage, "io-uring", "")),
    Probe::new(
        "inside/io-uring-polled",
        "io-uring",
        "io_uring_setup with a thread of the kernel's that polls",
        |stage| ordered(stage, "io-uring-polled", ""),
    ),
    Probe::new("inside/io-uring-x32", "io-uring", "io_uring_setup by its number of x32", |stage| {
        ordered(stage, "io-uring-x32", "")
    }),
    Probe::new("inside/userfaultfd", "userfaultfd", "userfaultfd", |stage| ordered(stage, "userfaultfd", "")),
    Probe::new(
        "inside/userfaultfd-user-mode",
        "userfaultfd",
        "userfaultfd for faults of user mode alone",
        |stage| ordered(stage, "userfaultfd-user-mode", ""),
    ),
    Probe::new("inside/userfaultfd-device", "userfaultfd", "userfaultfd from /dev/userfaultfd", |stage| {
        ordered(stage, "userfaultfd-device", "")
    }),
    Probe::new("inside/dumpable", "dumpable", "PR_SET_DUMPABLE of 1", |stage| ordered(stage, "dumpable", "")),
    Probe::new(
        "inside/dumpable-wide",
        "dumpable",
        "PR_SET_DUMPABLE, with more bits set above its 32",
        |stage| ordered(stage, "dumpable-wide", ""),
    ),
    Probe::new("inside/ptracer", "dumpable", "PR_SET_PTRACER of anybody", |stage| {
        ordered(stage, "ptracer", "")
    }),
    Probe::new("inside/userns-unshare", "user-namespace", "unshare(CLONE_NEWUSER)", |stage| {
        ordered(stage, "userns-unshare", "")
    }),
    Probe::new("inside/userns-clone", "user-namespace", "clone(CLONE_NEWUSER)", |stage| {
        ordered(stage, "userns-clone", "")
    }),
    Probe::new("inside/userns-clone3", "user-namespace", "clone3(CLONE_NEWUSER)", |stage| {
        ordered(stage, "userns-clone3", "")
    }),
];

/// In the victim's child.
pub(super) fn perform(name: &str) -> Outcome {
    told(match name {
        "io-uring" => io_uring(libc::SYS_io_uring_setup, 0),
        "io-uring-x32" => io_uring_x32(),
        "io-uring-polled" => io_uring(libc::SYS_io_uring_setup, POLLED),
        "userfaultfd" => userfaultfd(0),
        "userfaultfd-user-mode" => userfaultfd(USER_MODE),
        "userfaultfd-device" => device(),
        "dumpable" => dumpable(0),
        "dumpable-wide" => dumpable(ABOVE),
        "ptracer" => ptracer(),
        "userns-unshare" => unshared(),
        "userns-clone" => cloned(),
        "userns-clone3" => cloned_by_structure(),
        other => Err(absent(format!("nothing is known by the name {other}"))),
    })
}

/// `IORING_SETUP_SQPOLL`
const POLLED: u32 = 1 << 1;
/// `UFFD_USER_MODE_ONLY`
const USER_MODE: i32 = 1;
/// `_IO(0xaa, 0)`
const USERFAULTFD_IOC_NEW: i32 = 0xaa00;

/// `struct io_uring_params`: the flags are at 8; 120 bytes.
fn io_uring(number: i64, flags: u32) -> Found {
    let mut parameters = [0; 120];
    parameters.iter_mut().skip(8).zip(flags.to_ne_bytes()).for_each(|(to, from)| *to = from);
    drop(adopt(call!(number, 4, &mut parameters[..])?)?);
    Ok("a ring".into())
}

/// The same function of the kernel, by another number.
fn io_uring_x32() -> Found {
    const X32: i64 = 1 << 30;
    io_uring(X32 | libc::SYS_io_uring_setup, 0).map_err(|error| match error.raw_os_error() {
        Some(libc::ENOSYS) => absent("this kernel has no x32"),
        _ => error,
    })
}

fn userfaultfd(flags: i32) -> Found {
    drop(adopt(call!(libc::SYS_userfaultfd, flags | libc::O_CLOEXEC)?)?);
    Ok("a descriptor for its own faults".into())
}

fn device() -> Found {
    let device = rustix::fs::open("/dev/userfaultfd", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    let device = device.map_err(|error| match error {
        rustix::io::Errno::NOENT => absent("this kernel has no /dev/userfaultfd"),
        _ => error.into(),
    })?;
    drop(adopt(call!(libc::SYS_ioctl, &device, USERFAULTFD_IOC_NEW, libc::O_CLOEXEC)?)?);
    Ok("a descriptor for its own faults".into())
}

/// Set above 32 bits, the most that the kernel takes of some arguments.
const ABOVE: i64 = 0x5a5a << 32;

fn dumpable(above: i64) -> Found {
    call!(libc::SYS_prctl, i64::from(libc::PR_SET_DUMPABLE) | above, 1, 0, 0, 0)?;
    match call!(libc::SYS_prctl, libc::PR_GET_DUMPABLE, 0, 0, 0, 0)? {
        1 => Ok("it can be dumped".into()),
        other => Err(nothing(format!("it is {other}"))),
    }
}

fn ptracer() -> Found {
    const ANYBODY: i64 = -1;
    match call!(libc::SYS_prctl, libc::PR_SET_PTRACER, ANYBODY, 0, 0, 0) {
        Err(rustix::io::Errno::INVAL) => Err(absent("this kernel has no Yama")),
        other => {
            other?;
            Ok("anybody may trace it".into())
        }
    }
}

fn unshared() -> Found {
    call!(libc::SYS_unshare, libc::CLONE_NEWUSER)?;
    Ok("a user name space of its own".into())
}

fn cloned() -> Found {
    born(clone(libc::CLONE_NEWUSER)?)
}

/// `struct clone_args`: the flags are at 0, the signal of its end at 32; 88 bytes.
fn cloned_by_structure() -> Found {
    let mut arguments = [0; 88];
    put(&mut arguments, 0, &i64::from(libc::CLONE_NEWUSER).to_ne_bytes());
    put(&mut arguments, 32, &i64::from(libc::SIGCHLD).to_ne_bytes());
    born(side(call!(libc::SYS_clone3, &arguments[..], 88)?)?)
}

fn born(side: Side) -> Found {
    match side {
        Side::Child => leave(0),
        Side::Parent(pid) => {
            rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty())?;
            Ok("a child in a user name space of its own".into())
        }
    }
}
