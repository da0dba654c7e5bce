//! PE images: their sections, and the digest under which firmware loads and measures them.
//!
//! The digest is Authenticode's (Microsoft, "Windows Authenticode Portable Executable Signature Format", and EDK II's
//! `SecurityPkg/Tcg/Tcg2Dxe/MeasureBootPeCoff.c`, which is what measures): the file without checksum and signatures.
//!
//! Untrusted: the file. What firmware would not load, or hash in a way of its own, is refused.

use super::bank::Bank;
use super::bytes::{self, le16, le32};
use crate::answer::NotJudged;

/// An image, its headers read.
#[derive(Debug)]
pub(crate) struct Image<'f> {
    file: &'f [u8],
    /// Where the 4 bytes of the checksum are.
    checksum: u64,
    /// Where the 8 bytes are that say where the signatures are.
    security: Option<u64>,
    signatures: u64,
    headers: u64,
    sections: Vec<Section<'f>>,
}

/// A section.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Section<'f> {
    name: [u8; 8],
    /// How long it is in memory.
    virtual_size: u64,
    offset: u64,
    raw: &'f [u8],
}

impl<'f> Image<'f> {
    pub(crate) fn parse(file: &'f [u8]) -> Result<Self, BadImage> {
        let dos = bytes::array(file, 0).ok_or(BadImage::NotPe)?;
        let pe = u64::from(le32(file, 0x3c).ok_or(BadImage::NotPe)?);
        let signature = bytes::array(file, pe).ok_or(BadImage::NotPe)?;
        if dos != *b"MZ" || signature != *b"PE\0\0" {
            return Err(BadImage::NotPe);
        }
        let image = Self::headers(file, pe).ok_or(BadImage::CutOff)??;
        image.contiguous()?;
        Ok(image)
    }

    /// `None` if the file ends before the headers do.
    fn headers(file: &'f [u8], pe: u64) -> Option<Result<Self, BadImage>> {
        let coff = pe.checked_add(4)?;
        let count = le16(file, coff.checked_add(2)?)?;
        let optional = coff.checked_add(20)?;
        let optional_size = u64::from(le16(file, coff.checked_add(16)?)?);
        let directories = match le16(file, optional)? {
            0x10b => 96_u64,
            0x20b => 112,
            unknown => return Some(Err(BadImage::Magic(unknown))),
        };
        let headers = u64::from(le32(file, optional.checked_add(60)?)?);
        let known = le32(file, optional.checked_add(directories.checked_sub(4)?)?)?;
        // The certificate table is the fifth directory.
        let security = optional.checked_add(directories)?.checked_add(4_u64.checked_mul(8)?)?;
        let security = (known > 4).then_some(security);
        let table = optional.checked_add(optional_size)?;
        let end = u64::from(count).checked_mul(SECTION)?.checked_add(table)?;
        if security.is_some_and(|at| at.saturating_add(8) > table) || end > headers {
            return Some(Err(BadImage::Headers));
        }
        bytes::range(file, 0, headers)?;
        let signatures = match security.map(|at| signatures(file, at)).transpose() {
            Ok(length) => length.unwrap_or(0),
            Err(bad) => return Some(Err(bad)),
        };
        let mut sections = Vec::new();
        for index in 0..u64::from(count) {
            match section(file, table.checked_add(index.checked_mul(SECTION)?)?)? {
                Ok(section) => sections.push(section),
                Err(bad) => return Some(Err(bad)),
            }
        }
        let checksum = optional.checked_add(64)?;
        Some(Ok(Self { file, checksum, security, signatures, headers, sections }))
    }

    /// Sections neither overlap each other nor the headers, nor reach into the signatures: else parts of the file
    /// would be hashed twice or not at all.
    fn contiguous(&self) -> Result<(), BadImage> {
        let mut end = self.headers;
        for section in self.in_file_order() {
            if section.offset < end {
                return Err(BadImage::Overlap(section.title()));
            }
            end = section.offset.saturating_add(bytes::length(section.raw));
        }
        if end > bytes::length(self.file).saturating_sub(self.signatures) {
            return Err(BadImage::Signatures);
        }
        Ok(())
    }

    /// The sections that the file has bytes of.
    fn in_file_order(&self) -> Vec<&Section<'f>> {
        let mut sections: Vec<_> = self.sections.iter().filter(|section| !section.raw.is_empty()).collect();
        sections.sort_by_key(|section| section.offset);
        sections
    }

    /// The Authenticode digest.
    pub(crate) fn digest(&self, hash: Bank) -> Vec<u8> {
        let part =
            |from: u64, to: u64| bytes::range(self.file, from, to.saturating_sub(from)).unwrap_or_default();
        let behind_checksum = self.checksum.saturating_add(4);
        let mut parts = vec![part(0, self.checksum)];
        match self.security {
            Some(at) => {
                parts.push(part(behind_checksum, at));
                parts.push(part(at.saturating_add(8), self.headers));
            }
            None => parts.push(part(behind_checksum, self.headers)),
        }
        let mut hashed = self.headers;
        for section in self.in_file_order() {
            parts.push(section.raw);
            hashed = hashed.saturating_add(bytes::length(section.raw));
        }
        // EDK II counts what it has hashed and goes on from there, gaps between sections or not.
        parts.push(part(hashed, bytes::length(self.file).saturating_sub(self.signatures)));
        hash.hash(&parts)
    }

    /// Whether signatures are appended.
    pub(crate) fn is_signed(&self) -> bool {
        self.signatures > 0
    }

    /// The content of the section with this name, as the loaded image has it.
    pub(crate) fn section(&self, name: &str) -> Result<Option<&'f [u8]>, BadImage> {
        let mut named = self.sections.iter().filter(|section| section.is_named(name));
        match (named.next(), named.next()) {
            (None, _) => Ok(None),
            (Some(section), None) => section.content().map(Some),
            (Some(_), Some(_)) => Err(BadImage::Twice(name.to_owned())),
        }
    }
}

impl<'f> Section<'f> {
    fn is_named(&self, name: &str) -> bool {
        let found = self.name.iter().position(|byte| *byte == 0).unwrap_or(self.name.len());
        self.name.get(..found) == Some(name.as_bytes())
    }

    fn title(&self) -> String {
        String::from_utf8_lossy(&self.name).trim_end_matches('\0').to_owned()
    }

    fn content(&self) -> Result<&'f [u8], BadImage> {
        // Longer in memory would mean zeros behind it that no file shows; no tool that builds images does that.
        bytes::range(self.raw, 0, self.virtual_size).ok_or_else(|| BadImage::Longer(self.title()))
    }
}

/// How many bytes of signatures there are: at the end of the file, or not at all.
fn signatures(file: &[u8], at: u64) -> Result<u64, BadImage> {
    let offset = u64::from(le32(file, at).ok_or(BadImage::CutOff)?);
    let length = u64::from(le32(file, at.saturating_add(4)).ok_or(BadImage::CutOff)?);
    let ends = offset.checked_add(length) == Some(bytes::length(file));
    if length == 0 || ends { Ok(length) } else { Err(BadImage::Signatures) }
}

fn section(file: &[u8], at: u64) -> Option<Result<Section<'_>, BadImage>> {
    let name = bytes::array(file, at)?;
    let virtual_size = u64::from(le32(file, at.checked_add(8)?)?);
    let length = u64::from(le32(file, at.checked_add(16)?)?);
    let offset = u64::from(le32(file, at.checked_add(20)?)?);
    let raw = if length == 0 { Some(&[][..]) } else { bytes::range(file, offset, length) };
    let section = raw.map(|raw| Section { name, virtual_size, offset, raw });
    Some(
        section.ok_or_else(|| {
            BadImage::Outside(String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned())
        }),
    )
}

/// Why a file is no image that can be measured.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BadImage {
    #[error("expected a PE image (MZ, then PE), found something else")]
    NotPe,
    #[error("the image ends before its headers do")]
    CutOff,
    #[error("expected an optional header of magic 0x10b or 0x20b, found {0:#x}")]
    Magic(u16),
    #[error("the image's headers are longer than they say")]
    Headers,
    #[error("section {0:?} lies outside of the file")]
    Outside(String),
    #[error("section {0:?} overlaps the headers or another section")]
    Overlap(String),
    #[error("the signatures are not what the file ends with")]
    Signatures,
    #[error("section {0:?} stands twice")]
    Twice(String),
    #[error("section {0:?} is longer in memory than in the file")]
    Longer(String),
}

impl From<BadImage> for NotJudged {
    fn from(error: BadImage) -> Self {
        let code = match &error {
            BadImage::NotPe => "pe.not_pe",
            BadImage::CutOff => "pe.cut_off",
            BadImage::Magic(_) | BadImage::Headers => "pe.headers",
            BadImage::Outside(_) | BadImage::Overlap(_) | BadImage::Twice(_) | BadImage::Longer(_) => {
                "pe.section"
            }
            BadImage::Signatures => "pe.signatures",
        };
        Self::new(code, error.to_string())
    }
}

/// The length of a section's header.
const SECTION: u64 = 40;

#[cfg(test)]
mod tests {
    use super::*;

    /// A PE32+ image with two sections, the second one first in the file, and 8 bytes of signatures.
    fn image() -> Vec<u8> {
        let mut image = vec![0; 0x240];
        let mut put = |at: usize, bytes: &[u8]| {
            image.splice(at..at.saturating_add(bytes.len()), bytes.to_vec());
        };
        put(0, b"MZ");
        put(0x3c, &0x40_u32.to_le_bytes());
        put(0x40, b"PE\0\0\x64\x86\x02\0");
        put(0x54, &240_u16.to_le_bytes());
        put(0x58, &0x20b_u16.to_le_bytes());
        put(0x58 + 60, &0x200_u32.to_le_bytes());
        put(0x58 + 108, &16_u32.to_le_bytes());
        put(0x58 + 112 + 32, &[0x240_u32.to_le_bytes(), 8_u32.to_le_bytes()].concat());
        for (at, name, size, offset) in
            [(0x148, b".late\0\0\0", 0x20_u32, 0x220_u32), (0x170, b".early\0\0", 0x20, 0x200)]
        {
            put(at, name);
            put(at.saturating_add(8), &0x18_u32.to_le_bytes());
            put(at.saturating_add(16), &[size.to_le_bytes(), offset.to_le_bytes()].concat());
        }
        put(0x200, &[1; 0x20]);
        put(0x220, &[2; 0x20]);
        image.extend(b"signed!!");
        image
    }

    #[test]
    fn checksum_and_signatures_are_not_hashed_and_nothing_else_is_left_out() {
        let image = image();
        let digest = |image: &[u8]| Image::parse(image).map(|image| image.digest(Bank::Sha256));
        let whole = digest(&image).unwrap();
        for at in 0..image.len() {
            let mut changed = image.clone();
            changed[at] ^= 0x80;
            let skipped = (0x58 + 64..0x58 + 68).contains(&at) || at >= 0x240;
            // A change either shows in the digest, or the image is no longer one.
            assert_eq!(digest(&changed) == Ok(whole.clone()), skipped, "byte {at:#x}");
        }
    }

    #[test]
    fn every_truncation_is_refused() {
        let image = image();
        for length in 0..image.len() {
            Image::parse(&image[..length]).unwrap_err();
        }
    }

    #[test]
    fn no_four_bytes_of_the_headers_bring_it_down() {
        for value in [0, 1, 0x1ff, 0x241, 0x7fff_ffff, u32::MAX] {
            for at in 0..0x198_usize {
                let mut changed = image();
                changed.splice(at..at.saturating_add(4), value.to_le_bytes());
                if let Ok(image) = Image::parse(&changed) {
                    image.digest(Bank::Sha384);
                    image.section(".late").unwrap_or_default();
                }
            }
        }
    }

    #[test]
    fn sections_that_overlap_are_refused() {
        let mut image = image();
        image.splice(0x148 + 20..0x148 + 24, 0x210_u32.to_le_bytes());
        assert_eq!(Image::parse(&image).unwrap_err(), BadImage::Overlap(".late".to_owned()));
    }

    #[test]
    fn a_section_is_as_long_as_in_memory() {
        let image = image();
        let image = Image::parse(&image).unwrap();
        assert_eq!(image.section(".early"), Ok(Some(&[1; 0x18][..])));
        assert_eq!(image.section(".earl"), Ok(None));
    }
}
