//! Enclave image files, taken apart (aws-nitro-enclaves-image-format, version 4: header, then sections back to back).
//!
//! Strict: the sections fill the file exactly, each kind as often as it may occur, and the checksum holds. What the
//! tools never write could be read in two ways, and then two tools would name two measurements.
//!
//! Untrusted: the file.

use crate::answer::NotJudged;
use crate::measure::bytes;

/// An image, its sections found.
#[derive(Debug)]
pub(crate) struct Eif<'f> {
    pub(crate) version: u16,
    pub(crate) arch: Arch,
    pub(crate) default_memory: u64,
    pub(crate) default_cpus: u64,
    pub(crate) crc32: u32,
    pub(crate) kernel: &'f [u8],
    pub(crate) cmdline: &'f [u8],
    /// The first boots, the others hold the application.
    pub(crate) ramdisks: Vec<&'f [u8]>,
    pub(crate) signature: Option<&'f [u8]>,
    /// JSON about the build. Not measured.
    pub(crate) metadata: Option<&'f [u8]>,
}

/// The processor that an image is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Arch {
    /// `x86_64`.
    X86,
    /// `aarch64`.
    Arm,
}

impl<'f> Eif<'f> {
    pub(crate) fn parse(file: &'f [u8]) -> Result<Self, BadEif> {
        let header = bytes::range(file, 0, HEADER).ok_or(BadEif::CutOff)?;
        if bytes::array(header, 0) != Some(*b".eif") {
            return Err(BadEif::Magic);
        }
        let version = be16(header, 4);
        if !(2..=4).contains(&version) {
            return Err(BadEif::Version(version));
        }
        let arch = match be16(header, 6) {
            0 => Arch::X86,
            1 => Arch::Arm,
            unknown => return Err(BadEif::Flags(unknown)),
        };
        let count = be16(header, COUNT);
        if count > SLOTS || count == 0 {
            return Err(BadEif::Count(count));
        }
        let sections = sections(file, header, count)?;
        let claimed = be32(header, CRC);
        let found = crc32(&[header.get(..544).unwrap_or_default(), file.get(548..).unwrap_or_default()]);
        if claimed != found {
            return Err(BadEif::Checksum { claimed, found });
        }
        Ok(Self {
            version,
            arch,
            default_memory: be64(header, 8),
            default_cpus: be64(header, 16),
            crc32: claimed,
            kernel: one(&sections, Kind::Kernel)?.ok_or(BadEif::Missing(Kind::Kernel))?,
            cmdline: one(&sections, Kind::Cmdline)?.ok_or(BadEif::Missing(Kind::Cmdline))?,
            ramdisks: ramdisks(&sections)?,
            signature: one(&sections, Kind::Signature)?,
            metadata: one(&sections, Kind::Metadata)?,
        })
    }
}

/// What a section holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Kernel,
    Cmdline,
    Ramdisk,
    Signature,
    Metadata,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kernel => "kernel",
            Self::Cmdline => "command line",
            Self::Ramdisk => "RAM disk",
            Self::Signature => "signature",
            Self::Metadata => "metadata",
        })
    }
}

type Section<'f> = (Kind, &'f [u8]);

fn sections<'f>(file: &'f [u8], header: &[u8], count: u16) -> Result<Vec<Section<'f>>, BadEif> {
    let mut found = Vec::new();
    let mut expected = HEADER;
    for index in 0..u64::from(SLOTS) {
        let slot = index.saturating_mul(8);
        let offset = be64(header, OFFSETS.saturating_add(slot));
        let size = be64(header, SIZES.saturating_add(slot));
        if index >= u64::from(count) {
            if (offset, size) != (0, 0) {
                return Err(BadEif::Unused(index));
            }
            continue;
        }
        if offset != expected {
            return Err(BadEif::Offset { index, expected, found: offset });
        }
        found.push(section(file, offset, size)?);
        expected = offset.saturating_add(SECTION).saturating_add(size);
    }
    let length = bytes::length(file);
    if expected != length {
        return Err(BadEif::Length { expected, found: length });
    }
    Ok(found)
}

fn section(file: &[u8], offset: u64, size: u64) -> Result<Section<'_>, BadEif> {
    let head = bytes::range(file, offset, SECTION).ok_or(BadEif::CutOff)?;
    let kind = match be16(head, 0) {
        1 => Kind::Kernel,
        2 => Kind::Cmdline,
        3 => Kind::Ramdisk,
        4 => Kind::Signature,
        5 => Kind::Metadata,
        unknown => return Err(BadEif::Kind(unknown)),
    };
    let (flags, inner) = (be16(head, 2), be64(head, 4));
    if flags != 0 {
        return Err(BadEif::Flags(flags));
    }
    if inner != size {
        return Err(BadEif::Size { kind, header: size, section: inner });
    }
    let content = bytes::range(file, offset.saturating_add(SECTION), size).ok_or(BadEif::CutOff)?;
    Ok((kind, content))
}

fn one<'f>(sections: &[Section<'f>], kind: Kind) -> Result<Option<&'f [u8]>, BadEif> {
    let mut of_kind = sections.iter().filter(|(found, _)| *found == kind);
    let first = of_kind.next().map(|(_, content)| *content);
    if of_kind.next().is_some() { Err(BadEif::Twice(kind)) } else { Ok(first) }
}

fn ramdisks<'f>(sections: &[Section<'f>]) -> Result<Vec<&'f [u8]>, BadEif> {
    let of_kind = sections.iter().filter(|(found, _)| *found == Kind::Ramdisk);
    let found: Vec<_> = of_kind.map(|(_, content)| *content).collect();
    if found.is_empty() { Err(BadEif::Missing(Kind::Ramdisk)) } else { Ok(found) }
}

fn be16(bytes: &[u8], at: u64) -> u16 {
    bytes::array(bytes, at).map_or(0, u16::from_be_bytes)
}

fn be32(bytes: &[u8], at: u64) -> u32 {
    bytes::array(bytes, at).map_or(0, u32::from_be_bytes)
}

fn be64(bytes: &[u8], at: u64) -> u64 {
    bytes::array(bytes, at).map_or(0, u64::from_be_bytes)
}

/// CRC-32 of IEEE 802.3.
pub(crate) fn crc32(parts: &[&[u8]]) -> u32 {
    let mut table = [0; 256];
    for (slot, byte) in table.iter_mut().zip(0_u32..) {
        *slot =
            (0..8).fold(byte, |value, _| if value & 1 == 1 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 });
    }
    let step = |crc: u32, byte: &u8| {
        let [low, ..] = crc.to_le_bytes();
        crc >> 8 ^ table.get(usize::from(low ^ byte)).copied().unwrap_or_default()
    };
    !parts.iter().flat_map(|part| part.iter()).fold(u32::MAX, step)
}

/// Why a file is no enclave image that can be measured.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BadEif {
    #[error("the image is cut off")]
    CutOff,
    #[error("expected an enclave image file, which begins with .eif")]
    Magic,
    #[error("expected format version 2, 3 or 4, found {0}")]
    Version(u16),
    #[error("unknown flags {0:#x}")]
    Flags(u16),
    #[error("expected 1 to 32 sections, found {0}")]
    Count(u16),
    #[error("slot {0} of the header is in use, and there is no such section")]
    Unused(u64),
    #[error("expected section {index} at {expected}, behind the one before it; the header says {found}")]
    Offset { index: u64, expected: u64, found: u64 },
    #[error("the {kind} has {header} bytes by the file's header and {section} by its own")]
    Size { kind: Kind, header: u64, section: u64 },
    #[error("section of unknown type {0}")]
    Kind(u16),
    #[error("expected {expected} bytes, found {found}")]
    Length { expected: u64, found: u64 },
    #[error("expected checksum {claimed:08x}, found {found:08x}")]
    Checksum { claimed: u32, found: u32 },
    #[error("no {0}")]
    Missing(Kind),
    #[error("more than one {0}")]
    Twice(Kind),
    #[error("the signature is not one that the image's builder writes: {0}")]
    Signature(&'static str),
}

impl From<BadEif> for NotJudged {
    fn from(error: BadEif) -> Self {
        let code = match &error {
            BadEif::CutOff => "eif.cut_off",
            BadEif::Magic => "eif.magic",
            BadEif::Version(_) => "eif.version",
            BadEif::Flags(_) => "eif.flags",
            BadEif::Count(_) => "eif.count",
            BadEif::Unused(_) | BadEif::Offset { .. } | BadEif::Size { .. } => "eif.layout",
            BadEif::Kind(_) => "eif.kind",
            BadEif::Length { .. } => "eif.length",
            BadEif::Checksum { .. } => "eif.checksum",
            BadEif::Missing(_) => "eif.missing",
            BadEif::Twice(_) => "eif.twice",
            BadEif::Signature(_) => "eif.signature",
        };
        Self::new(code, error.to_string())
    }
}

const HEADER: u64 = 548;
const SECTION: u64 = 12;
const SLOTS: u16 = 32;
/// Magic 4, version 2, flags 2, memory 8, CPUs 8, reserved 2, count 2, offsets 256, sizes 256, unused 4, CRC 4.
const COUNT: u64 = 26;
const OFFSETS: u64 = 28;
const SIZES: u64 = 284;
const CRC: u64 = 544;

#[cfg(test)]
mod tests {
    use super::*;

    /// Kernel, command line and a RAM disk.
    fn image() -> Vec<u8> {
        let mut header = vec![0; 548];
        let mut body = Vec::new();
        let mut put = |at: u64, bytes: &[u8]| {
            header.splice(
                usize::try_from(at).unwrap()..usize::try_from(at).unwrap().saturating_add(bytes.len()),
                bytes.to_vec(),
            );
        };
        put(0, b".eif\0\x04");
        put(COUNT, &[0, 3]);
        for (slot, content) in [b"kernel".as_slice(), b"cmdline", b"ramdisk"].iter().enumerate() {
            let (slot, size) = (u64::try_from(slot).unwrap(), bytes::length(content));
            put(
                OFFSETS.saturating_add(slot.saturating_mul(8)),
                &HEADER.saturating_add(bytes::length(&body)).to_be_bytes(),
            );
            put(SIZES.saturating_add(slot.saturating_mul(8)), &size.to_be_bytes());
            let kind = u16::try_from(slot).unwrap().saturating_add(1);
            body.extend([&kind.to_be_bytes()[..], &[0, 0], &size.to_be_bytes(), content].concat());
        }
        let crc = crc32(&[&header[..544], &body]);
        header[544..].copy_from_slice(&crc.to_be_bytes());
        [header, body].concat()
    }

    #[test]
    fn the_checksum_is_the_one_that_everybody_uses() {
        assert_eq!(crc32(&[b"1234", b"56789"]), 0xcbf4_3926);
    }

    #[test]
    fn every_truncation_is_refused() {
        let image = image();
        assert_eq!(Eif::parse(&image).unwrap().ramdisks, [b"ramdisk"]);
        for length in 0..image.len() {
            Eif::parse(&image[..length]).unwrap_err();
        }
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let image = image();
        for at in 0..image.len() {
            for bit in 0..8 {
                let mut flipped = image.clone();
                flipped[at] ^= 1 << bit;
                assert!(Eif::parse(&flipped).is_err(), "bit {bit} of byte {at}");
            }
        }
    }
}
