//! How long to wait before asking again.
//!
//! What a service asks for is honoured; without a word it is twice as long each time. Chance spreads those who began
//! together. Pure: the chance is an argument.

use std::time::Duration;

/// How long to wait after the `failures`-th failure in a row; `chance` is 0 to 1000.
pub(crate) fn wait(failures: u32, asked: Option<Duration>, chance: u16) -> Duration {
    let chance = u32::from(chance.min(1000));
    let Some(asked) = asked else {
        let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST);
        // Half of it to one and a half.
        return part(doubled, chance.saturating_add(500), 1000);
    };
    // Never earlier than asked, and up to a tenth later.
    asked.saturating_add(part(asked, chance, 10_000))
}

/// The time until the next round: the interval, a tenth more or less.
pub(crate) fn interval(every: Duration, chance: u16) -> Duration {
    part(every, u32::from(chance.min(1000)).saturating_add(4500), 5000)
}

fn part(whole: Duration, numerator: u32, denominator: u32) -> Duration {
    whole.saturating_mul(numerator).checked_div(denominator).unwrap_or(whole)
}

/// What a service asks for in `Retry-After`: seconds. A date is not read, the doubling then counts.
pub(crate) fn asked(header: &str) -> Option<Duration> {
    header.trim().parse().ok().map(Duration::from_secs)
}

/// A duration as people write it: `90s`, `15m`, `6h`, `2d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let odd = || format!("expected a time like 90s, 15m, 6h or 2d, found {text:?}");
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => return Err(odd()),
    };
    let count: u64 =
        text.get(..text.len().saturating_sub(1)).unwrap_or_default().parse().map_err(|_why| odd())?;
    let seconds = count.checked_mul(unit).filter(|seconds| *seconds > 0).ok_or_else(odd)?;
    Ok(Duration::from_secs(seconds))
}

const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_mins(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_doubles_within_bounds_and_chance_spreads_it() {
        let middle: Vec<u64> = (1..=10).map(|failures| wait(failures, None, 500).as_secs()).collect();
        assert_eq!(middle, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(wait(1, None, 0), Duration::from_secs(1));
        assert_eq!(wait(1, None, 1000), Duration::from_secs(3));
        assert_eq!(wait(u32::MAX, None, u16::MAX), Duration::from_secs(450));
    }

    #[test]
    fn what_a_service_asks_for_is_honoured() {
        let minute = Duration::from_mins(1);
        assert_eq!(asked(" 60 "), Some(minute));
        assert_eq!(asked("Sun, 22 Nov 2026 08:00:00 GMT"), None);
        assert_eq!(wait(1, Some(minute), 0), minute);
        assert_eq!(wait(9, Some(minute), 1000), Duration::from_secs(66));
    }

    #[test]
    fn rounds_spread_around_the_interval() {
        let hours = Duration::from_hours(6);
        assert_eq!(interval(hours, 500), hours);
        assert_eq!((interval(hours, 0), interval(hours, 1000)), (hours * 9 / 10, hours * 11 / 10));
    }

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        assert_eq!(duration("6h"), Ok(Duration::from_hours(6)));
        for odd in ["", "h", "6", "0s", "-1h", "6 h", "6w", "99999999999999999999d", "é"] {
            assert!(duration(odd).is_err(), "{odd}");
        }
    }
}
