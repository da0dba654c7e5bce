//! MRTD: one SHA-384 over every page that is added and every chunk that is measured, in order.
//!
//! Each operation puts in 128 bytes that name it and the address; measuring a chunk also puts in its 256 bytes
//! (Intel TDX module specification 348549, `TDH.MEM.PAGE.ADD` and `TDH.MR.EXTEND`).

use attest::Digest;
use attest::crypto::{AwsLcRs, Crypto as _};

use super::tdvf::{self, Content, Section};
use crate::measure::bytes;
use crate::measure::firmware::{BadFirmware, Firmware, PAGE};

/// In which order the hypervisor adds and measures the pages of a section.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Order {
    /// Each page is measured when it is added.
    SinglePass,
    /// All pages of a section are added, then all are measured.
    TwoPass,
}

/// Computes MRTD of a trust domain with this firmware.
pub(crate) fn mrtd(firmware: &Firmware<'_>, order: Order) -> Result<Digest<48>, BadFirmware> {
    let mut log = Vec::new();
    for section in tdvf::sections(firmware)? {
        match order {
            Order::SinglePass => (0..section.pages).for_each(|page| {
                add(&mut log, &section, page);
                extend(&mut log, &section, page);
            }),
            Order::TwoPass => {
                (0..section.pages).for_each(|page| add(&mut log, &section, page));
                (0..section.pages).for_each(|page| extend(&mut log, &section, page));
            }
        }
    }
    Ok(AwsLcRs.sha384(&[&log]))
}

fn add(log: &mut Vec<u8>, section: &Section<'_>, page: u64) {
    operation(log, b"MEM.PAGE.ADD\0\0\0\0", section.address.saturating_add(page.saturating_mul(PAGE)));
}

fn extend(log: &mut Vec<u8>, section: &Section<'_>, page: u64) {
    if section.measured == Content::AddressOnly {
        return;
    }
    for chunk in 0..PAGE / CHUNK {
        let at = page.saturating_mul(PAGE).saturating_add(chunk.saturating_mul(CHUNK));
        operation(log, b"MR.EXTEND\0\0\0\0\0\0\0", section.address.saturating_add(at));
        // Behind the content the section is zero.
        let there = bytes::length(section.content).saturating_sub(at).min(CHUNK);
        let content = bytes::range(section.content, at, there).unwrap_or_default();
        let end = log.len().saturating_add(CHUNK_BYTES);
        log.extend(content);
        log.resize(end, 0);
    }
}

/// Name, address and zeros: 128 bytes.
fn operation(log: &mut Vec<u8>, name: &[u8; 16], address: u64) {
    let end = log.len().saturating_add(128);
    log.extend(name);
    log.extend(address.to_le_bytes());
    log.resize(end, 0);
}

const CHUNK: u64 = 256;
const CHUNK_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::super::tdvf::tests::firmware;
    use super::*;

    #[test]
    fn the_order_of_pages_is_part_of_the_measurement() {
        let image = firmware(&[(0, 4096, 0xffff_e000, 8192, 1)]);
        let parsed = Firmware::parse(&image).unwrap();
        let single = mrtd(&parsed, Order::SinglePass).unwrap();
        assert_ne!(single, mrtd(&parsed, Order::TwoPass).unwrap());
    }

    #[test]
    fn no_byte_of_the_metadata_brings_it_down() {
        let image = firmware(&[(0, 4096, 0xffff_e000, 8192, 1), (0, 0, 0, 4096, 0)]);
        for at in (0..80).chain(3900..4096) {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = image.clone();
                changed[at] = value;
                if let Ok(firmware) = Firmware::parse(&changed) {
                    drop(mrtd(&firmware, Order::SinglePass));
                }
            }
        }
    }

    #[test]
    fn one_page_that_is_only_there_puts_in_128_bytes() {
        let image = firmware(&[(0, 0, 0x80_9000, 4096, 0)]);
        let mut expected = b"MEM.PAGE.ADD\0\0\0\0\x00\x90\x80\0\0\0\0\0".to_vec();
        expected.resize(128, 0);
        let parsed = Firmware::parse(&image).unwrap();
        assert_eq!(mrtd(&parsed, Order::TwoPass).unwrap(), AwsLcRs.sha384(&[&expected]));
    }
}
