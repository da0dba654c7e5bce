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
/// The most program headers: no kernel takes more than a page of them (`load_elf_phdrs`).
const MOST: u16 = 73;
/// `ET_EXEC` and `ET_DYN`.
const PROGRAMS: [u16; 2] = [2, 3];
/// `EM_X86_64`, `EM_AARCH64`. By the machine alone the kernel chooses how it reads a header: one for 32 bits has its program
/// headers elsewhere.
const MACHINE: u16 = if cfg!(target_arch = "aarch64") { 183 } else { 62 };

/// A kind of file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
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
pub fn kind(file: &File) -> io::Result<Kind> {
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
        // An offset beyond the end, or beyond what any file can have.
        Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput) => {
            return Ok(Kind::Other);
        }
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

/// Of a header with a class of 64 bits, this machine's byte order, and this machine.
fn table(head: &[u8]) -> Option<Table> {
    const CLASS_AND_ORDER: [u8; 2] = [2, if cfg!(target_endian = "little") { 1 } else { 2 }];
    let (magic, rest) = head.split_at_checked(4)?;
    if magic != b"\x7fELF" || !rest.starts_with(&CLASS_AND_ORDER) {
        return None;
    }
    let offset = u64::from_ne_bytes(*head.get(32..)?.first_chunk()?);
    let half = |at: usize| head.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes);
    let (size, count) = (usize::from(half(54)?), half(56)?);
    let program = PROGRAMS.contains(&half(16)?) && half(18)? == MACHINE;
    (program && size == ENTRY && (1..=MOST).contains(&count)).then_some(Table { offset, count })
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
        bytes[16..18].copy_from_slice(&2_u16.to_ne_bytes());
        bytes[18..20].copy_from_slice(&MACHINE.to_ne_bytes());
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

    /// A whole program with two bytes of its header changed.
    fn with(at: usize, half: u16) -> Kind {
        let mut bytes = program(&[1]);
        bytes[at..][..2].copy_from_slice(&half.to_ne_bytes());
        kind_of(&bytes)
    }

    #[test]
    fn more_headers_than_any_program_has_are_not_read() {
        assert_eq!(with(56, u16::MAX), Kind::Other);
        assert_eq!(kind_of(&program(&[1; 73])), Kind::Whole);
        assert_eq!(kind_of(&program(&[1; 74])), Kind::Other);
    }

    #[test]
    fn a_file_without_program_headers_is_no_program() {
        assert_eq!(kind_of(&program(&[])), Kind::Other);
    }

    #[test]
    fn a_program_for_another_machine_is_none_the_kernel_would_find_its_loader_elsewhere() {
        // EM_386: the kernel reads e_phoff at 28 and e_phnum at 44, where this reading has other fields.
        assert_eq!(with(18, 3), Kind::Other);
    }

    #[test]
    fn what_is_linked_further_and_what_crashed_are_no_programs() {
        assert_eq!([1, 2, 3, 4].map(|kind| with(16, kind)), {
            [Kind::Other, Kind::Whole, Kind::Whole, Kind::Other]
        });
    }

    #[test]
    fn headers_beyond_what_a_file_can_have_make_no_program() {
        for offset in [u64::MAX, i64::MAX.unsigned_abs(), 1 << 63, 1 << 40] {
            let mut bytes = program(&[1]);
            bytes[32..40].copy_from_slice(&offset.to_ne_bytes());
            assert_eq!(kind_of(&bytes), Kind::Other, "{offset:#x}");
        }
    }
}
