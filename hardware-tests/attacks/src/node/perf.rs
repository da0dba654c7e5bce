//! perf: counters and samples of a whole processor, and probes in programs and in the kernel, opened without tracefs.
//!
//! Offsets are those of `struct perf_event_attr` in `linux/perf_event.h`, version 5 of it (112 bytes).

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use crate::call;
use crate::kernel::adopt;
use crate::told::{Found, absent, nothing, told};
use crate::{Probe, Stage};

pub(crate) const PROBES: &[Probe] = &[
    Probe::new("perf/processor", "perf-system", "count what a processor does, whoever does it", |_| {
        told(count())
    }),
    Probe::new(
        "perf/processor-stack",
        "perf-system",
        "sample registers and user stacks on a processor",
        |_| told(sample()),
    ),
    Probe::new("perf/tracepoint", "perf-system", "count a tracepoint on a whole processor", |_| {
        told(tracepoint())
    }),
    Probe::new(
        "perf/uprobe",
        "perf-system",
        "put a probe into the victim's program, in everybody's memory",
        |stage| told(uprobe(stage)),
    )
    .invasive(),
    Probe::new("perf/kprobe", "perf-system", "put a probe into the kernel", |_| told(kprobe())).invasive(),
];

const LENGTH: usize = 112;
const SOFTWARE: u32 = 1;
const TRACEPOINT: u32 = 2;
const WITHIN_EVERYBODY: i32 = -1;

struct Event([u8; LENGTH]);

impl Event {
    fn new(kind: u32, config: u64) -> Self {
        let length = u32::try_from(LENGTH).unwrap_or(0);
        Self([0; LENGTH])
            .set(0, &kind.to_ne_bytes())
            .set(4, &length.to_ne_bytes())
            .set(8, &config.to_ne_bytes())
    }

    fn set(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.0.iter_mut().skip(offset).zip(bytes).for_each(|(to, from)| *to = *from);
        self
    }

    /// On the first processor, for everybody.
    fn open(&self) -> io::Result<OwnedFd> {
        Ok(adopt(call!(libc::SYS_perf_event_open, &self.0[..], WITHIN_EVERYBODY, 0, -1, 8)?)?)
    }

    /// Wherever we run, for us.
    fn open_own(&self) -> io::Result<OwnedFd> {
        Ok(adopt(call!(libc::SYS_perf_event_open, &self.0[..], 0, -1, -1, 8)?)?)
    }
}

/// What a counter counted since it was opened.
fn reading(event: &OwnedFd) -> io::Result<u64> {
    std::thread::sleep(std::time::Duration::from_millis(20));
    let mut number = [0; 8];
    rustix::io::read(event, &mut number)?;
    Ok(u64::from_ne_bytes(number))
}

fn count() -> Found {
    let event = Event::new(SOFTWARE, 0).open()?;
    match reading(&event)? {
        0 => Err(nothing("the counter stands still")),
        _ => Ok("a processor's clock".into()),
    }
}

fn sample() -> Found {
    const PERIOD: u64 = 100_000;
    // IP, TID, CALLCHAIN, REGS_USER, STACK_USER.
    const WHAT: u64 = 1 | 1 << 1 | 1 << 5 | 1 << 12 | 1 << 13;
    let event = Event::new(SOFTWARE, 0).set(16, &PERIOD.to_ne_bytes()).set(24, &WHAT.to_ne_bytes());
    // sample_regs_user: ip and sp; sample_stack_user: 4 KB.
    let event =
        event.set(80, &(1_u64 << 8 | 1 << 7).to_ne_bytes()).set(88, &4096_u32.to_ne_bytes()).open()?;
    reading(&event)?;
    Ok("samples of everybody's stacks".into())
}

fn tracepoint() -> Found {
    let number = fs::read_to_string("/sys/kernel/tracing/events/raw_syscalls/sys_enter/id")
        .map_err(|error| absent(format!("no number of a tracepoint: {error}")))?;
    let number = number.trim().parse().map_err(|_none| absent("a number of a tracepoint that is none"))?;
    let event = Event::new(TRACEPOINT, number).open()?;
    reading(&event)?;
    Ok("a tracepoint's counter".into())
}

fn unit(name: &str) -> io::Result<u32> {
    let text = fs::read_to_string(format!("/sys/bus/event_source/devices/{name}/type"))
        .map_err(|error| absent(format!("no {name} of perf: {error}")))?;
    text.trim().parse().map_err(|_none| absent("a number of a unit that is none"))
}

/// In our own program, which the victim runs too: offset 64 of the file is no instruction's, but the kernel does not know.
fn uprobe(_stage: &Stage) -> Found {
    let path = CString::new(fs::read_link("/proc/self/exe")?.into_os_string().into_encoded_bytes())?;
    let address = path.as_ptr().expose_provenance();
    let offset = entry()?;
    Event::new(unit("uprobe")?, 0).set(56, &address.to_ne_bytes()).set(64, &offset.to_ne_bytes()).open()?;
    Ok("a probe in the victim's program".into())
}

/// Where in its file our program begins: the entry's address, less the start of the segment that it is in.
fn entry() -> io::Result<u64> {
    let image = fs::read("/proc/self/exe")?;
    let word = |at: usize| {
        let bytes = image.get(at..)?.first_chunk::<8>()?;
        Some(u64::from_le_bytes(*bytes))
    };
    let half = |at: usize| Some(usize::from(u16::from_le_bytes(*image.get(at..)?.first_chunk::<2>()?)));
    let find = || {
        let (entry, table, size, count) = (word(24)?, usize::try_from(word(32)?).ok()?, half(54)?, half(56)?);
        (0..count).find_map(|index| {
            let at = table.checked_add(index.checked_mul(size)?)?;
            let (offset, start, length) =
                (word(at.checked_add(8)?)?, word(at.checked_add(16)?)?, word(at.checked_add(32)?)?);
            let executable = word(at)? & 0xffff_ffff == 1 && word(at)? >> 32 & 1 == 1;
            let inside = entry.checked_sub(start).filter(|inside| executable && *inside < length)?;
            offset.checked_add(inside)
        })
    };
    find().ok_or_else(|| absent("our own program has no entry"))
}

fn kprobe() -> Found {
    let address = c"do_sys_openat2".as_ptr().expose_provenance();
    Event::new(unit("kprobe")?, 0).set(56, &address.to_ne_bytes()).open()?;
    Ok("a probe in the kernel".into())
}

/// What every profiler does with its own program.
pub(super) fn own() -> Found {
    Event::new(SOFTWARE, 0).open_own()?;
    Ok("a counter of one's own".into())
}
