//! OVMF and its relatives: where the image lies in memory, and the table of GUIDs at its end.
//!
//! The table stands 32 bytes before the end of the image and is read backwards: each entry ends in its own length
//! and GUID (EDK II, `OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.asm`). SNP and TDX both find their metadata in it.
//!
//! Untrusted: the whole image.

use super::bytes::{self, le16, le32};
use crate::answer::NotJudged;

/// An image that ends at 4 GiB, as firmware for virtual machines does.
#[derive(Debug)]
pub(crate) struct Firmware<'f> {
    bytes: &'f [u8],
    entries: Vec<(Guid, &'f [u8])>,
}

/// A GUID as it lies in memory: its first three fields little-endian.
pub(crate) type Guid = [u8; 16];

impl<'f> Firmware<'f> {
    /// Larger than any flash of a virtual machine.
    const LIMIT: u64 = 64 * 1024 * 1024;

    pub(crate) fn parse(bytes: &'f [u8]) -> Result<Self, BadFirmware> {
        let length = bytes::length(bytes);
        if length == 0 || !length.is_multiple_of(PAGE) || length > Self::LIMIT {
            return Err(BadFirmware::Length(length));
        }
        let end = length.saturating_sub(BEHIND_TABLE);
        let (footer, total) = entry_head(bytes, end).ok_or(BadFirmware::NoTable)?;
        if footer != TABLE_FOOTER {
            return Err(BadFirmware::NoTable);
        }
        let end = end.saturating_sub(ENTRY_HEAD);
        let length = total.checked_sub(ENTRY_HEAD).ok_or(BadFirmware::Table)?;
        let start = end.checked_sub(length).ok_or(BadFirmware::Table)?;
        let table = bytes::range(bytes, start, length).ok_or(BadFirmware::Table)?;
        Ok(Self { bytes, entries: entries(table)? })
    }

    /// The image.
    pub(crate) fn bytes(&self) -> &'f [u8] {
        self.bytes
    }

    /// Where its first byte lies in the guest's memory.
    pub(crate) fn address(&self) -> u64 {
        FOUR_GIB.saturating_sub(bytes::length(self.bytes))
    }

    /// What the table says under this GUID.
    pub(crate) fn entry(&self, guid: &Guid) -> Option<&'f [u8]> {
        self.entries.iter().find(|(found, _)| found == guid).map(|(_, content)| *content)
    }

    /// The number that the table says under this GUID. An entry may have more behind it.
    pub(crate) fn number(&self, guid: &Guid) -> Option<u32> {
        self.entry(guid).and_then(|content| le32(content, 0))
    }

    /// The part of the image whose distance from the image's end stands under this GUID.
    pub(crate) fn pointed(&self, guid: &Guid) -> Option<Result<&'f [u8], BadFirmware>> {
        let distance = u64::from(self.number(guid)?);
        let start = bytes::length(self.bytes).checked_sub(distance);
        let part = start.and_then(|start| bytes::range(self.bytes, start, distance));
        Some(part.ok_or(BadFirmware::Pointer(distance)))
    }
}

fn entries(table: &[u8]) -> Result<Vec<(Guid, &[u8])>, BadFirmware> {
    let mut found: Vec<(Guid, &[u8])> = Vec::new();
    let mut end = bytes::length(table);
    while end > 0 {
        let (guid, length) = entry_head(table, end).ok_or(BadFirmware::Table)?;
        let content = length.checked_sub(ENTRY_HEAD).ok_or(BadFirmware::Table)?;
        let start = end.checked_sub(length).ok_or(BadFirmware::Table)?;
        if found.iter().any(|(other, _)| *other == guid) {
            return Err(BadFirmware::Twice(hex::encode(guid)));
        }
        found.push((guid, bytes::range(table, start, content).ok_or(BadFirmware::Table)?));
        end = start;
    }
    Ok(found)
}

/// The GUID and the length of the entry that ends at `end`; the length counts both.
fn entry_head(bytes: &[u8], end: u64) -> Option<(Guid, u64)> {
    let head = end.checked_sub(ENTRY_HEAD)?;
    Some((bytes::array(bytes, head.checked_add(2)?)?, u64::from(le16(bytes, head)?)))
}

/// Why an image is no firmware that can be measured.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BadFirmware {
    #[error("expected whole pages of 4096 bytes, at most 64 MiB, found {0} bytes")]
    Length(u64),
    #[error("expected OVMF's GUID table at the end of the image, found none")]
    NoTable,
    #[error("an entry of the firmware's GUID table is longer than the table, or shorter than its head")]
    Table,
    #[error("the firmware's GUID table names {0} twice")]
    Twice(String),
    #[error("the firmware's metadata would begin {0} bytes before its end, which is outside of it")]
    Pointer(u64),
    #[error("expected {0} metadata in the firmware, found none: it is not built for it")]
    NoMetadata(&'static str),
    #[error("{0} metadata is not of a known form: {1}")]
    Metadata(&'static str, String),
    #[error(
        "the firmware measures no kernel: it has no place for the hashes of --kernel, --initrd and --append"
    )]
    NoKernelHashes,
    #[error("the firmware names no reset address for further vCPUs")]
    NoResetAddress,
}

impl From<BadFirmware> for NotJudged {
    fn from(error: BadFirmware) -> Self {
        let code = match &error {
            BadFirmware::Length(_) => "firmware.length",
            BadFirmware::NoTable => "firmware.no_table",
            BadFirmware::Table | BadFirmware::Twice(_) | BadFirmware::Pointer(_) => "firmware.table",
            BadFirmware::NoMetadata(_) => "firmware.no_metadata",
            BadFirmware::Metadata(..) => "firmware.metadata",
            BadFirmware::NoKernelHashes => "firmware.no_kernel_hashes",
            BadFirmware::NoResetAddress => "firmware.no_reset_address",
        };
        Self::new(code, error.to_string())
    }
}

/// The unit of measurement of both SNP and TDX.
pub(crate) const PAGE: u64 = 4096;
const FOUR_GIB: u64 = 1 << 32;
/// The reset vector stands between the table and the end.
const BEHIND_TABLE: u64 = 32;
/// Length (u16) and GUID.
const ENTRY_HEAD: u64 = 18;
/// 96b582de-1fb2-45f7-baea-a366c55a082d
const TABLE_FOOTER: Guid = *b"\xde\x82\xb5\x96\xb2\x1f\xf7\x45\xba\xea\xa3\x66\xc5\x5a\x08\x2d";

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests")]
pub(crate) mod tests {
    use super::*;

    /// A page of firmware whose table has these entries, the last one nearest to the end.
    pub(crate) fn image(entries: &[(Guid, Vec<u8>)], body: &[u8]) -> Vec<u8> {
        let mut table = Vec::new();
        for (guid, content) in entries {
            table.extend(content);
            table.extend(u16::try_from(content.len() + 18).unwrap().to_le_bytes());
            table.extend(guid);
        }
        table.extend(u16::try_from(table.len() + 18).unwrap().to_le_bytes());
        table.extend(TABLE_FOOTER);
        let mut image = body.to_vec();
        image.resize(4096 - 32 - table.len(), 0);
        image.extend(table);
        image.extend([0x90; 32]);
        image
    }

    #[test]
    fn entries_are_found_from_the_end() {
        let image = image(&[([1; 16], vec![4, 0, 0, 0]), ([2; 16], vec![9, 9])], b"body");
        let firmware = Firmware::parse(&image).unwrap();
        assert_eq!(firmware.address(), 0xffff_f000);
        assert_eq!(firmware.entry(&[2; 16]), Some(&[9, 9][..]));
        assert_eq!(firmware.number(&[1; 16]), Some(4));
        assert_eq!(firmware.pointed(&[1; 16]), Some(Ok(&[0x90; 4][..])));
        assert_eq!(firmware.entry(&[3; 16]), None);
    }

    #[test]
    fn a_guid_that_stands_twice_is_refused() {
        let image = image(&[([1; 16], vec![0; 4]), ([1; 16], vec![1; 4])], b"");
        assert_eq!(Firmware::parse(&image).unwrap_err(), BadFirmware::Twice(hex::encode([1; 16])));
    }

    #[test]
    fn a_table_longer_than_the_image_is_refused() {
        let mut image = image(&[], b"");
        image[4096 - 50..][..2].copy_from_slice(&[0xff, 0xff]);
        assert_eq!(Firmware::parse(&image).unwrap_err(), BadFirmware::Table);
    }

    #[test]
    fn part_of_a_page_is_no_firmware() {
        assert_eq!(Firmware::parse(&[0; 4095]).unwrap_err(), BadFirmware::Length(4095));
        assert_eq!(Firmware::parse(&[]).unwrap_err(), BadFirmware::Length(0));
        assert_eq!(Firmware::parse(&[0; 4096]).unwrap_err(), BadFirmware::NoTable);
    }
}
