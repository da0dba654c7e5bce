//! What an ELF file says about how it will be run: its notes, the libraries it needs, the names it is linked by.
//!
//! Only program headers are read (elf(5)); section headers may be absent. 64-bit and little-endian, as
//! everything that the graft handles.
//!
//! Untrusted: every byte. Counts and sizes are bounded, offsets are checked by whoever reads the file.

use std::ops::Range;

/// Fills its buffer from an offset of the file on; false where the file has not so many bytes.
pub type Bytes<'a> = dyn Fn(u64, &mut [u8]) -> bool + 'a;

/// Program headers that are looked at; linkers write a dozen.
const MAX_SEGMENTS: u16 = 64;
/// Bytes of one note segment, and of the dynamic section.
const MAX_TABLE: u64 = 64 * 1024;
/// Bytes of the table of names; a browser's is of a few megabytes.
const MAX_NAMES: u64 = 8 << 20;

const LOAD: u32 = 1;
const DYNAMIC: u32 = 2;
const NOTE: u32 = 4;

const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;

/// The program headers of a file.
#[expect(missing_debug_implementations, reason = "a closure has none")]
pub struct Elf<'a> {
    file: &'a Bytes<'a>,
    segments: Vec<Segment>,
}

#[derive(Debug)]
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    len: u64,
}

/// The names that a dynamic linker works with.
#[derive(Debug)]
pub struct Names {
    table: Vec<u8>,
    needed: Vec<u64>,
}

impl<'a> Elf<'a> {
    /// None for what is not a 64-bit little-endian ELF file.
    #[must_use]
    pub fn read(file: &'a Bytes<'a>) -> Option<Self> {
        let header = take(file, 0..64)?;
        // e_ident: magic, ELFCLASS64, ELFDATA2LSB.
        header.strip_prefix(b"\x7fELF\x02\x01")?;
        let offset = word(&header, 32)?;
        let [size, count] = [half(&header, 54)?, half(&header, 56)?];
        if size != 56 || count > MAX_SEGMENTS {
            return None;
        }
        let end = offset.checked_add(u64::from(size).checked_mul(u64::from(count))?)?;
        let table = take(file, offset..end)?;
        let segments = table.chunks_exact(usize::from(size)).map(Segment::read).collect::<Option<_>>()?;
        Some(Self { file, segments })
    }

    /// Whether a note (elf(5), "Notes") bears this name: compilers sign their work with them.
    #[must_use]
    pub fn has_note(&self, name: &[u8]) -> bool {
        self.segments.iter().filter(|segment| segment.kind == NOTE).any(|segment| {
            let table = segment.bytes(self.file, MAX_TABLE).unwrap_or_default();
            note_names(&table).any(|found| found == name)
        })
    }

    /// None for a file that is linked statically.
    #[must_use]
    pub fn dynamic_names(&self) -> Option<Names> {
        let dynamic = self.segments.iter().find(|segment| segment.kind == DYNAMIC)?;
        let dynamic = dynamic.bytes(self.file, MAX_TABLE)?;
        let entries = || {
            dynamic.as_chunks::<16>().0.iter().filter_map(|entry| Some((word(entry, 0)?, word(entry, 8)?)))
        };
        let value = |wanted| entries().find_map(|(tag, value)| (tag == wanted).then_some(value));
        let needed: Vec<u64> = entries().filter(|(tag, _)| *tag == DT_NEEDED).map(|(_, at)| at).collect();
        // A static program that may be loaded anywhere has the section, and needs nothing.
        if needed.is_empty() {
            return None;
        }
        let (address, size) = (value(DT_STRTAB)?, value(DT_STRSZ)?);
        if size > MAX_NAMES {
            return None;
        }
        let start = self.offset_of(address)?;
        Some(Names { table: take(self.file, start..start.checked_add(size)?)?, needed })
    }

    fn offset_of(&self, address: u64) -> Option<u64> {
        let loaded = self.segments.iter().filter(|segment| segment.kind == LOAD);
        loaded.into_iter().find_map(|segment| {
            let inside = address.checked_sub(segment.address).filter(|inside| *inside < segment.len)?;
            segment.offset.checked_add(inside)
        })
    }
}

impl Segment {
    fn read(header: &[u8]) -> Option<Self> {
        Some(Self {
            kind: u32::from_le_bytes(*header.first_chunk()?),
            offset: word(header, 8)?,
            address: word(header, 16)?,
            len: word(header, 32)?,
        })
    }

    fn bytes(&self, file: &Bytes<'_>, limit: u64) -> Option<Vec<u8>> {
        take(file, self.offset..self.offset.checked_add(self.len.min(limit))?)
    }
}

impl Names {
    /// The libraries that the program needs.
    #[must_use]
    pub fn libraries(&self) -> Vec<&[u8]> {
        self.needed.iter().filter_map(|at| self.name(*at)).collect()
    }

    /// Whether a symbol of this name is linked. A linker may let one name end another, as `getenv` ends
    /// `secure_getenv`.
    #[must_use]
    pub fn contains(&self, name: &[u8]) -> bool {
        self.table.split(|byte| *byte == 0).any(|found| found == name)
    }

    fn name(&self, at: u64) -> Option<&[u8]> {
        self.table.get(usize::try_from(at).ok()?..)?.split(|byte| *byte == 0).next()
    }
}

/// Each note: lengths of name and content, a type, both padded to words of four bytes.
fn note_names(table: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = table;
    std::iter::from_fn(move || {
        let [name_len, content_len] = [0, 4].map(|at| quarter(rest, at));
        let padded = |len: usize| len.checked_next_multiple_of(4);
        let (name_len, content_len) = (name_len?, content_len?);
        let body = rest.get(12..)?;
        let name = body.get(..name_len)?;
        rest = body.get(padded(name_len)?.checked_add(padded(content_len)?)?..)?;
        name.split(|byte| *byte == 0).next()
    })
}

fn take(file: &Bytes<'_>, range: Range<u64>) -> Option<Vec<u8>> {
    let len = range.end.checked_sub(range.start)?;
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    file(range.start, &mut bytes).then_some(bytes)
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|word| u64::from_le_bytes(*word))
}

fn quarter(bytes: &[u8], at: usize) -> Option<usize> {
    let word = bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))?;
    usize::try_from(word).ok()
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|half| u16::from_le_bytes(*half))
}
