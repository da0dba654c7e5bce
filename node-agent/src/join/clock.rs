//! The machine's clocks, and the name of its boot.

use std::fs;
use std::io;

use attest::UnixTime;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use release_client::pace::Uptime;

/// Since the machine started, sleep included. Nobody sets this clock.
pub(super) fn uptime() -> Uptime {
    let time = read(ClockId::CLOCK_BOOTTIME);
    let seconds = u64::try_from(time.tv_sec()).unwrap_or_default();
    let millis = u64::try_from(time.tv_nsec()).unwrap_or_default() / 1_000_000;
    Uptime(seconds.saturating_mul(1000).saturating_add(millis))
}

/// For people: what the machine takes for the time of day.
pub(super) fn now() -> UnixTime {
    UnixTime(u64::try_from(read(ClockId::CLOCK_REALTIME).tv_sec()).unwrap_or_default())
}

/// The name that the kernel gave this boot.
pub(super) fn boot() -> io::Result<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned())
}

/// The kernel has both clocks; a machine without them is at the beginning of all time.
fn read(clock: ClockId) -> TimeSpec {
    clock_gettime(clock).unwrap_or_else(|_absent| TimeSpec::new(0, 0))
}
