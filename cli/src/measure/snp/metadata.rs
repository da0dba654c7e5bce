//! What firmware built for SNP says about itself: which pages the launch must have, and where.
//!
//! Untrusted: all of it. Pages are counted before any is hashed.

use crate::measure::bytes::{self, le32};
use crate::measure::firmware::{BadFirmware, Firmware, Guid, PAGE};

/// OVMF's SEV metadata (EDK II, `OvmfPkg/ResetVector/X64/OvmfSevMetadata.asm`).
#[derive(Debug)]
pub(crate) struct Metadata {
    /// In the order in which the hypervisor loads them.
    pub(crate) sections: Vec<Section>,
    /// Where vCPUs but the first begin.
    pub(crate) reset_address: Option<u32>,
    /// Where the hypervisor puts the hashes of kernel, initial RAM disk and command line.
    pub(crate) hash_table: Option<u64>,
}

/// A range of the guest's memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Section {
    pub(crate) address: u64,
    pub(crate) length: u64,
    pub(crate) purpose: Use,
}

/// What a range is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Use {
    /// Memory that is there before the guest accepts any: zero.
    SecMem,
    /// Filled by the AMD firmware.
    Secrets,
    /// Filled by the hypervisor, checked by the AMD firmware.
    Cpuid,
    /// The calling area of a service module.
    SvsmCaa,
    /// Hashes of kernel, initial RAM disk and command line.
    KernelHashes,
}

impl Metadata {
    /// More than any firmware asks for: 256 MiB.
    const MAX_PAGES: u64 = 65_536;

    pub(crate) fn parse(firmware: &Firmware<'_>) -> Result<Self, BadFirmware> {
        let table = firmware.pointed(&SEV_METADATA).ok_or(BadFirmware::NoMetadata("SEV"))??;
        let sections = sections(table).ok_or_else(|| bad("its sections do not fit in its length"))??;
        let pages = sections.iter().map(|section| section.length / PAGE);
        if pages.fold(0_u64, u64::saturating_add) > Self::MAX_PAGES {
            return Err(bad("its sections have more than 65536 pages"));
        }
        Ok(Self {
            sections,
            reset_address: firmware.number(&RESET_BLOCK).filter(|address| *address != 0),
            hash_table: firmware.number(&HASH_TABLE).filter(|address| *address != 0).map(u64::from),
        })
    }
}

/// `None` if the table is shorter than it says.
fn sections(table: &[u8]) -> Option<Result<Vec<Section>, BadFirmware>> {
    let head = (bytes::array(table, 0)?, le32(table, 8)?);
    if head != (*b"ASEV", 1) {
        return Some(Err(bad("expected the signature ASEV and version 1")));
    }
    let (length, count) = (u64::from(le32(table, 4)?), u64::from(le32(table, 12)?));
    let items = bytes::range(table, HEAD, length.checked_sub(HEAD)?)?;
    if count.checked_mul(ITEM)? != bytes::length(items) {
        return None;
    }
    (0..count).map(|index| section(items, index.checked_mul(ITEM)?)).collect()
}

fn section(items: &[u8], at: u64) -> Option<Result<Section, BadFirmware>> {
    let (address, length) = (u64::from(le32(items, at)?), u64::from(le32(items, at.checked_add(4)?)?));
    let purpose = match le32(items, at.checked_add(8)?)? {
        1 => Use::SecMem,
        2 => Use::Secrets,
        3 => Use::Cpuid,
        4 => Use::SvsmCaa,
        0x10 => Use::KernelHashes,
        unknown => return Some(Err(bad(&format!("section of unknown type {unknown:#x}")))),
    };
    let whole = address.is_multiple_of(PAGE) && length.is_multiple_of(PAGE) && length > 0;
    let single = matches!(purpose, Use::Secrets | Use::Cpuid);
    if !whole || (single && length != PAGE) {
        return Some(Err(bad(&format!("section of {length:#x} bytes at {address:#x}"))));
    }
    Some(Ok(Section { address, length, purpose }))
}

fn bad(why: &str) -> BadFirmware {
    BadFirmware::Metadata("SEV", why.to_owned())
}

/// Signature, length, version, count: 4 bytes each.
const HEAD: u64 = 16;
/// Address, length, type: 4 bytes each.
const ITEM: u64 = 12;
/// dc886566-984a-4798-a75e-5585a7bf67cc
const SEV_METADATA: Guid = *b"\x66\x65\x88\xdc\x4a\x98\x98\x47\xa7\x5e\x55\x85\xa7\xbf\x67\xcc";
/// 00f771de-1a7e-4fcb-890e-68c77e2fb44e
const RESET_BLOCK: Guid = *b"\xde\x71\xf7\x00\x7e\x1a\xcb\x4f\x89\x0e\x68\xc7\x7e\x2f\xb4\x4e";
/// 7255371f-3a3b-4b04-927b-1da6efa8d454
const HASH_TABLE: Guid = *b"\x1f\x37\x55\x72\x3b\x3a\x04\x4b\x92\x7b\x1d\xa6\xef\xa8\xd4\x54";

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use super::*;
    use crate::measure::firmware::tests::image;

    fn firmware(items: &[[u32; 3]], claimed: u32) -> Vec<u8> {
        let mut table = b"ASEV".to_vec();
        let length = u32::try_from(16 + 12 * items.len()).unwrap();
        for number in [length, 1, claimed].into_iter().chain(items.iter().flatten().copied()) {
            table.extend(number.to_le_bytes());
        }
        image(&[(SEV_METADATA, 4096_u32.to_le_bytes().to_vec())], &table)
    }

    fn refused(items: &[[u32; 3]], claimed: u32) -> String {
        let image = firmware(items, claimed);
        Metadata::parse(&Firmware::parse(&image).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn a_section_of_unknown_type_is_refused() {
        let found = refused(&[[0x0080_0000, 4096, 5]], 1);
        assert_eq!(found, "SEV metadata is not of a known form: section of unknown type 0x5");
    }

    #[test]
    fn a_count_that_the_length_does_not_hold_is_refused() {
        let expected = "SEV metadata is not of a known form: its sections do not fit in its length";
        assert_eq!(refused(&[[0x0080_0000, 4096, 1]], 2), expected);
        assert_eq!(refused(&[[0x0080_0000, 4096, 1]], u32::MAX), expected);
    }

    #[test]
    fn memory_without_end_is_not_hashed() {
        let expected = "SEV metadata is not of a known form: its sections have more than 65536 pages";
        assert_eq!(refused(&[[0, 0x8000_0000, 1]], 1), expected);
    }

    #[test]
    fn a_cpuid_page_is_one_page() {
        let expected = "SEV metadata is not of a known form: section of 0x2000 bytes at 0x800000";
        assert_eq!(refused(&[[0x0080_0000, 8192, 3]], 1), expected);
    }
}
