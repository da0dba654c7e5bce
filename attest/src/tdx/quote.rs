//! The TD quote: header, TD report, the quoting enclave's signature and what vouches for its key.
//!
//! Layout: Intel TDX DCAP Quoting Library API, appendix A.3 (version 4) and A.4 (version 5): little-endian,
//! lengths before what they measure. In version 5 the type and the size of the body are inside the signed
//! bytes. Exactly one quote, no byte after it; the buffers that some hosts hand out are longer than the
//! quote in them ([`Quote::length`]).
//!
//! Untrusted: everything here, until [`super::verify`] has checked the signatures.

use crate::bytes::{Malformed, Reader};
use crate::eventlog::EventLog;
use crate::parcel::{Parcel, Part};
use crate::{CannotJudge, Digest};

use super::bag;
use super::qe_identity::QeReport;
use super::report::{Kind, TdReport};

/// A parsed quote, borrowing the bytes that were signed.
#[derive(Clone, Debug)]
pub struct Quote<'a> {
    bytes: &'a [u8],
    header: Header,
    report: TdReport,
    /// Header, body descriptor and body.
    pub(super) signed: &'a [u8],
    /// r ‖ s, big-endian.
    pub(super) signature: [u8; 64],
    /// The attestation key with all that vouches for it.
    pub(super) qe: QeEvidence<'a>,
    pub(super) log: Option<EventLog<'a>>,
}

/// The header of a quote.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Header {
    /// 4 or 5.
    pub version: u16,
    /// Whose quoting enclave it is: Intel's, for all that is judged here.
    pub qe_vendor_id: Digest<16>,
    /// What the quoting enclave puts here: a part of the platform's id under which its key was stored.
    pub user_data: Digest<20>,
}

/// The attestation key and what vouches for it: the same in all quotes of one quoting enclave, until its key
/// or its certificates change.
#[derive(Clone, Copy, Debug)]
pub(super) struct QeEvidence<'a> {
    /// Everything below, from the attestation key to the end of the quote.
    pub(super) bytes: &'a [u8],
    /// x ‖ y.
    pub(super) attestation_key: &'a [u8; 64],
    /// The quoting enclave's own SGX report.
    pub(super) report: &'a [u8; 384],
    /// r ‖ s of the platform's certified key over that report.
    pub(super) signature: &'a [u8; 64],
    /// What the enclave hashes together with its key.
    pub(super) auth_data: &'a [u8],
    /// What the next field holds: 5 is a chain of certificates in PEM.
    pub(super) certification_type: u16,
    /// The certificates, or what names them.
    pub(super) certification_data: &'a [u8],
}

impl<'a> Quote<'a> {
    /// Longer quotes are not read: a quote takes 5 KiB, and none of its certificates is long.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Takes evidence apart: a quote, or a parcel of a quote and its event log.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        if !Parcel::looks_like(bytes) {
            return Self::alone(bytes);
        }
        let parcel = Parcel::parse(bytes)?;
        parcel.only(&[Part::TdQuote, Part::Ccel])?;
        let missing = || Malformed::Value {
            what: "parcel of a TD",
            expected: "part 2 (a TD quote)",
            found: "none".to_owned(),
        };
        let quote = Self::alone(parcel.part(Part::TdQuote).ok_or_else(missing)?)?;
        let log = parcel.part(Part::Ccel).map(EventLog::parse).transpose()?;
        Ok(Self { bytes, log, ..quote })
    }

    /// Takes a quote apart that stands alone.
    pub(crate) fn alone(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let (header, kind) = Self::head(&mut reader)?;
        let report = TdReport::parse(kind, reader.take(kind.size())?)?;
        let signed_len = reader.position();
        let length = reader.u32_le()?;
        let mut data = Reader::new(reader.take(checked(length)?)?);
        reader.finish()?;
        let signature = data.array()?;
        let qe = QeEvidence::parse(data.rest())?;
        let signed = Reader::new(bytes).take(signed_len)?;
        Ok(Self { bytes, header, report, signed, signature, qe, log: None })
    }

    /// How long the quote is that these bytes begin with, by its own length fields. Hosts hand out buffers
    /// with padding after the quote; whoever collects evidence cuts there.
    pub fn length(bytes: &[u8]) -> Result<usize, Malformed> {
        let mut reader = Reader::new(bytes);
        let (_, kind) = Self::head(&mut reader)?;
        reader.take(kind.size())?;
        let length = reader.u32_le()?;
        reader.take(checked(length)?)?;
        Ok(reader.position())
    }

    /// Whether these bytes begin like a TD quote.
    #[must_use]
    pub(crate) fn looks_like(bytes: &[u8]) -> bool {
        matches!(bytes, [4 | 5, 0, 2, 0, 0x81, 0, 0, 0, ..])
    }

    fn head(reader: &mut Reader<'_>) -> Result<(Header, Kind), Malformed> {
        let version =
            field(reader.u16_le()?, "TD quote version", "4 or 5", |version| [4, 5].contains(version))?;
        field(reader.u16_le()?, "attestation key type", "2 (ECDSA P-256)", |kind| *kind == 2)?;
        field(reader.u32_le()?, "TEE type", "0x81 (TDX)", |tee| *tee == 0x81)?;
        // Two reserved fields, once the security versions of QE and PCE. They are signed, and say nothing.
        reader.take(4)?;
        let header =
            Header { version, qe_vendor_id: Digest(reader.array()?), user_data: Digest(reader.array()?) };
        if version == 4 {
            return Ok((header, Kind::V10));
        }
        let kind = Kind::numbered(reader.u16_le()?)?;
        let wanted = u32::try_from(kind.size()).unwrap_or(u32::MAX);
        field(reader.u32_le()?, "size of the TD report", "the size of its type", |size| *size == wanted)?;
        Ok((header, kind))
    }

    /// The evidence as it was received: the quote, or the parcel that it came in.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The event log that came with it, unverified.
    #[must_use]
    pub fn event_log(&self) -> Option<&EventLog<'a>> {
        self.log.as_ref()
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What the TD report claims.
    #[must_use]
    pub fn report(&self) -> &TdReport {
        &self.report
    }

    /// The quoting enclave's report, as it claims to be.
    pub fn qe_report(&self) -> Result<QeReport, Malformed> {
        QeReport::parse(self.qe.report)
    }

    /// The attestation key: x ‖ y.
    #[must_use]
    pub fn attestation_key(&self) -> &'a [u8; 64] {
        self.qe.attestation_key
    }

    /// What the quoting enclave hashes together with its key.
    #[must_use]
    pub fn qe_auth_data(&self) -> &'a [u8] {
        self.qe.auth_data
    }

    /// The certificates that the quote brings, DER: the platform's and those above it, if it brings any.
    pub fn certificates(&self) -> Result<Vec<Vec<u8>>, CannotJudge> {
        bag::of_quote(self)
    }

    /// What kind of certification data the quote carries; 5 is a chain of certificates.
    #[must_use]
    pub fn certification_type(&self) -> u16 {
        self.qe.certification_type
    }

    /// The certification data: for type 5, certificates in PEM.
    #[must_use]
    pub fn certification_data(&self) -> &'a [u8] {
        self.qe.certification_data
    }

    /// The attestation key with all that vouches for it, and the part of the TD report that is judged by
    /// Intel's documents: together they decide what is prepared.
    pub(crate) fn endorsement_id(&self) -> Vec<u8> {
        [self.qe.bytes, &self.report.judged_by_intel()].concat()
    }
}

impl<'a> QeEvidence<'a> {
    /// From the attestation key on (appendix A.3.8 to A.3.12).
    fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let attestation_key = reader.chunk()?;
        let expected = "6 (a QE report)";
        field(reader.u16_le()?, "certification data type", expected, |kind| *kind == 6)?;
        let length = reader.u32_le()?;
        let mut data = Reader::new(reader.take(checked(length)?)?);
        reader.finish()?;
        let (report, signature) = (data.chunk()?, data.chunk()?);
        let length = data.u16_le()?;
        let auth_data = data.take(usize::from(length))?;
        let certification_type = data.u16_le()?;
        let length = data.u32_le()?;
        let certification_data = data.take(checked(length)?)?;
        data.finish()?;
        Ok(Self {
            bytes,
            attestation_key,
            report,
            signature,
            auth_data,
            certification_type,
            certification_data,
        })
    }
}

/// A length from a quote, if it is one that is read at all.
fn checked(length: u32) -> Result<usize, Malformed> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    field(length, "length in a TD quote", "at most 65536", |length| *length <= Quote::MAX_BYTES)
}

fn field<T: std::fmt::Display>(
    found: T,
    what: &'static str,
    expected: &'static str,
    holds: impl Fn(&T) -> bool,
) -> Result<T, Malformed> {
    if holds(&found) {
        return Ok(found);
    }
    Err(Malformed::Value { what, expected, found: found.to_string() })
}
