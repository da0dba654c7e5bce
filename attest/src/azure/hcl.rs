//! The paravisor's report: the hardware's, and the runtime data that it covers.
//!
//! Layout, little-endian, as `OpenHCL` writes it (`openhcl_attestation_protocol`, `igvm_attest`): a header of 32
//! bytes { "HCLA", version 1 or 2, size of all that follows until the padding plus 32, request type 2, status 0,
//! three reserved words }; 1184 bytes for the hardware's report; at 1216 { size, version 1, report type, hash type,
//! size of the data }; at 1236 the data. Behind them only zeros, because it lies in the TPM's non-volatile memory
//! in an index of fixed size.
//!
//! Untrusted: everything. No byte is left over: what is not interpreted has one permitted value.

use crate::bytes::{Malformed, Reader};
use crate::crypto::Hash;
use crate::snp;

/// A parsed report.
#[derive(Clone, Copy, Debug)]
pub struct Hcl<'a> {
    /// 1 or 2.
    pub version: u32,
    /// What stands in the hardware's place.
    pub report_type: ReportType,
    /// How the runtime data is hashed into the report data.
    pub hash: Hash,
    hardware: &'a [u8],
    runtime: &'a [u8],
}

/// What the hardware's report is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReportType {
    /// An SNP attestation report.
    Snp,
    /// A `TDREPORT`, which only the machine that made it can verify.
    Tdx,
}

impl std::fmt::Display for ReportType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Snp => "an SNP report",
            Self::Tdx => "a TDREPORT",
        })
    }
}

impl<'a> Hcl<'a> {
    /// The longest report that is read: Azure's index has 2600 bytes.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// Checks the shape.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() > Self::MAX_BYTES {
            let (what, expected) = ("length of a paravisor's report", "at most 16384 bytes");
            return Err(Malformed::Value { what, expected, found: bytes.len().to_string() });
        }
        let mut reader = Reader::new(bytes);
        is("signature", "HCLA", u32::from_be_bytes(*b"HCLA"), reader.u32_be()?)?;
        let version = reader.u32_le()?;
        if !(1..=2).contains(&version) {
            return Err(wrong("version of a paravisor's report", "1 or 2", version));
        }
        let size = reader.u32_le()?;
        is("request type", "2 (an attestation key's certificate)", 2, reader.u32_le()?)?;
        is("status", "0", 0, reader.u32_le()?)?;
        for _ in 0..3 {
            is("reserved", "0", 0, reader.u32_le()?)?;
        }
        let hardware = reader.take(snp::Report::LEN)?;
        let (report_type, hash, length) = runtime_header(&mut reader)?;
        let runtime = reader.take(length)?;
        is("size of a paravisor's report", "that of its parts", measure(reader.position())?, size)?;
        only_zeros("padding", reader.take(bytes.len().saturating_sub(reader.position()))?)?;
        if report_type == ReportType::Tdx {
            only_zeros("bytes behind the TDREPORT", hardware.get(TD_REPORT_LEN..).unwrap_or_default())?;
        }
        Ok(Self { version, report_type, hash, hardware, runtime })
    }

    /// The report data in the hardware's report: 64 bytes.
    #[must_use]
    pub fn report_data(&self) -> &'a [u8] {
        let at = match self.report_type {
            ReportType::Snp => SNP_REPORT_DATA,
            ReportType::Tdx => TD_REPORT_DATA,
        };
        self.hardware.get(at..).and_then(|rest| rest.get(..64)).unwrap_or_default()
    }

    /// The hardware's report, if it is an SNP report; 1184 bytes of something else if it is not.
    #[must_use]
    pub fn snp_report(&self) -> &'a [u8] {
        self.hardware
    }

    /// The JSON that the paravisor wrote, as it was received.
    #[must_use]
    pub fn runtime_data(&self) -> &'a [u8] {
        self.runtime
    }
}

fn runtime_header(reader: &mut Reader<'_>) -> Result<(ReportType, Hash, usize), Malformed> {
    let size = reader.u32_le()?;
    is("version of the runtime data", "1", 1, reader.u32_le()?)?;
    let report_type = match reader.u32_le()? {
        2 => ReportType::Snp,
        4 => ReportType::Tdx,
        other => return Err(wrong("report type", "2 (SNP) or 4 (TDX)", other)),
    };
    let hash = match reader.u32_le()? {
        1 => Hash::Sha256,
        2 => Hash::Sha384,
        3 => Hash::Sha512,
        other => return Err(wrong("hash type", "1 (SHA-256), 2 (SHA-384) or 3 (SHA-512)", other)),
    };
    let length = reader.u32_le()?;
    is("size of the runtime data", "the data's and 20", length.saturating_add(20), size)?;
    let length = usize::try_from(length).map_err(|_why| wrong("length", "at most 2^32", length))?;
    Ok((report_type, hash, length))
}

fn is(what: &'static str, words: &'static str, expected: u32, found: u32) -> Result<(), Malformed> {
    if expected == found { Ok(()) } else { Err(wrong(what, words, found)) }
}

fn wrong(what: &'static str, expected: &'static str, found: u32) -> Malformed {
    Malformed::Value { what, expected, found: found.to_string() }
}

fn measure(length: usize) -> Result<u32, Malformed> {
    u32::try_from(length).map_err(|_why| wrong("length", "at most 2^32", u32::MAX))
}

fn only_zeros(what: &'static str, bytes: &[u8]) -> Result<(), Malformed> {
    match bytes.iter().position(|byte| *byte != 0) {
        None => Ok(()),
        Some(at) => Err(Malformed::Value { what, expected: "zeros", found: format!("another byte at {at}") }),
    }
}

/// `TDREPORT_STRUCT` (Intel 344426, section 2.3).
const TD_REPORT_LEN: usize = 1024;
/// In its `REPORTMACSTRUCT`: behind type, reserved bytes, `CPUSVN` and two hashes (section 2.3.1).
const TD_REPORT_DATA: usize = 128;
/// AMD 56860 r1.58, table 23.
const SNP_REPORT_DATA: usize = 0x50;

#[cfg(test)]
mod tests {
    use super::*;

    fn hcl(report_type: u8, json: &[u8], padding: usize) -> Vec<u8> {
        let length = u32::try_from(json.len()).unwrap();
        let word = |value: u32| value.to_le_bytes();
        let head =
            [*b"HCLA", word(2), word(1236_u32.wrapping_add(length)), word(2), [0; 4], [0; 4], [0; 4], [0; 4]]
                .concat();
        let runtime =
            [word(20_u32.wrapping_add(length)), word(1), word(report_type.into()), word(1), word(length)]
                .concat();
        [head, vec![0; 1184], runtime, json.to_vec(), vec![0; padding]].concat()
    }

    fn what(bytes: &[u8]) -> &'static str {
        match Hcl::parse(bytes) {
            Err(Malformed::Value { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_runtime_data_ends_where_its_size_says() {
        let bytes = hcl(2, b"{}", 100);
        let parsed = Hcl::parse(&bytes).unwrap();
        assert_eq!((parsed.runtime_data(), parsed.report_data().len()), (&b"{}"[..], 64));
        assert_eq!((parsed.version, parsed.report_type, parsed.hash), (2, ReportType::Snp, Hash::Sha256));
    }

    #[test]
    fn every_truncation_within_what_is_read_is_refused() {
        let bytes = hcl(4, b"{\"keys\":[]}", 0);
        for length in 0..bytes.len() {
            assert!(Hcl::parse(&bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn every_flipped_bit_outside_the_report_and_the_data_is_refused() {
        let bytes = hcl(4, b"{}", 40);
        let parts = (0..32).chain(32 + 1024..1236).chain(1238..bytes.len());
        for (at, bit) in parts.flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            // Another hash of the same length is caught by the digest itself.
            let other_hash = at == 1228 && Hcl::parse(&flipped).is_ok_and(|found| found.hash != Hash::Sha256);
            assert!(other_hash || Hcl::parse(&flipped).is_err(), "byte {at} bit {bit}");
        }
    }

    #[test]
    fn a_claimed_size_of_4_gib_reads_nothing() {
        let mut bytes = hcl(2, b"{}", 0);
        bytes[1232..1236].fill(0xff);
        assert_eq!(what(&bytes), "size of the runtime data");
        bytes[1216..1220].fill(0xff);
        assert!(matches!(Hcl::parse(&bytes), Err(Malformed::Truncated { .. })));
        assert_eq!(what(&vec![0; 20_000]), "length of a paravisor's report");
        assert_eq!(what(&hcl(3, b"{}", 0)), "report type");
    }
}
