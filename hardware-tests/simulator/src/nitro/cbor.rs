//! A CBOR writer that obeys its caller (RFC 8949, section 3).

/// How a map says where it ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Length {
    /// By a count in front.
    Definite,
    /// By a break at the end, as newer Nitro firmware does.
    Indefinite,
}

pub(super) fn unsigned(value: u64) -> Vec<u8> {
    head(0, value)
}

pub(super) fn bytes(content: &[u8]) -> Vec<u8> {
    [head(2, count(content.len())), content.to_vec()].concat()
}

pub(super) fn text(content: &str) -> Vec<u8> {
    [head(3, count(content.len())), content.as_bytes().to_vec()].concat()
}

pub(super) fn array(items: &[Vec<u8>]) -> Vec<u8> {
    [head(4, count(items.len())), items.concat()].concat()
}

/// A map of encoded keys and values.
pub(super) fn map(length: Length, pairs: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let content: Vec<u8> = pairs.iter().flat_map(|(key, value)| [key.as_slice(), value].concat()).collect();
    match length {
        Length::Definite => [head(5, count(pairs.len())), content].concat(),
        Length::Indefinite => [vec![0xbf], content, vec![0xff]].concat(),
    }
}

pub(super) fn tagged(tag: u64, content: &[u8]) -> Vec<u8> {
    [head(6, tag), content.to_vec()].concat()
}

pub(super) fn boolean(value: bool) -> Vec<u8> {
    vec![if value { 0xf5 } else { 0xf4 }]
}

pub(super) const NULL: u8 = 0xf6;

/// A major type with its argument in the shortest form.
fn head(major: u8, argument: u64) -> Vec<u8> {
    let wide = argument.to_be_bytes();
    let first = major << 5_u32;
    let (info, used) = match argument {
        0..=23 => (wide.last().copied().unwrap_or(0), 0),
        24..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    let skipped = wide.len().saturating_sub(used);
    std::iter::once(first | info).chain(wide.into_iter().skip(skipped)).collect()
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_take_the_shortest_form() {
        assert_eq!(unsigned(23), [23]);
        assert_eq!(unsigned(24), [0x18, 24]);
        assert_eq!(unsigned(256), [0x19, 1, 0]);
        assert_eq!(unsigned(65_536), [0x1a, 0, 1, 0, 0]);
        assert_eq!(unsigned(1 << 32), [0x1b, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(bytes(&[]), [0x40]);
        assert_eq!(map(Length::Indefinite, &[(text("a"), vec![NULL])]), [0xbf, 0x61, b'a', 0xf6, 0xff]);
    }
}
