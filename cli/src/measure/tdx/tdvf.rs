//! What firmware built for TDX says about itself: which memory a trust domain is built from.
//!
//! Untrusted: all of it. Pages are counted before any is hashed.

use crate::measure::bytes::{self, le32, le64};
use crate::measure::firmware::{BadFirmware, Firmware, Guid, PAGE};

/// A range of the trust domain's memory (Intel TDX virtual firmware design guide 344991-004, table 11-2).
#[derive(Debug)]
pub(crate) struct Section<'f> {
    /// Where it lies.
    pub(crate) address: u64,
    /// How many pages it has.
    pub(crate) pages: u64,
    /// What the image puts at its beginning; the rest is zero.
    pub(crate) content: &'f [u8],
    /// Whether its content is measured, or only that it is there.
    pub(crate) measured: Content,
}

/// What goes into MRTD.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Content {
    /// Address and content.
    Measured,
    /// The address only.
    AddressOnly,
}

/// The sections that are there at the start, in the order of the metadata.
pub(crate) fn sections<'f>(firmware: &Firmware<'f>) -> Result<Vec<Section<'f>>, BadFirmware> {
    let table = firmware.pointed(&TDVF_METADATA).ok_or(BadFirmware::NoMetadata("TDX"))??;
    let items = items(table).ok_or_else(|| bad("its sections do not fit in its length"))??;
    let mut sections = Vec::new();
    for item in items.chunks(usize::try_from(ITEM).unwrap_or(usize::MAX)) {
        sections.extend(section(item, firmware.bytes()).ok_or_else(|| bad("a section is cut off"))??);
    }
    let pages = sections.iter().map(|section: &Section<'_>| section.pages);
    if pages.fold(0_u64, u64::saturating_add) > MAX_PAGES {
        return Err(bad("its sections have more than 65536 pages"));
    }
    Ok(sections)
}

/// `None` if the table is shorter than it says.
fn items(table: &[u8]) -> Option<Result<&[u8], BadFirmware>> {
    if (bytes::array(table, 0)?, le32(table, 8)?) != (*b"TDVF", 1) {
        return Some(Err(bad("expected the signature TDVF and version 1")));
    }
    let (length, count) = (u64::from(le32(table, 4)?), u64::from(le32(table, 12)?));
    let items = count.checked_mul(ITEM)?;
    if length != HEAD.checked_add(items)? {
        return None;
    }
    bytes::range(table, HEAD, items).map(Ok)
}

/// `Some(Ok(None))` for memory that the guest accepts later.
fn section<'f>(item: &[u8], image: &'f [u8]) -> Option<Result<Option<Section<'f>>, BadFirmware>> {
    let (offset, raw) = (u64::from(le32(item, 0)?), u64::from(le32(item, 4)?));
    let (address, length) = (le64(item, 8)?, le64(item, 16)?);
    let attributes = le32(item, 28)?;
    if attributes & !(MR_EXTEND | PAGE_AUG) != 0 {
        return Some(Err(bad(&format!("section with unknown attributes {attributes:#x}"))));
    }
    let whole = address.is_multiple_of(PAGE) && length.is_multiple_of(PAGE) && raw <= length;
    if !whole || address.checked_add(length).is_none() {
        return Some(Err(bad(&format!("section of {length:#x} bytes at {address:#x}"))));
    }
    let Some(content) = bytes::range(image, offset, raw) else {
        return Some(Err(bad(&format!("section with {raw:#x} bytes at {offset:#x} of the image"))));
    };
    let measured = if attributes & MR_EXTEND == 0 { Content::AddressOnly } else { Content::Measured };
    let section = Section { address, pages: length / PAGE, content, measured };
    Some(Ok((attributes & PAGE_AUG == 0).then_some(section)))
}

fn bad(why: &str) -> BadFirmware {
    BadFirmware::Metadata("TDX", why.to_owned())
}

/// More than any firmware asks for: 256 MiB.
const MAX_PAGES: u64 = 65_536;
/// Signature, length, version, count: 4 bytes each.
const HEAD: u64 = 16;
/// Offset and size in the image, address and size in memory, type, attributes.
const ITEM: u64 = 32;
const MR_EXTEND: u32 = 1;
const PAGE_AUG: u32 = 2;
/// e47a6535-984a-4798-865e-4685a7bf8ec2
const TDVF_METADATA: Guid = *b"\x35\x65\x7a\xe4\x4a\x98\x98\x47\x86\x5e\x46\x85\xa7\xbf\x8e\xc2";

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests")]
pub(crate) mod tests {
    use super::*;
    use crate::measure::firmware::tests::image;

    /// An image of one page with these sections: offset, raw size, address, size, attributes.
    pub(crate) fn firmware(items: &[(u32, u32, u64, u64, u32)]) -> Vec<u8> {
        let mut table = b"TDVF".to_vec();
        let count = u32::try_from(items.len()).unwrap();
        for number in [16 + 32 * count, 1, count] {
            table.extend(number.to_le_bytes());
        }
        for (offset, raw, address, length, attributes) in items {
            table.extend([offset.to_le_bytes(), raw.to_le_bytes()].concat());
            table.extend([address.to_le_bytes(), length.to_le_bytes()].concat());
            table.extend([0_u32.to_le_bytes(), attributes.to_le_bytes()].concat());
        }
        image(&[(TDVF_METADATA, 4096_u32.to_le_bytes().to_vec())], &table)
    }

    fn refused(item: (u32, u32, u64, u64, u32)) -> String {
        let image = firmware(&[item]);
        sections(&Firmware::parse(&image).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn memory_that_is_accepted_later_is_not_measured() {
        let image = firmware(&[(0, 0, 0, 0x8000_0000, PAGE_AUG), (0, 4096, 0xffff_f000, 4096, MR_EXTEND)]);
        let found = sections(&Firmware::parse(&image).unwrap()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].pages, found[0].measured), (1, Content::Measured));
    }

    #[test]
    fn content_outside_of_the_image_is_refused() {
        let expected = "TDX metadata is not of a known form: section with 0x1000 bytes at 0x1 of the image";
        assert_eq!(refused((1, 4096, 0, 4096, MR_EXTEND)), expected);
    }

    #[test]
    fn memory_without_end_is_not_hashed() {
        let expected = "TDX metadata is not of a known form: its sections have more than 65536 pages";
        assert_eq!(refused((0, 0, 0, 1 << 40, 0)), expected);
        let expected = "TDX metadata is not of a known form: section of 0x2000 bytes at 0xfffffffffffff000";
        assert_eq!(refused((0, 0, u64::MAX - 4095, 8192, 0)), expected);
    }

    #[test]
    fn an_attribute_that_nobody_knows_is_refused() {
        let expected = "TDX metadata is not of a known form: section with unknown attributes 0x4";
        assert_eq!(refused((0, 0, 0, 4096, 4)), expected);
    }
}
