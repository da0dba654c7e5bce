//! When a tenant of OpenBao asks again.
//!
//! Around two thirds of the time that it was given, drawn anew each time, so that programs which started together do
//! not ask together. After silence soon, then later and later. However short a lease is, errands keep a distance.
//!
//! Trusted: the clock.

use std::time::Duration;

use release_client::pace::{Moment, part};

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
    moment.after_silence(failures, LONGEST_SILENCE)
}

/// No errand begins sooner than this after another one began.
pub const DISTANCE: Duration = Duration::from_millis(500);
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use release_client::pace::Uptime;

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
        assert!(two_thirds(Duration::MAX, &at(7)) > Duration::from_secs(u64::MAX / 2000));
    }
}
