//! The certificate table that a host hands to its guest with an extended report.
//!
//! Layout: AMD 56421 (GHCB) r2.03, section 4.1.8.1: rows of GUID, offset and length, ended by a row of
//! zeros, then the certificates. The host is not trusted, so this is a bag of bytes like any other:
//! which certificate is which is decided by what they say, not by the GUIDs. Most hosts write DER; some
//! write PEM.

use crate::bytes::{Malformed, Reader};
use crate::{Endorsements, x509};

/// Takes the certificates out of a table. An empty table gives none.
pub fn certificates(table: &[u8]) -> Result<Endorsements, Malformed> {
    let mut endorsements = Endorsements::default();
    if table.is_empty() {
        return Ok(endorsements);
    }
    let mut rows = Reader::new(table);
    for _ in 0..=Endorsements::MAX_ITEMS {
        let guid: [u8; 16] = rows.array()?;
        let (offset, length) = (rows.u32_le()?, rows.u32_le()?);
        if guid == [0; 16] {
            return Ok(endorsements);
        }
        let body = slice(table, offset, length)?;
        take(body, &mut endorsements)?;
    }
    let (what, expected) = ("certificate table", "a row of zeros at the end of at most 32 rows");
    Err(Malformed::Value { what, expected, found: "more rows".to_owned() })
}

/// Hosts also put firmware endorsements and empty rows here: what is no certificate is passed over.
fn take(body: &[u8], endorsements: &mut Endorsements) -> Result<(), Malformed> {
    if body.first() == Some(&SEQUENCE) {
        endorsements.certificates.push(body.to_vec());
    } else if body.starts_with(PEM) {
        endorsements.certificates.extend(x509::pem(body).map_err(|error| not_pem(&error))?);
    }
    Ok(())
}

fn not_pem(error: &x509_parser::error::PEMError) -> Malformed {
    let (what, expected) = ("certificate table row", "a certificate in PEM or DER");
    Malformed::Value { what, expected, found: error.to_string() }
}

fn slice(table: &[u8], offset: u32, length: u32) -> Result<&[u8], Malformed> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let wanted = usize::try_from(length).unwrap_or(usize::MAX);
    let short = Malformed::Truncated { at: start, wanted, left: table.len().saturating_sub(start) };
    table.get(start..start.saturating_add(wanted)).ok_or(short)
}

/// The first byte of a DER certificate.
const SEQUENCE: u8 = 0x30;
/// The first bytes of one in PEM.
const PEM: &[u8] = b"-----BEGIN CERTIFICATE";
