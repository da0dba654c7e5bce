//! When who asked asks again: not together with others that started at the same moment, and ever later after silence.
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
    #[must_use]
    pub fn between(&self, least: Duration, most: Duration) -> Duration {
        let (least, most) = (millis(least), millis(most));
        let width = most.saturating_sub(least).saturating_add(1);
        Duration::from_millis(least.saturating_add(self.dice.checked_rem(width).unwrap_or_default()))
    }

    /// Up to one, two, four… seconds, and at least half of that; never longer than `longest`.
    #[must_use]
    pub fn after_silence(&self, failures: u32, longest: Duration) -> Duration {
        let doubled = 2_u32.checked_pow(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let most = FIRST_SILENCE.saturating_mul(doubled).min(longest);
        self.between(part(most, 2), most)
    }
}

/// One of so many equal parts.
#[must_use]
pub fn part(time: Duration, parts: u64) -> Duration {
    Duration::from_millis(millis(time).checked_div(parts).unwrap_or_default())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

const FIRST_SILENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_asked_again_ever_later_but_no_later_than_asked_for() {
        for dice in (0..100_000).step_by(37) {
            let moment = Moment { now: Uptime(1_000), dice };
            for (failures, most) in [(1, 1_000), (2, 2_000), (4, 8_000), (7, 30_000), (u32::MAX, 30_000)] {
                let next = moment.after_silence(failures, Duration::from_secs(30)).as_millis();
                assert!((most / 2..=most).contains(&next), "{failures}: {next}");
            }
        }
    }

    #[test]
    fn times_that_no_machine_lives_to_see_do_not_wrap() {
        assert_eq!(Uptime(5).plus(Duration::MAX), Uptime(u64::MAX));
        assert_eq!(Uptime(5).since(Uptime(9)), Duration::ZERO);
        assert_eq!(part(Duration::MAX, 0), Duration::ZERO);
    }
}
