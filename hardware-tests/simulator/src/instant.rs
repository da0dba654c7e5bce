//! Reads a point in time: seconds since 1970, or UTC as `2026-11-21T00:00:00Z`.

/// Seconds since 1970, or nothing if `text` is no time from 1970 on.
pub(crate) fn parse(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| rfc3339(text))
}

fn rfc3339(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let in_range = hour < 24 && minute < 60 && second < 60;
    let days = days_since_1970(year, month, day)?;
    let seconds = hour.checked_mul(3_600)?.checked_add(minute.checked_mul(60)?)?.checked_add(second)?;
    days.checked_mul(86_400)?.checked_add(seconds).filter(|_| in_range)
}

fn numbers(text: &str, separator: char, widths: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(separator);
    let mut out = [0; 3];
    for (number, width) in out.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width)?;
        *number = part.parse().ok().filter(|_| part.bytes().all(|byte| byte.is_ascii_digit()))?;
    }
    parts.next().is_none().then_some(out)
}

fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let february = if leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = usize::try_from(month.checked_sub(1)?).ok()?;
    if year < 1970 || day == 0 || day > *lengths.get(before)? {
        return None;
    }
    let years: u64 = (1970..year).map(|year| if leap(year) { 366_u64 } else { 365 }).sum();
    let months: u64 = lengths.iter().take(before).sum();
    years.checked_add(months)?.checked_add(day)?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn both_forms_name_the_same_instant() {
        assert_eq!(parse("1795219200"), Some(1_795_219_200));
        assert_eq!(parse("2026-11-21T00:00:00Z"), Some(1_795_219_200));
        assert_eq!(parse("2000-02-29T23:59:59Z"), Some(951_868_799));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "now",
            "2026-11-21",
            "2026-02-29T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "1969-12-31T00:00:00Z",
            "2026-11-21T00:00:00+00:00",
            "+026-11-21T00:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
