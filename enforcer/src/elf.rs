//! What kind of file a program is: all in one, one into which others are loaded, or a text that another program reads.
//!
//! Core: bytes in, a kind out. Layout: the System V ABI, "ELF Header" and "Program Header", 64 bits.
//!
//! Untrusted: the file. What is not understood is no program.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// `PT_INTERP`: the program names a loader.
const INTERPRETER: u32 = 3;
/// Of one program header.
const ENTRY: usize = 56;
/// The most program headers that are looked at; a program has a dozen.
const MOST: u16 = 256;

/// A kind of file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// A program that is all in this file.
    Whole,
    /// A program that has others loaded into it.
    Loads,
    /// A text that another program reads.
    Script,
    /// None that the kernel executes by itself.
    Other,
}

/// The kind of an open file.
pub(crate) fn kind(file: &File) -> io::Result<Kind> {
    let mut head = [0; 64];
    let read = file.read_at(&mut head, 0)?;
    if head.starts_with(b"#!") {
        return Ok(Kind::Script);
    }
    let Some(Table { offset, count }) = table(head.get(..read).unwrap_or_default()) else {
        return Ok(Kind::Other);
    };
    let mut entries = vec![0; ENTRY.saturating_mul(usize::from(count))];
    match file.read_exact_at(&mut entries, offset) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Kind::Other),
        Err(error) => return Err(error),
    }
    let loads = entries.chunks_exact(ENTRY).any(|entry| word(entry, 0) == Some(INTERPRETER));
    Ok(if loads { Kind::Loads } else { Kind::Whole })
}

/// Where the program headers are.
struct Table {
    offset: u64,
    count: u16,
}

/// Of a header with a class of 64 bits and this machine's byte order.
fn table(head: &[u8]) -> Option<Table> {
    const CLASS_AND_ORDER: [u8; 2] = [2, if cfg!(target_endian = "little") { 1 } else { 2 }];
    let (magic, rest) = head.split_at_checked(4)?;
    if magic != b"\x7fELF" || !rest.starts_with(&CLASS_AND_ORDER) {
        return None;
    }
    let offset = u64::from_ne_bytes(*head.get(32..)?.first_chunk()?);
    let [size, count] = [54, 56].map(|at| head.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes));
    let count = count.filter(|count| *count <= MOST)?;
    (usize::from(size?) == ENTRY).then_some(Table { offset, count })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write as _;

    use super::*;

    /// The smallest file of these kinds of program headers.
    pub(crate) fn program(headers: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[32..40].copy_from_slice(&64_u64.to_ne_bytes());
        bytes[54..56].copy_from_slice(&56_u16.to_ne_bytes());
        bytes[56..58].copy_from_slice(&u16::try_from(headers.len()).unwrap().to_ne_bytes());
        for kind in headers {
            bytes.extend(kind.to_ne_bytes());
            bytes.extend([0; 52]);
        }
        bytes
    }

    fn kind_of(bytes: &[u8]) -> Kind {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        kind(&file).unwrap()
    }

    #[test]
    fn a_program_that_names_a_loader_is_not_whole() {
        assert_eq!(kind_of(&program(&[1, 1, 2])), Kind::Whole);
        assert_eq!(kind_of(&program(&[6, 3, 1])), Kind::Loads);
        assert_eq!(kind(&File::open("/proc/self/exe").unwrap()).unwrap(), Kind::Loads);
    }

    #[test]
    fn a_text_or_half_a_program_is_none() {
        assert_eq!(kind_of(b"#!/bin/sh\n"), Kind::Script);
        assert_eq!(kind_of(b"MZ"), Kind::Other);
        assert_eq!(kind_of(b""), Kind::Other);
        let whole = program(&[1, 3]);
        for length in 0..whole.len() {
            assert_eq!(kind_of(&whole[..length]), Kind::Other, "{length}");
        }
    }

    #[test]
    fn more_headers_than_any_program_has_are_not_read() {
        let mut bytes = program(&[1]);
        bytes[56..58].copy_from_slice(&u16::MAX.to_ne_bytes());
        assert_eq!(kind_of(&bytes), Kind::Other);
    }
}
