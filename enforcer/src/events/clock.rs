//! The machine's two clocks, read together.

use rustix::time::{ClockId, clock_gettime};

use super::pump::Now;

/// What they say.
#[must_use]
pub fn now() -> Now {
    Now { boot: nanoseconds(ClockId::Boottime), unix: nanoseconds(ClockId::Realtime) }
}

/// Before 1970 is 1970.
fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or_default())
}
