//! The clock, which tells when certificates and leases end, and the kernel's log, which tells addresses.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;

use crate::call;
use crate::told::{Found, absent, nothing, told};
use crate::{OPEN, Probe};

pub(crate) const PROBES: &[Probe] = &[
    Probe::new("clock/settimeofday", "clock-set", "settimeofday, to what the clock shows", |_| {
        told(settimeofday())
    })
    .invasive(),
    Probe::new("clock/clock-settime", "clock-set", "clock_settime, to what the clock shows", |_| {
        told(clock_settime())
    })
    .invasive(),
    Probe::new("clock/adjtimex", "clock-set", "adjtimex with an offset to the clock, of nothing", |_| {
        told(adjtimex())
    })
    .invasive(),
    Probe::new("clock/timezone", "clock-set", "settimeofday of the time zone alone, to what it is", |_| {
        told(timezone())
    })
    .invasive(),
    Probe::new("log/syslog", "kernel-log", "read the kernel's log by syslog(2)", |_| told(syslog())),
    Probe::new("log/kmsg", "kernel-log", "read the kernel's log from /dev/kmsg", |_| told(kmsg())),
    Probe::new("runtime/log-write", OPEN, "write a line to the kernel's log", |_| told(say())).invasive(),
];

/// Seconds, and the rest in this part of a second.
fn now(parts: i64) -> io::Result<Vec<u8>> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    let rest = now.tv_nsec.checked_div(1_000_000_000_i64.checked_div(parts).unwrap_or(1));
    Ok([now.tv_sec, rest.ok_or_else(|| absent("no part of a second"))?].map(i64::to_ne_bytes).concat())
}

fn settimeofday() -> Found {
    let time = now(1_000_000)?;
    call!(libc::SYS_settimeofday, &time[..], 0)?;
    Ok("the clock".into())
}

fn clock_settime() -> Found {
    let time = now(1_000_000_000)?;
    call!(libc::SYS_clock_settime, libc::CLOCK_REALTIME, &time[..])?;
    Ok("the clock".into())
}

/// `struct timex` of `linux/timex.h`: modes at 0, time at 72; 208 bytes.
fn adjtimex() -> Found {
    const SET_OFFSET: u32 = 0x0100;
    let mut words = [0; 208];
    words.iter_mut().zip(SET_OFFSET.to_ne_bytes()).for_each(|(to, from)| *to = from);
    call!(libc::SYS_adjtimex, &mut words[..])?;
    Ok("the clock, by an offset".into())
}

fn timezone() -> Found {
    let (mut time, mut zone) = ([0; 16], [0; 8]);
    call!(libc::SYS_gettimeofday, &mut time[..], &mut zone[..])?;
    call!(libc::SYS_settimeofday, 0, &zone[..])?;
    Ok("the kernel's time zone".into())
}

fn syslog() -> Found {
    const READ_ALL: i32 = 3;
    let mut room = vec![0; 4096];
    let length = room.len();
    match call!(libc::SYS_syslog, READ_ALL, &mut room[..], length)? {
        0 => Err(nothing("the log is empty")),
        length => Ok(format!("{length} bytes of the log")),
    }
}

fn kmsg() -> Found {
    let mut file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg")?;
    let length = file.read(&mut [0; 8192])?;
    Ok(format!("{length} bytes of the log"))
}

fn say() -> Found {
    std::fs::write("/dev/kmsg", "<7>attacks: a line\n")?;
    Ok("a line in the log".into())
}
