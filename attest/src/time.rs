//! Instants, as an argument.
//!
//! Nothing in this crate reads a clock: whoever calls says what time it is, so that a verdict of today
//! can be reproduced years later. Untrusted: instants that come out of certificates and policies; they
//! are compared, never believed.

use std::fmt;

/// Seconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Hash, minicbor::Encode, minicbor::Decode)]
#[cbor(transparent)]
pub struct UnixTime(#[n(0)] pub u64);

impl UnixTime {
    /// The last instant that [`UnixTime::parse`] and `Display` can write: 9999-12-31T23:59:59Z.
    pub const MAX: Self = Self(253_402_300_799);

    /// This instant plus `seconds`, or [`UnixTime::MAX`].
    #[must_use]
    pub fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds)).min(Self::MAX)
    }

    /// Seconds from `earlier` to this instant; 0 if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Parses RFC 3339 in UTC with whole seconds: `2026-11-21T18:00:00Z`.
    pub fn parse(text: &str) -> Result<Self, NotATime> {
        let fail = || NotATime(text.chars().take(40).collect());
        let shape_holds = text.len() == 20
            && text.bytes().zip(*b"0000-00-00T00:00:00Z").all(|(found, shape)| match shape {
                b'0' => found.is_ascii_digit(),
                other => found == other,
            });
        if !shape_holds {
            return Err(fail());
        }
        let number =
            |from: usize, to: usize| text.get(from..to).and_then(|digits| digits.parse::<u32>().ok());
        let field = |from, to| number(from, to).ok_or_else(fail);
        let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
        let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
        if year < 1970 || day == 0 || day > days_in(year, month) || hour > 23 || minute > 59 || second > 59 {
            return Err(fail());
        }
        let days = days_before(year, month).saturating_add(u64::from(day)).saturating_sub(1);
        let seconds =
            hour.saturating_mul(3600).saturating_add(minute.saturating_mul(60)).saturating_add(second);
        Ok(Self(days.saturating_mul(86_400).saturating_add(u64::from(seconds))))
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instant = (*self).min(Self::MAX).0;
        let (mut days, second) = (instant / 86_400, instant % 86_400);
        let mut year = 1970;
        while days >= days_in_year(year) {
            days = days.saturating_sub(days_in_year(year));
            year = year.saturating_add(1);
        }
        let mut month = 1;
        while days >= u64::from(days_in(year, month)) {
            days = days.saturating_sub(u64::from(days_in(year, month)));
            month = month.saturating_add(1);
        }
        let day = days.saturating_add(1);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
            second / 3600,
            second / 60 % 60,
            second % 60
        )
    }
}

impl serde::Serialize for UnixTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for UnixTime {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A span of time in which something holds: `from` is inside, `until` is outside.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Window {
    /// The first second inside.
    pub from: UnixTime,
    /// The first second outside.
    pub until: UnixTime,
}

impl Window {
    /// All of time.
    pub const ALWAYS: Self = Self { from: UnixTime(0), until: UnixTime(u64::MAX) };

    /// Whether `now` is inside.
    #[must_use]
    pub fn contains(&self, now: UnixTime) -> bool {
        self.from <= now && now < self.until
    }

    /// The span in which both hold.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), until: self.until.min(other.until) }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} until {}", self.from, self.until)
    }
}

/// A text that is not an instant of the form `2026-11-21T18:00:00Z`.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected an instant like 2026-11-21T18:00:00Z, found {0:?}")]
pub struct NotATime(String);

fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in_year(year: u32) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        1..=12 => 31,
        _ => 0,
    }
}

fn days_before(year: u32, month: u32) -> u64 {
    let years: u64 = (1970..year).map(days_in_year).sum();
    let months: u64 = (1..month).map(|month| u64::from(days_in(year, month))).sum();
    years.saturating_add(months)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_survives_printing_and_parsing() {
        for text in
            ["1970-01-01T00:00:00Z", "2024-02-29T23:59:59Z", "2026-11-21T18:00:00Z", "9999-12-31T23:59:59Z"]
        {
            assert_eq!(UnixTime::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(UnixTime::parse("2026-11-21T18:00:00Z").unwrap(), UnixTime(1_795_284_000));
    }

    #[test]
    fn a_day_that_does_not_exist_is_refused() {
        for text in [
            "2025-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-01-01T24:00:00Z",
            "2025-01-01 00:00:00Z",
            "",
        ] {
            assert!(UnixTime::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_end_of_a_window_is_outside() {
        let window = Window { from: UnixTime(10), until: UnixTime(20) };
        assert_eq!([9, 10, 19, 20].map(|t| window.contains(UnixTime(t))), [false, true, true, false]);
    }
}
