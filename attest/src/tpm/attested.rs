//! `TPMS_ATTEST`: the bytes that the key signed.
//!
//! TPM 2.0 Part 2, clause 10.12.12. Only a quote is read to its end. Anything else that the key signed (a
//! certified key, a time, bytes that no TPM made) is kept as its first six bytes, so that the refusal can say
//! what it is.
//!
//! Untrusted: everything here.

use super::algorithm;
use crate::bytes::{Malformed, Reader};
use crate::crypto::Hash;

/// `TPM_GENERATED_VALUE`: a restricted key signs only what begins so if the TPM made it.
pub(super) const MAGIC: u32 = 0xff54_4347;
/// `TPM_ST_ATTEST_QUOTE`.
pub(super) const QUOTE: u16 = 0x8018;

/// What was signed.
#[derive(Clone, Debug)]
pub(super) struct Attested {
    pub(super) magic: u32,
    pub(super) kind: u16,
    /// The quote, if magic and kind say that it is one.
    pub(super) quote: Option<Fields>,
}

/// The fields of a quote's `TPMS_ATTEST`.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Fields {
    /// The qualified name of the signing key, as hex in text.
    #[serde(serialize_with = "hex_text")]
    pub qualified_signer: Vec<u8>,
    /// The caller's bytes ("qualifying data", the nonce), as hex in text.
    #[serde(serialize_with = "hex_text")]
    pub extra_data: Vec<u8>,
    /// Time and boot counters.
    pub clock: ClockInfo,
    /// The vendor's number of the TPM's firmware, as 16 hex digits in text.
    #[serde(serialize_with = "hex_u64")]
    pub firmware_version: u64,
    /// Which PCRs the digest covers, in its order.
    pub selection: Vec<Selection>,
    /// The digest of the selected PCRs, as hex in text. Its hash is the signature's, not the bank's.
    #[serde(serialize_with = "hex_text")]
    pub pcr_digest: Vec<u8>,
}

/// `TPMS_CLOCK_INFO` (Part 2, clause 10.11.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
pub struct ClockInfo {
    /// Milliseconds that the TPM was powered.
    pub clock: u64,
    /// How often it was reset: another value is another boot.
    pub reset_count: u32,
    /// How often it was resumed or restarted since the reset.
    pub restart_count: u32,
    /// Whether no later time was ever reported.
    pub safe: bool,
}

/// `TPMS_PCR_SELECTION` (Part 2, clause 10.6.2).
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Selection {
    /// The bank.
    pub bank: Hash,
    /// The selected PCRs of it, ascending.
    pub indices: Vec<u32>,
}

impl Attested {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let (magic, kind) = (reader.u32_be()?, reader.u16_be()?);
        if magic != MAGIC || kind != QUOTE {
            return Ok(Self { magic, kind, quote: None });
        }
        let quote = Some(Fields::parse(reader)?);
        Ok(Self { magic, kind, quote })
    }
}

impl Fields {
    /// Reads what follows magic and type, to the end.
    fn parse(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let fields = Self {
            qualified_signer: reader.tpm2b()?.to_vec(),
            extra_data: reader.tpm2b()?.to_vec(),
            clock: ClockInfo::parse(&mut reader)?,
            firmware_version: reader.u64_be()?,
            selection: selections(&mut reader)?,
            pcr_digest: reader.tpm2b()?.to_vec(),
        };
        reader.finish()?;
        Ok(fields)
    }

    /// The selected PCRs, in the order in which the digest covers them.
    pub fn selected(&self) -> impl Iterator<Item = (Hash, u32)> + '_ {
        self.selection.iter().flat_map(|part| part.indices.iter().map(|index| (part.bank, *index)))
    }
}

impl ClockInfo {
    fn parse(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            clock: reader.u64_be()?,
            reset_count: reader.u32_be()?,
            restart_count: reader.u32_be()?,
            safe: yes_or_no(reader.u8()?)?,
        })
    }
}

/// `TPMI_YES_NO` (Part 2, clause 9.2).
fn yes_or_no(byte: u8) -> Result<bool, Malformed> {
    match byte {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed::Value { what: "clock safe", expected: "0 or 1", found: byte.to_string() }),
    }
}

/// `TPML_PCR_SELECTION` (Part 2, clause 10.9.7): at most one selection for each bank that a TPM can have.
fn selections(reader: &mut Reader<'_>) -> Result<Vec<Selection>, Malformed> {
    let count = reader.u32_be()?;
    if count > MAX_SELECTIONS {
        let (what, expected) = ("PCR selections", "at most 16");
        return Err(Malformed::Value { what, expected, found: count.to_string() });
    }
    let mut found = Vec::new();
    for _ in 0..count {
        let (bank, size) = (reader.u16_be()?, reader.u8()?);
        if !(1..=MAX_BITMAP_BYTES).contains(&size) {
            let (what, expected) = ("bytes of a PCR bitmap", "1 to 32");
            return Err(Malformed::Value { what, expected, found: size.to_string() });
        }
        let indices = indices(reader.take(usize::from(size))?);
        // A bank that is not understood matters only if something of it is in the digest.
        match algorithm::hash(bank) {
            Some(bank) => found.push(Selection { bank, indices }),
            None if indices.is_empty() => {}
            None => return Err(algorithm::unknown("PCR bank", "sha1, sha256, sha384 or sha512", bank)),
        }
    }
    Ok(found)
}

/// The set bits: PCR n is bit n mod 8 of byte n div 8 (Part 2, clause 10.6.1).
fn indices(bitmap: &[u8]) -> Vec<u32> {
    let bytes = (0u32..).step_by(8).zip(bitmap);
    let bits =
        bytes.flat_map(|(first, byte)| (0..8).map(move |bit| (first | bit, *byte & 1u8.rotate_left(bit))));
    bits.filter(|(_, bit)| *bit != 0).map(|(index, _)| index).collect()
}

pub(super) fn hex_text<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(bytes))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn hex_u64<S: serde::Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(number.to_be_bytes()))
}

/// `HASH_COUNT` (Part 2, table 29) is 16 at most in any implementation.
const MAX_SELECTIONS: u32 = 16;
/// Room for 256 PCRs; a PC has 24.
const MAX_BITMAP_BYTES: u8 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bitmap_counts_from_the_lowest_bit_of_the_first_byte() {
        assert_eq!(indices(&[0x81, 0x00, 0x01]), [0, 7, 16]);
        assert_eq!(indices(&[0xff; 32]).last(), Some(&255));
    }

    #[test]
    fn an_unknown_bank_matters_only_if_something_of_it_is_selected() {
        let list = |bits: u8| [0, 0, 0, 2, 0, 0x12, 3, bits, 0, 0, 0, 0x0b, 3, 1, 0, 0];
        let read = |bytes: &[u8]| selections(&mut Reader::new(bytes));
        assert_eq!(read(&list(0)).unwrap(), [Selection { bank: Hash::Sha256, indices: vec![0] }]);
        let error = read(&list(1)).unwrap_err();
        assert!(matches!(error, Malformed::Value { what: "PCR bank", .. }), "{error}");
    }

    #[test]
    fn l23_a_list_of_2_to_the_32_selections_is_refused_at_once() {
        let error = selections(&mut Reader::new(&[0xff; 4])).unwrap_err();
        assert!(matches!(error, Malformed::Value { what: "PCR selections", .. }), "{error}");
    }

    #[test]
    fn safe_is_0_or_1() {
        let bytes = [&[0; 16][..], &[2]].concat();
        let error = ClockInfo::parse(&mut Reader::new(&bytes)).unwrap_err();
        assert!(matches!(error, Malformed::Value { what: "clock safe", .. }), "{error}");
    }
}
