//! When a member asks again.
//!
//! After an admission in the last third of its time, drawn anew each time, so that machines that started together do not
//! ask together. After silence soon, then later and later, with the same spread. After a refusal not before a whole
//! interval has passed: asking does not change the answer.
//!
//! Trusted: the clock. All times are of one that goes on while the machine sleeps, and that nobody sets.

use std::time::Duration;

/// Since the machine started: `CLOCK_BOOTTIME`, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Uptime(pub u64);

impl Uptime {
    /// That much later.
    #[must_use]
    pub fn plus(self, time: Duration) -> Self {
        Self(self.0.saturating_add(millis(time)))
    }

    /// How long ago that was; nothing if it is still to come.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// When something happens, and a number that nobody can foretell.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The time.
    pub now: Uptime,
    /// The number.
    pub dice: u64,
}

impl Moment {
    /// A time between the two, both included.
    fn between(&self, least: Duration, most: Duration) -> Duration {
        let (least, most) = (millis(least), millis(most));
        let width = most.saturating_sub(least).saturating_add(1);
        Duration::from_millis(least.saturating_add(self.dice.checked_rem(width).unwrap_or_default()))
    }
}

/// In the last third of the interval, or of three quarters of a verdict that ends before: what is left is for trying again.
pub(super) fn after_admission(asked: Uptime, interval: Duration, lasts: Duration, moment: &Moment) -> Uptime {
    let most = interval.min(quarter(lasts.saturating_mul(3)));
    asked.plus(moment.between(third(most.saturating_mul(2)), most).max(quiet(interval))).max(moment.now)
}

/// An interval later, or up to a third more.
pub(super) fn after_refusal(interval: Duration, moment: &Moment) -> Uptime {
    moment.now.plus(moment.between(interval, interval.saturating_add(third(interval))))
}

/// After up to one, two, four… seconds, and at least half of that; never longer than a minute or the interval.
pub(super) fn after_silence(failures: u32, interval: Duration, moment: &Moment) -> Uptime {
    let doubled = 2_u32.checked_pow(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    let most = FIRST_SILENCE.saturating_mul(doubled).min(LONGEST_SILENCE).min(interval);
    moment.now.plus(moment.between(half(most), most))
}

/// However much changes, no try begins sooner than this after another.
pub(super) fn quiet(interval: Duration) -> Duration {
    QUIET.min(quarter(interval))
}

fn half(time: Duration) -> Duration {
    Duration::from_millis(millis(time) / 2)
}

fn third(time: Duration) -> Duration {
    Duration::from_millis(millis(time) / 3)
}

fn quarter(time: Duration) -> Duration {
    Duration::from_millis(millis(time) / 4)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

const FIRST_SILENCE: Duration = Duration::from_secs(1);
const LONGEST_SILENCE: Duration = Duration::from_mins(1);
const QUIET: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_mins(5);

    fn at(dice: u64) -> Moment {
        Moment { now: Uptime(1_000), dice }
    }

    #[test]
    fn a_machine_asks_again_in_the_last_third_of_its_time_and_before_the_verdict_ends() {
        for dice in (0..2_000_000).step_by(991) {
            let next = after_admission(Uptime(1_000), INTERVAL, Duration::from_hours(1), &at(dice));
            assert!((201_000..=301_000).contains(&next.0), "{next:?}");
            let short = after_admission(Uptime(1_000), INTERVAL, Duration::from_mins(2), &at(dice));
            assert!((61_000..=91_000).contains(&short.0), "{short:?}");
        }
    }

    #[test]
    fn silence_is_asked_again_ever_later_but_no_later_than_a_minute() {
        for dice in (0..100_000).step_by(37) {
            for (failures, most) in [(1, 1_000), (2, 2_000), (4, 8_000), (7, 60_000), (u32::MAX, 60_000)] {
                let next = after_silence(failures, INTERVAL, &at(dice)).0;
                assert!((1_000 + most / 2..=1_000 + most).contains(&next), "{failures}: {next}");
            }
        }
    }

    #[test]
    fn a_refused_machine_waits_a_whole_interval() {
        for dice in (0..500_000).step_by(97) {
            let next = after_refusal(INTERVAL, &at(dice)).0;
            assert!((301_000..=401_000).contains(&next), "{next}");
        }
    }
}
