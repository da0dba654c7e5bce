//! A DER writer that obeys its caller: it also writes certificates that nobody should accept.
//!
//! X.690 encodings of the few types that X.509 needs. Content is taken as given; only lengths, integers,
//! object identifiers and times are computed. Infallible on purpose.

/// An object identifier as its arcs, such as `&[2, 5, 29, 15]`.
pub type Oid = &'static [u64];

pub(crate) fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

pub(crate) fn set(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x31, &parts.concat())
}

/// A constructed context-specific element, `[number]`.
pub(crate) fn context(number: u8, content: &[u8]) -> Vec<u8> {
    tlv(0xa0 | number, content)
}

pub(crate) fn octet_string(content: &[u8]) -> Vec<u8> {
    tlv(0x04, content)
}

/// A bit string without unused bits.
pub(crate) fn bit_string(content: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[0], content].concat())
}

pub(crate) fn utf8_string(text: &str) -> Vec<u8> {
    tlv(0x0c, text.as_bytes())
}

pub(crate) fn printable_string(text: &str) -> Vec<u8> {
    tlv(0x13, text.as_bytes())
}

pub(crate) fn ia5_string(text: &str) -> Vec<u8> {
    tlv(0x16, text.as_bytes())
}

pub(crate) fn boolean_true() -> Vec<u8> {
    tlv(0x01, &[0xff])
}

pub(crate) fn null() -> Vec<u8> {
    tlv(0x05, &[])
}

pub(crate) fn unsigned(value: u64) -> Vec<u8> {
    integer(&value.to_be_bytes())
}

/// A non-negative integer from its big-endian bytes.
pub(crate) fn integer(big_endian: &[u8]) -> Vec<u8> {
    let mut content: Vec<u8> = big_endian.iter().copied().skip_while(|byte| *byte == 0).collect();
    // X.690 8.3.2: the shortest form, and a leading zero where the top bit would read as a sign.
    if content.first().is_none_or(|byte| *byte >= 0x80) {
        content.insert(0, 0);
    }
    tlv(0x02, &content)
}

pub(crate) fn oid(arcs: &[u64]) -> Vec<u8> {
    let mut content = Vec::new();
    if let [first, second, rest @ ..] = arcs {
        // X.690 8.19.4: the first two arcs share one subidentifier.
        content.extend(base128(first.saturating_mul(40).saturating_add(*second)));
        content.extend(rest.iter().flat_map(|arc| base128(*arc)));
    }
    tlv(0x06, &content)
}

/// `UTCTime` until 2049 and `GeneralizedTime` from then on (RFC 5280, 4.1.2.5).
pub(crate) fn time(unix: u64) -> Vec<u8> {
    let (year, month, day) = civil(unix / 86_400);
    let (hour, minute, second) = (unix / 3_600 % 24, unix / 60 % 60, unix % 60);
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    if year < 2050 {
        tlv(0x17, format!("{:02}{rest}", year % 100).as_bytes())
    } else {
        tlv(0x18, format!("{year:04}{rest}").as_bytes())
    }
}

/// The form of Intel's JSON, such as `2026-11-21T00:00:00Z`.
pub(crate) fn rfc3339(unix: u64) -> String {
    let (year, month, day) = civil(unix / 86_400);
    let (hour, minute, second) = (unix / 3_600 % 24, unix / 60 % 60, unix % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend(length(content.len()));
    out.extend(content);
    out
}

fn length(length: usize) -> Vec<u8> {
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => vec![short],
        Ok(_) | Err(_) => {
            let bytes = length.to_be_bytes();
            let significant: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
            let count = u8::try_from(significant.len()).unwrap_or(u8::MAX);
            [vec![0x80 | count], significant].concat()
        }
    }
}

fn base128(mut value: u64) -> Vec<u8> {
    let mut out = vec![low_seven_bits(value)];
    while value >= 0x80 {
        value >>= 7_u32;
        out.insert(0, 0x80 | low_seven_bits(value));
    }
    out
}

fn low_seven_bits(value: u64) -> u8 {
    value.to_le_bytes().first().copied().unwrap_or(0) & 0x7f
}

/// Year, month and day of a day counted from 1970-01-01 in the proleptic Gregorian calendar.
fn civil(days: u64) -> (u64, u64, u64) {
    // Years run from March in eras of 400, so that the leap day comes last; 719,468 days lie before 1970.
    let shifted = days.saturating_add(719_468);
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let (fours, centuries, last) = (day_of_era / 1_460, day_of_era / 36_524, day_of_era / 146_096);
    let in_years_of_365 = day_of_era.saturating_add(centuries).saturating_sub(fours).saturating_sub(last);
    let year_of_era = in_years_of_365 / 365;
    let before =
        year_of_era.saturating_mul(365).saturating_add(year_of_era / 4).saturating_sub(year_of_era / 100);
    let day_of_year = day_of_era.saturating_sub(before);
    let march_month = day_of_year.saturating_mul(5).saturating_add(2) / 153;
    let day =
        day_of_year.saturating_sub(march_month.saturating_mul(153).saturating_add(2) / 5).saturating_add(1);
    let month = if march_month < 10 { march_month.saturating_add(3) } else { march_month.saturating_sub(9) };
    let year = era.saturating_mul(400).saturating_add(year_of_era).saturating_add(u64::from(month <= 2));
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_gregorian_calendar() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(11_017), (2000, 3, 1));
        assert_eq!(civil(20_778), (2026, 11, 21));
        assert_eq!(civil(29_219), (2049, 12, 31));
        assert_eq!(civil(47_540), (2100, 2, 28));
        assert_eq!(civil(47_541), (2100, 3, 1));
    }

    #[test]
    fn times_change_form_in_2050() {
        assert_eq!(time(1_603_391_060), b"\x17\x0d201022182420Z");
        assert_eq!(time(2_524_607_999), b"\x17\x0d491231235959Z");
        assert_eq!(time(2_524_608_000), b"\x18\x0f20500101000000Z");
    }

    #[test]
    fn a_time_reads_as_intel_writes_it() {
        assert_eq!(rfc3339(1_603_391_060), "2020-10-22T18:24:20Z");
    }

    #[test]
    fn integers_are_minimal_and_positive() {
        assert_eq!(unsigned(0), [2, 1, 0]);
        assert_eq!(unsigned(127), [2, 1, 127]);
        assert_eq!(unsigned(219), [2, 2, 0, 219]);
        assert_eq!(unsigned(65_536), [2, 3, 1, 0, 0]);
    }

    #[test]
    fn object_identifiers_pack_their_arcs() {
        assert_eq!(oid(&[1, 3, 6, 1, 4, 1, 3704, 1, 2]), [6, 9, 0x2b, 6, 1, 4, 1, 0x9c, 0x78, 1, 2]);
    }

    #[test]
    fn lengths_take_the_shortest_form() {
        assert_eq!(length(127), [127]);
        assert_eq!(length(128), [0x81, 128]);
        assert_eq!(length(1285), [0x82, 5, 5]);
    }
}
