//! When a tenant of OpenBao asks again.
//!
//! Around two thirds of the time that it was given, drawn anew each time, so that programs which started together do
//! not ask together. After silence soon, then later and later. However short a lease is, errands keep a distance.
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

/// Between three fifths and three quarters of `life`: what is left is for trying again.
pub(super) fn two_thirds(life: Duration, moment: &Moment) -> Duration {
    let twentieth = part(life, 20);
    moment.between(twentieth.saturating_mul(12), twentieth.saturating_mul(15))
}

/// The last tenth of an interval: what has no end is looked at again no later than its operator said.
pub(super) fn interval(every: Duration, moment: &Moment) -> Duration {
    moment.between(every.saturating_sub(part(every, 10)), every)
}

/// After up to one, two, four… seconds, and at least half of that; never longer than half a minute.
pub(super) fn after_silence(failures: u32, moment: &Moment) -> Duration {
    let doubled = 2_u32.checked_pow(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    let most = FIRST_SILENCE.saturating_mul(doubled).min(LONGEST_SILENCE);
    moment.between(part(most, 2), most)
}

/// One of so many equal parts.
pub(super) fn part(time: Duration, parts: u64) -> Duration {
    Duration::from_millis(millis(time).checked_div(parts).unwrap_or_default())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// No errand begins sooner than this after another one began.
pub const DISTANCE: Duration = Duration::from_millis(500);
const FIRST_SILENCE: Duration = Duration::from_secs(1);
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(dice: u64) -> Moment {
        Moment { now: Uptime(1_000), dice }
    }

    #[test]
    fn a_lease_is_renewed_around_two_thirds_of_its_time() {
        for dice in (0..2_000_000).step_by(991) {
            let next = two_thirds(Duration::from_mins(5), &at(dice)).as_secs();
            assert!((180..=225).contains(&next), "{next}");
            assert!((600..=750).contains(&two_thirds(Duration::from_secs(1), &at(dice)).as_millis()));
        }
    }

    #[test]
    fn silence_is_asked_again_ever_later_but_no_later_than_half_a_minute() {
        for dice in (0..100_000).step_by(37) {
            for (failures, most) in [(1, 1_000), (2, 2_000), (4, 8_000), (6, 30_000), (u32::MAX, 30_000)] {
                let next = after_silence(failures, &at(dice)).as_millis();
                assert!((most / 2..=most).contains(&next), "{failures}: {next}");
            }
        }
    }

    #[test]
    fn what_has_no_end_is_looked_at_no_later_than_asked_for() {
        for dice in (0..100_000).step_by(37) {
            let next = interval(Duration::from_secs(10), &at(dice)).as_millis();
            assert!((9_000..=10_000).contains(&next), "{next}");
        }
    }

    #[test]
    fn times_that_no_machine_lives_to_see_do_not_wrap() {
        assert_eq!(Uptime(5).plus(Duration::MAX), Uptime(u64::MAX));
        assert!(two_thirds(Duration::MAX, &at(7)) > Duration::from_secs(u64::MAX / 2000));
    }
}
