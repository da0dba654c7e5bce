//! A quote as evidence: what the key signed, its signature, its public area, and the PCR values.
//!
//! Layout, all in TPM marshalling (big-endian): `TPM2B_ATTEST ‖ TPMT_SIGNATURE ‖ TPM2B_PUBLIC ‖ u32 count ‖
//! count × (u16 bank, u32 index, TPM2B_DIGEST)`. Nothing may follow. The values may be left out (count 0): then
//! only the digest is a claim, and no PCR is.
//!
//! Logs may come with it: then the evidence is a [`Parcel`] of a quote and its logs.
//!
//! Untrusted: everything. The values stand outside the signature and are believed only after
//! [`super::verify`] found them in the quoted digest.

use super::algorithm;
use super::attested::{Attested, Fields};
use super::logs::Logs;
use super::public::Public;
use super::signature::Signature;
use crate::bytes::{Malformed, Reader};
use crate::crypto::{Hash, PublicKey};
use crate::eventlog::EventLog;
use crate::ima::ImaLog;
use crate::parcel::{Parcel, Part};

/// A parsed quote.
#[derive(Clone, Debug)]
pub struct Quote<'a> {
    bytes: &'a [u8],
    own: &'a [u8],
    pub(super) signed: &'a [u8],
    pub(super) attested: Attested,
    pub(super) signature: Signature<'a>,
    pub(super) area: &'a [u8],
    pub(super) public: Public,
    pub(super) values: Vec<Pcr>,
    pub(super) logs: Logs<'a>,
}

/// A PCR and its value.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Pcr {
    /// The bank.
    pub bank: Hash,
    /// The number of the PCR.
    pub index: u32,
    /// The value, as hex in text.
    #[serde(serialize_with = "super::attested::hex_text")]
    pub value: Vec<u8>,
}

impl<'a> Quote<'a> {
    /// The longest evidence that is read. A quote of every PCR of four banks has 10 KiB.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Checks the shape. The signed bytes need not be a quote: that is asked later, by name.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if !Parcel::looks_like(bytes) {
            return Self::alone(bytes);
        }
        let parcel = Parcel::parse(bytes)?;
        parcel.only(&[Part::TpmQuote, Part::EventLog, Part::ImaLog])?;
        let quote = parcel.part(Part::TpmQuote).unwrap_or_default();
        let quote = Self::alone(quote)?.with_logs(parcel.part(Part::EventLog), parcel.part(Part::ImaLog))?;
        Ok(Self { bytes, ..quote })
    }

    /// The same quote with the event log and the IMA list that came with it.
    pub(crate) fn with_logs(
        self,
        event_log: Option<&'a [u8]>,
        ima_log: Option<&'a [u8]>,
    ) -> Result<Self, Malformed> {
        Ok(Self { logs: Logs::parse(event_log, ima_log)?, ..self })
    }

    /// A quote that is not in a parcel.
    pub(crate) fn alone(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if bytes.len() > Self::MAX_BYTES {
            let (what, expected) = ("length of a TPM quote", "at most 65536 bytes");
            return Err(Malformed::Value { what, expected, found: bytes.len().to_string() });
        }
        let mut reader = Reader::new(bytes);
        let signed = reader.tpm2b()?;
        let attested = Attested::parse(signed)?;
        let signature = Signature::parse(&mut reader)?;
        let area = reader.tpm2b()?;
        let public = Public::parse(area)?;
        let values = values(&mut reader)?;
        reader.finish()?;
        let logs = Logs::default();
        Ok(Self { bytes, own: bytes, signed, attested, signature, area, public, values, logs })
    }

    /// The evidence as it was received.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The quote alone, without the parcel that it may have come in.
    #[must_use]
    pub fn own_bytes(&self) -> &'a [u8] {
        self.own
    }

    /// The attestation key's public area (`TPMT_PUBLIC`), as it was received.
    #[must_use]
    pub fn ak_public(&self) -> &'a [u8] {
        self.area
    }

    /// The key in it.
    pub(crate) fn public_key(&self) -> &PublicKey {
        &self.public.key
    }

    /// What the quote claims, unverified; `None` if the signed bytes are no quote.
    #[must_use]
    pub fn fields(&self) -> Option<&Fields> {
        self.attested.quote.as_ref()
    }

    /// The event logs that came with it, unverified.
    #[must_use]
    pub fn event_logs(&self) -> &[EventLog<'a>] {
        &self.logs.events
    }

    /// The IMA list that came with it, unverified.
    #[must_use]
    pub fn ima_log(&self) -> Option<&ImaLog<'a>> {
        self.logs.files.as_ref()
    }

    /// The PCR values beside the quote, unverified.
    #[must_use]
    pub fn values(&self) -> &[Pcr] {
        &self.values
    }
}

/// Reads the values. Their number is bounded by the bytes there are, not by what the count says.
fn values(reader: &mut Reader<'_>) -> Result<Vec<Pcr>, Malformed> {
    let count = reader.u32_be()?;
    let mut values = Vec::new();
    for _ in 0..count {
        let bank = algorithm::known_hash("PCR bank", reader.u16_be()?)?;
        let index = reader.u32_be()?;
        let value = reader.tpm2b()?;
        let expected = algorithm::hash_len(bank);
        if value.len() != expected {
            return Err(Malformed::Length { what: "PCR value", expected, found: value.len() });
        }
        values.push(Pcr { bank, index, value: value.to_vec() });
    }
    Ok(values)
}

/// Puts evidence together on the machine that has the TPM: a `TPMS_ATTEST`, a `TPMT_SIGNATURE` and a
/// `TPMT_PUBLIC`, without the size fields that TPM2B structures put in front, and the PCR values (bank, index,
/// value) in the order of the quote's selection. A part longer than 65535 bytes, which no TPM makes, gives
/// bytes that do not parse.
#[must_use]
pub fn assemble(attest: &[u8], signature: &[u8], public: &[u8], values: &[(Hash, u32, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_tpm2b(&mut bytes, attest);
    bytes.extend_from_slice(signature);
    put_tpm2b(&mut bytes, public);
    bytes.extend(u32::try_from(values.len()).unwrap_or(u32::MAX).to_be_bytes());
    for (bank, index, value) in values {
        bytes.extend(algorithm::hash_id(*bank).to_be_bytes());
        bytes.extend(index.to_be_bytes());
        put_tpm2b(&mut bytes, value);
    }
    bytes
}

pub(super) fn put_tpm2b(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend(u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend_from_slice(part);
}
