//! Devices on the bus, whose registers tell them which memory to read; and an image of the whole memory.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::kernel::Mapping;
use crate::told::{Found, absent, told};
use crate::{Probe, Run};

pub(crate) const PROBES: &[Probe] = &[
    Probe::new("hardware/pci-config", "hardware", "write a device's configuration", |_| {
        told(device().and_then(|folder| configured(&folder.join("config"))))
    })
    .invasive(),
    Probe::new("hardware/pci-config-proc", "hardware", "write it through /proc/bus/pci", |_| {
        told(by_proc().and_then(|path| configured(&path)))
    })
    .invasive(),
    Probe::new("hardware/pci-memory", "hardware", "map a device's registers", |_| told(registers())),
    Probe::new(
        "hibernation/snapshot",
        "hibernation",
        "open /dev/snapshot, which makes an image of the memory",
        |stage| told(snapshot(&stage.run)),
    )
    .invasive(),
];

const DEVICES: &str = "/sys/bus/pci/devices";
/// Where a device keeps how long a line of the cache is, which every system sets (PCI 3.0, 6.2.4).
const LINE: u64 = 0x0c;

fn devices() -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(DEVICES).map_err(|error| absent(format!("{DEVICES}: {error}")))?;
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    Ok(folders)
}

fn device() -> io::Result<PathBuf> {
    devices()?.into_iter().next().ok_or_else(|| absent("no device on the bus"))
}

fn by_proc() -> io::Result<PathBuf> {
    let name = device()?.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // 0000:00:1f.2 is /proc/bus/pci/00/1f.2.
    let (bus, slot) = name
        .split_once(':')
        .and_then(|(_, rest)| rest.split_once(':'))
        .ok_or_else(|| absent(format!("a device of the name {name}")))?;
    let path = Path::new("/proc/bus/pci").join(bus).join(slot);
    fs::metadata(&path).map_err(|error| absent(format!("{}: {error}", path.display())))?;
    Ok(path)
}

/// Writes what is there.
fn configured(path: &Path) -> Found {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut byte = [0];
    file.read_exact_at(&mut byte, LINE)?;
    file.write_all_at(&byte, LINE)?;
    Ok(format!("a byte of {}", path.display()))
}

/// A line of `resource` for each: start, end, flags; of those in memory a page, which nobody reads.
fn registers() -> Found {
    const MEMORY: u64 = 0x200;
    for folder in devices()? {
        let table = fs::read_to_string(folder.join("resource"))?;
        for (number, line) in table.lines().enumerate().take(6) {
            let flags = line.split(' ').nth(2).and_then(|word| word.strip_prefix("0x"));
            let flags = flags.and_then(|word| u64::from_str_radix(word, 16).ok()).unwrap_or(0);
            if flags & MEMORY != 0 {
                let path = folder.join(format!("resource{number}"));
                let file = OpenOptions::new().read(true).write(true).open(&path)?;
                Mapping::shared(&file, 4096)?;
                return Ok(format!("registers of {}", path.display()));
            }
        }
    }
    Err(absent("no device with registers in memory"))
}

/// While there is secret memory the kernel itself refuses it (`secretmem_active`), and the victim has some.
fn snapshot(run: &Run) -> Found {
    let opened = File::open("/dev/snapshot").map_err(|error| match error.raw_os_error() {
        Some(libc::ENOENT) => absent(format!("/dev/snapshot: {error}")),
        Some(libc::EPERM) if *run == Run::Bare => {
            absent("without the enforcer, too, the kernel refuses it: secret memory is in use")
        }
        _ => error,
    });
    opened.map(|_file| "an image of the memory may be asked for".into())
}
