//! Memory by its physical address, ports, and what `/proc` shows of the kernel.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::{FileType, Mode, makedev, mknodat};

use super::mount::fresh;
use crate::call;
use crate::told::{Found, absent, nothing, told};
use crate::{Probe, Stage};

pub(crate) const PROBES: &[Probe] = &[
    Probe::new("device/mem", "device-memory", "read /dev/mem", |_| {
        told(bytes_at(Path::new("/dev/mem"), FIRMWARE))
    }),
    Probe::new(
        "device/mem-own-node",
        "device-memory",
        "read it through a node of one's own making",
        |stage| told(own_node(stage, MEM, FIRMWARE)),
    ),
    Probe::new(
        "device/mem-by-proc",
        "device-memory",
        "open it for reading, and again through /proc/self/fd",
        |_| told(again()),
    ),
    Probe::new("device/kmem", "device-memory", "read /dev/kmem", |_| {
        told(bytes_at(Path::new("/dev/kmem"), 0))
    }),
    Probe::new(
        "device/kmem-own-node",
        "device-memory",
        "read it through a node of one's own making",
        |stage| told(own_node(stage, KMEM, 0)),
    ),
    Probe::new("device/port", "device-memory", "read /dev/port", |_| {
        told(bytes_at(Path::new("/dev/port"), POST))
    }),
    Probe::new(
        "device/port-own-node",
        "device-memory",
        "read it through a node of one's own making",
        |stage| told(own_node(stage, PORT, POST)),
    ),
    Probe::new("port/iopl", "io-port", "iopl(3)", |_| told(iopl())),
    Probe::new("port/ioperm", "io-port", "ioperm of one port", |_| told(ioperm())),
    Probe::new("kernel/kcore", "kernel-core", "read /proc/kcore", |_| told(kcore(Path::new("/proc/kcore")))),
    Probe::new(
        "kernel/kcore-other-proc",
        "kernel-core",
        "read it through another mount of procfs",
        |stage| told(fresh(stage, "proc").and_then(|folder| kcore(&folder.join("kcore")))),
    ),
    Probe::new("kernel/kallsyms", "kernel-core", "read where the kernel's functions are", |_| {
        told(kallsyms())
    }),
    Probe::new("kernel/kpageflags", "kernel-core", "read what each page of memory is used for", |_| {
        told(numbers("/proc/kpageflags"))
    }),
    Probe::new("kernel/kpagecount", "kernel-core", "read how often each page is mapped", |_| {
        told(numbers("/proc/kpagecount"))
    }),
    Probe::new("kernel/kpagecgroup", "kernel-core", "read which control group each page is of", |_| {
        told(numbers("/proc/kpagecgroup"))
    }),
];

/// The firmware's last page below 1 MB: what `CONFIG_STRICT_DEVMEM` leaves readable.
const FIRMWARE: u64 = 0xf_f000;
/// The port of the power-on self-test's codes: reading it does nothing.
const POST: u64 = 0x80;
const MEM: u32 = 1;
const KMEM: u32 = 2;
const PORT: u32 = 4;

fn bytes_at(path: &Path, offset: u64) -> Found {
    let mut room = [0];
    let file = File::open(path).map_err(|error| match error.raw_os_error() {
        // CONFIG_DEVKMEM went with 5.13, CONFIG_DEVPORT is a choice.
        Some(libc::ENOENT | libc::ENXIO) => absent(format!("this kernel has no such device: {error}")),
        _ => error,
    })?;
    file.read_exact_at(&mut room, offset)?;
    Ok(format!("a byte of {}", path.display()))
}

/// The devices of memory have major number 1.
fn own_node(stage: &Stage, minor: u32, offset: u64) -> Found {
    let path = stage.directory.join("node");
    mknodat(rustix::fs::CWD, &path, FileType::CharacterDevice, Mode::RUSR, makedev(1, minor))?;
    let found = bytes_at(&path, offset);
    fs::remove_file(&path)?;
    found.map_err(|error| match error.raw_os_error() {
        Some(libc::EACCES) if nodev(stage) => absent("devices do not work in the folder for temporary files"),
        _ => error,
    })
}

fn nodev(stage: &Stage) -> bool {
    rustix::fs::statvfs(&stage.directory)
        .is_ok_and(|answer| answer.f_flag.contains(rustix::fs::StatVfsMountFlags::NODEV))
}

/// `O_PATH` asks nobody; the opening of its link does.
fn again() -> Found {
    use std::os::fd::AsRawFd as _;
    let path = CString::new("/dev/mem")?;
    let file = rustix::fs::open(path, rustix::fs::OFlags::PATH, Mode::empty())?;
    bytes_at(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())), FIRMWARE)
}

fn iopl() -> Found {
    call!(libc::SYS_iopl, 3)?;
    Ok("all ports".into())
}

fn ioperm() -> Found {
    call!(libc::SYS_ioperm, POST, 1, 1)?;
    Ok("a port".into())
}

fn kcore(path: &Path) -> Found {
    let mut head = [0; 4];
    File::open(path)?.read_exact_at(&mut head, 0)?;
    if head == *b"\x7fELF" {
        Ok("the kernel's memory as a core".into())
    } else {
        Err(nothing("this is no core"))
    }
}

fn kallsyms() -> Found {
    let mut head = [0; 4096];
    let length = File::open("/proc/kallsyms")?.read(&mut head)?;
    let text = String::from_utf8_lossy(head.get(..length).unwrap_or_default()).into_owned();
    // Per-CPU symbols come first, near 0; functions have addresses of the upper half.
    let shown = text.lines().any(|line| line.starts_with("ffff"));
    let rest = || {
        fs::read_to_string("/proc/kallsyms").is_ok_and(|all| all.lines().any(|line| line.starts_with("ffff")))
    };
    if shown || rest() { Ok("addresses of functions".into()) } else { Err(nothing("all addresses are 0")) }
}

fn numbers(path: &str) -> Found {
    let mut room = [0; 8];
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(absent(format!("this kernel has no {path}")))
        }
        file => {
            file?.read_exact_at(&mut room, 0x1000)?;
            Ok(format!("page after page of {path}"))
        }
    }
}
