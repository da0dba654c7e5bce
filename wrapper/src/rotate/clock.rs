//! The machine's clock, and its dice.
//!
//! `CLOCK_BOOTTIME`: it goes on while the machine sleeps, nobody sets it, and a timer on it rings when the machine wakes.
//!
//! Trusted: the kernel.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use release_client::pace::{Moment, Uptime};
use rustix::rand::{GetRandomFlags, getrandom};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

/// A clock that rings.
#[derive(Debug)]
pub(super) struct Clock {
    timer: OwnedFd,
    rings: Option<Uptime>,
}

impl Clock {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self { timer: timerfd_create(TimerfdClockId::Boottime, flags)?, rings: None })
    }

    /// Rings then, and at no other time.
    pub(super) fn ring(&mut self, when: Option<Uptime>) -> io::Result<()> {
        if self.rings == when {
            return Ok(());
        }
        // A time of nothing would take the timer away.
        let time = when.map_or(Duration::ZERO, |when| Duration::from_millis(when.0.max(1)));
        let value = Timespec::try_from(time).map_err(io::Error::other)?;
        let interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        timerfd_settime(
            &self.timer,
            TimerfdTimerFlags::ABSTIME,
            &Itimerspec { it_interval: interval, it_value: value },
        )?;
        self.rings = when;
        Ok(())
    }

    /// Now. The ring is heard: it rings again only when it is told to.
    pub(super) fn now(&mut self) -> Moment {
        let now = now();
        if self.rings.is_some_and(|rings| rings <= now.now) {
            self.rings = None;
            // It holds nothing but a count.
            rustix::io::read(&self.timer, &mut [0_u8; 8]).unwrap_or_default();
        }
        now
    }
}

impl AsFd for Clock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}

/// The moment.
pub(super) fn now() -> Moment {
    let time = clock_gettime(ClockId::Boottime);
    let millis = Duration::try_from(time).unwrap_or_default().as_millis();
    let mut dice = [0; 8];
    // Without a random source all would wait the same: no harm but a crowd.
    getrandom(&mut dice, GetRandomFlags::NONBLOCK).unwrap_or_default();
    Moment { now: Uptime(u64::try_from(millis).unwrap_or(u64::MAX)), dice: u64::from_ne_bytes(dice) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, poll};

    fn rings(clock: &Clock) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(clock.as_fd(), PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 2, tv_nsec: 0 })).unwrap() == 1
    }

    #[test]
    fn it_rings_when_told_and_is_quiet_once_heard() {
        let mut clock = Clock::new().unwrap();
        let soon = clock.now().now.plus(Duration::from_millis(20));
        clock.ring(Some(soon)).unwrap();
        assert!(rings(&clock));
        assert!(clock.now().now >= soon);
        clock.ring(None).unwrap();
        assert!(!rings(&clock));
        // What is past rings at once.
        clock.ring(Some(Uptime(0))).unwrap();
        assert!(rings(&clock));
    }
}
