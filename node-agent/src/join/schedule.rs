//! When a member asks again.
//!
//! After an admission in the last third of its time, drawn anew each time, so that machines that started together do not
//! ask together. After silence soon, then later and later, with the same spread. After a refusal not before a whole
//! interval has passed: asking does not change the answer.
//!
//! Trusted: the clock.

use std::time::Duration;

use release_client::pace::{Moment, Uptime, part};

/// In the last third of the interval, or of three quarters of a verdict that ends before: what is left is for trying again.
pub(super) fn after_admission(asked: Uptime, interval: Duration, lasts: Duration, moment: &Moment) -> Uptime {
    let most = interval.min(part(lasts.saturating_mul(3), 4));
    asked.plus(moment.between(part(most.saturating_mul(2), 3), most).max(quiet(interval))).max(moment.now)
}

/// An interval later, or up to a third more.
pub(super) fn after_refusal(interval: Duration, moment: &Moment) -> Uptime {
    moment.now.plus(moment.between(interval, interval.saturating_add(part(interval, 3))))
}

/// After up to one, two, four… seconds, and at least half of that; never longer than a minute or the interval.
pub(super) fn after_silence(failures: u32, interval: Duration, moment: &Moment) -> Uptime {
    moment.now.plus(moment.after_silence(failures, LONGEST_SILENCE.min(interval)))
}

/// However much changes, no try begins sooner than this after another.
pub(super) fn quiet(interval: Duration) -> Duration {
    QUIET.min(part(interval, 4))
}

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
