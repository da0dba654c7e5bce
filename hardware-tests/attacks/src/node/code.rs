//! Code into the kernel: modules, and another kernel.
//!
//! A module is really loaded, and taken away again; the other kernel is really loaded, never started, and unloaded.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use crate::call;
use crate::kernel::Mapping;
use crate::told::{Found, absent, nothing, told};
use crate::{Probe, Stage};

pub(crate) const PROBES: &[Probe] = &[
    Probe::new("module/finit", "module-load", "finit_module of a file", |stage| told(from_file(stage)))
        .invasive(),
    Probe::new("module/init", "module-load", "init_module of bytes", |stage| told(from_memory(stage)))
        .invasive(),
    Probe::new("module/memfd", "module-load", "finit_module of a file that is on no disk", |stage| {
        told(from_memfd(stage))
    })
    .invasive(),
    Probe::new("kexec/load", "kexec", "kexec_load of a page of one's own", |_| told(kexec_load())).invasive(),
    Probe::new("kexec/file", "kexec", "kexec_file_load of a kernel", |stage| told(kexec_file(stage)))
        .invasive(),
];

fn module(stage: &Stage) -> io::Result<&Path> {
    stage.extras.module.as_deref().ok_or_else(|| absent("no module was given (--module)"))
}

fn from_file(stage: &Stage) -> Found {
    let path = module(stage)?;
    let file = File::open(path)?;
    loaded(path, call!(libc::SYS_finit_module, file.as_raw_fd(), c"", 0))
}

fn from_memory(stage: &Stage) -> Found {
    let path = module(stage)?;
    let bytes = fs::read(path)?;
    loaded(path, call!(libc::SYS_init_module, &bytes[..], bytes.len(), c""))
}

fn from_memfd(stage: &Stage) -> Found {
    let path = module(stage)?;
    let memfd = rustix::fs::memfd_create("module", rustix::fs::MemfdFlags::CLOEXEC)?;
    fs::write(super::mount::by_descriptor(&memfd), fs::read(path)?)?;
    // A file that is open for writing is not loaded.
    let file = File::open(super::mount::by_descriptor(&memfd))?;
    drop(memfd);
    loaded(path, call!(libc::SYS_finit_module, file.as_raw_fd(), c"", 0))
}

/// Whether it is there, and takes it away.
fn loaded(path: &Path, answer: Result<i64, rustix::io::Errno>) -> Found {
    answer?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().replace('-', "_");
    let there =
        fs::read_to_string("/proc/modules")?.lines().any(|line| line.split(' ').next() == Some(&stem));
    let name = std::ffi::CString::new(stem)?;
    call!(libc::SYS_delete_module, name.as_c_str(), libc::O_NONBLOCK)?;
    if there { Ok("code in the kernel".into()) } else { Err(nothing("the module is not listed")) }
}

fn is_loaded() -> io::Result<bool> {
    let switch = Path::new("/sys/kernel/kexec_loaded");
    let text = fs::read_to_string(switch).map_err(|error| absent(format!("no kexec here: {error}")))?;
    Ok(text.trim() == "1")
}

fn nothing_yet() -> io::Result<()> {
    if is_loaded()? { Err(absent("a kernel is loaded already, and is left alone")) } else { Ok(()) }
}

/// One page to 16 MB, where there is memory on every machine.
fn kexec_load() -> Found {
    const PAGE: usize = 4096;
    const WHERE: u64 = 16 << 20;
    // KEXEC_ARCH_DEFAULT
    const FLAGS: i64 = 0;
    nothing_yet()?;
    let page = Mapping::anonymous(PAGE)?;
    let length = 4096_u64;
    let segment = [page.address(), length, WHERE, length].map(u64::to_ne_bytes).concat();
    call!(libc::SYS_kexec_load, WHERE, 1, &segment[..], FLAGS)?;
    let there = is_loaded()?;
    call!(libc::SYS_kexec_load, 0, 0, 0, FLAGS)?;
    if there { Ok("a kernel of one's own".into()) } else { Err(nothing("no kernel is loaded")) }
}

fn kexec_file(stage: &Stage) -> Found {
    const UNLOAD: i32 = 1;
    const NO_INITRD: i32 = 4;
    let path = stage.extras.kernel.as_deref().ok_or_else(|| absent("no kernel was given (--kernel)"))?;
    nothing_yet()?;
    let file = File::open(path)?;
    call!(libc::SYS_kexec_file_load, file.as_raw_fd(), -1, 1, c"", NO_INITRD)?;
    let there = is_loaded()?;
    call!(libc::SYS_kexec_file_load, -1, -1, 0, 0, UNLOAD)?;
    if there { Ok("another kernel".into()) } else { Err(nothing("no kernel is loaded")) }
}
