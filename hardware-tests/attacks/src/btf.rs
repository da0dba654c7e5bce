//! The number of a name in the kernel's own type information, which tracing and LSM programs are attached by.
//!
//! `Documentation/bpf/btf.rst`, sections 2.1 and 2.2. Trusted: nothing; what is out of shape is not found.

use std::fs;
use std::io;

use crate::bpf::word_at;
use crate::told::absent;

/// What a name is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// A type's other name: tracepoints have theirs there.
    Typedef = 8,
    /// A function.
    Function = 12,
}

/// The number of this name.
pub(crate) fn number(kind: Kind, name: &str) -> io::Result<u32> {
    let image = fs::read("/sys/kernel/btf/vmlinux")?;
    find(&image, kind, name.as_bytes()).ok_or_else(|| absent(format!("this kernel has no {name}")))
}

fn find(image: &[u8], kind: Kind, name: &[u8]) -> Option<u32> {
    let at = |offset| usize::try_from(word_at(image, offset)).ok();
    let header = at(4)?;
    let mut types = image.get(header.checked_add(at(8)?)?..)?;
    types = types.get(..at(12)?)?;
    let strings = image.get(header.checked_add(at(16)?)?..)?;
    let mut number = 0_u32;
    while types.len() >= 12 {
        number = number.checked_add(1)?;
        let information = word_at(types, 4);
        if information >> 24 & 0x1f == kind_number(kind) {
            let named = strings.get(usize::try_from(word_at(types, 0)).ok()?..)?;
            if named.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&0)) {
                return Some(number);
            }
        }
        types = types.get(length(information)?..)?;
    }
    None
}

const fn kind_number(kind: Kind) -> u32 {
    match kind {
        Kind::Typedef => 8,
        Kind::Function => 12,
    }
}

/// How long an entry is: 12 bytes, and what its kind has behind them.
fn length(information: u32) -> Option<usize> {
    let members = usize::try_from(information & 0xffff).ok()?;
    let behind = match information >> 24 & 0x1f {
        1 | 14 | 17 => 4,
        3 => 12,
        4 | 5 | 15 | 19 => members.checked_mul(12)?,
        6 | 13 => members.checked_mul(8)?,
        _ => 0,
    };
    behind.checked_add(12)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A structure of one member, a function of the same name as a type's other name, and one more.
    fn image() -> Vec<u8> {
        let strings = b"\0pair\0open\0close\0";
        let entry = |name: u32, kind: u32, members: u32| {
            [name, kind << 24 | members, 0].map(u32::to_ne_bytes).concat()
        };
        let types = [entry(1, 4, 1), vec![0; 12], entry(6, 8, 0), entry(6, 12, 0), entry(11, 12, 0)].concat();
        let numbers =
            [24, 0, types.len(), types.len(), strings.len()].map(|number| u32::try_from(number).unwrap());
        let head =
            [0xeb9f_u16.to_ne_bytes().to_vec(), vec![1, 0], numbers.map(u32::to_ne_bytes).concat()].concat();
        [head, types, strings.to_vec()].concat()
    }

    #[test]
    fn a_name_is_found_by_its_kind() {
        let image = image();
        assert_eq!(find(&image, Kind::Typedef, b"open"), Some(2));
        assert_eq!(find(&image, Kind::Function, b"open"), Some(3));
        assert_eq!(find(&image, Kind::Function, b"close"), Some(4));
        assert_eq!(find(&image, Kind::Function, b"clos"), None);
        assert_eq!(find(&image, Kind::Typedef, b"pair"), None);
    }

    #[test]
    fn what_is_cut_off_has_no_names() {
        let image = image();
        for length in 0..24 + 12 {
            assert_eq!(find(&image[..length], Kind::Function, b"close"), None, "{length}");
        }
    }
}
