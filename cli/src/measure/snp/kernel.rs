//! The page by which firmware recognises the kernel, initial RAM disk and command line that it is given.
//!
//! QEMU writes the table, the launch measures it, firmware compares (QEMU, `target/i386/sev.c`; EDK II,
//! `OvmfPkg/Library/BlobVerifierLibSevHashes`).

use attest::Digest;
use attest::crypto::{AwsLcRs, Crypto as _};

use super::launch::PAGE_BYTES;
use crate::measure::firmware::Guid;

/// What the hypervisor boots, by digests.
#[derive(Debug)]
pub(crate) struct Hashes {
    kernel: Digest<32>,
    initrd: Digest<32>,
    cmdline: Digest<32>,
}

impl Hashes {
    /// Without an initial RAM disk or a command line, the empty one is hashed.
    pub(crate) fn of(kernel: &[u8], initrd: &[u8], cmdline: &str) -> Self {
        Self {
            kernel: AwsLcRs.sha256(&[kernel]),
            initrd: AwsLcRs.sha256(&[initrd]),
            cmdline: AwsLcRs.sha256(&[cmdline.as_bytes(), b"\0"]),
        }
    }

    /// The page, with the table at this offset; none if it does not fit.
    pub(crate) fn page(&self, offset: u64) -> Option<Vec<u8>> {
        let mut page = vec![0; usize::try_from(offset).ok()?];
        page.extend(entry(HEADER, TABLE_LENGTH, &[]));
        for (guid, digest) in [(CMDLINE, &self.cmdline), (INITRD, &self.initrd), (KERNEL, &self.kernel)] {
            page.extend(entry(guid, ENTRY_LENGTH, &digest.0));
        }
        let fits = page.len() <= PAGE_BYTES;
        page.resize(PAGE_BYTES, 0);
        fits.then_some(page)
    }
}

fn entry(guid: Guid, length: u16, content: &[u8]) -> Vec<u8> {
    [&guid[..], &length.to_le_bytes(), content].concat()
}

/// GUID, length and digest.
const ENTRY_LENGTH: u16 = 50;
/// GUID and length, then three entries.
const TABLE_LENGTH: u16 = 168;
/// 9438d606-4f22-4cc9-b479-a793d411fd21
const HEADER: Guid = *b"\x06\xd6\x38\x94\x22\x4f\xc9\x4c\xb4\x79\xa7\x93\xd4\x11\xfd\x21";
/// 4de79437-abd2-427f-b835-d5b172d2045b
const KERNEL: Guid = *b"\x37\x94\xe7\x4d\xd2\xab\x7f\x42\xb8\x35\xd5\xb1\x72\xd2\x04\x5b";
/// 44baf731-3a2f-4bd7-9af1-41e29169781d
const INITRD: Guid = *b"\x31\xf7\xba\x44\x2f\x3a\xd7\x4b\x9a\xf1\x41\xe2\x91\x69\x78\x1d";
/// 97d02dd8-bd20-4c94-aa78-e7714d36ab2a
const CMDLINE: Guid = *b"\xd8\x2d\xd0\x97\x20\xbd\x94\x4c\xaa\x78\xe7\x71\x4d\x36\xab\x2a";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_across_two_pages_is_not_written() {
        let hashes = Hashes::of(b"kernel", b"", "");
        assert!(hashes.page(4096 - 168).is_some());
        assert!(hashes.page(4096 - 167).is_none());
    }
}
