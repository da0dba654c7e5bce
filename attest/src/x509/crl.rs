//! Revocation lists: who issued one, when it holds, whom it names.
//!
//! An entry names a certificate by issuer *and* serial: AMD gives every VCEK the serial 0, so a serial
//! alone says nothing. Where an entry carries the certificateIssuer extension the issuer is that name,
//! for it and for the entries after it (RFC 5280, 5.3.3).

use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::{Certificate, common_name, der, envelope, instant, padding, verify};
use crate::crypto::{BadSignature, Crypto, PublicKey};
use crate::{CannotJudge, Window};

/// A parsed revocation list.
#[derive(Debug)]
pub(crate) struct RevocationList<'a> {
    pub(super) parsed: CertificateRevocationList<'a>,
}

/// Whether a list names a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Revoked {
    /// It is on the list.
    Yes,
    /// It is not.
    No,
}

impl<'a> RevocationList<'a> {
    /// Parses exactly one list; trailing bytes are an error.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, CannotJudge> {
        let malformed = |problem: String| CannotJudge::Endorsement { what: "revocation list", problem };
        let (rest, parsed) =
            CertificateRevocationList::from_der(bytes).map_err(|error| malformed(error.to_string()))?;
        padding::nothing_behind("revocation list", rest)?;
        envelope::check(bytes).map_err(|problem| malformed(problem.to_string()))?;
        Ok(Self { parsed })
    }

    /// The issuer's name, DER.
    pub(crate) fn issuer(&self) -> &[u8] {
        self.parsed.issuer().as_raw()
    }

    /// The issuer's common name, or "" if it has none or several.
    pub(crate) fn issuer_common_name(&self) -> &str {
        common_name(self.parsed.issuer())
    }

    /// From thisUpdate to nextUpdate; `None` for a list without a nextUpdate, which would hold for ever.
    pub(crate) fn window(&self) -> Option<Window> {
        let until = instant(self.parsed.next_update()?.timestamp());
        Some(Window { from: instant(self.parsed.last_update().timestamp()), until })
    }

    /// Checks that `issuer`'s key signed this list.
    pub(crate) fn signed_by(&self, crypto: &dyn Crypto, issuer: &PublicKey) -> Result<(), BadSignature> {
        if self.parsed.signature_algorithm != self.parsed.tbs_cert_list.signature {
            return Err(BadSignature);
        }
        let signed = self.parsed.tbs_cert_list.as_ref();
        let signature = &self.parsed.signature_value.data;
        verify(crypto, &self.parsed.signature_algorithm, issuer, signed, signature)
    }

    /// The critical extensions, of the list and of its entries, that are not understood here.
    pub(crate) fn unknown_critical(&self) -> Vec<String> {
        let entries = self.parsed.iter_revoked_certificates().flat_map(|entry| entry.extensions());
        let all = self.parsed.extensions().iter().chain(entries);
        let ids = all.filter(|extension| extension.critical).map(|extension| extension.oid.to_id_string());
        ids.filter(|id| id != CERTIFICATE_ISSUER).collect()
    }

    /// Whether this list names `certificate`.
    pub(crate) fn names(&self, certificate: &Certificate<'_>) -> Result<Revoked, CannotJudge> {
        let mut issuer = self.issuer().to_vec();
        for entry in self.parsed.iter_revoked_certificates() {
            let renamed = entry.extensions().iter().find(|e| e.oid.to_id_string() == CERTIFICATE_ISSUER);
            if let Some(extension) = renamed {
                issuer = directory_name(extension.value)?;
            }
            if issuer == certificate.issuer() && same_number(entry.raw_serial(), certificate.serial()) {
                return Ok(Revoked::Yes);
            }
        }
        Ok(Revoked::No)
    }
}

/// certificateIssuer ::= `GeneralNames` with one directoryName: SEQUENCE { \[4\] Name }.
fn directory_name(value: &[u8]) -> Result<Vec<u8>, CannotJudge> {
    let name = der::content(der::SEQUENCE, value).and_then(|names| der::content(DIRECTORY_NAME, names));
    let unreadable = |problem: crate::Malformed| CannotJudge::Endorsement {
        what: "revocation list entry",
        problem: format!("certificate issuer: {problem}"),
    };
    name.map(<[u8]>::to_vec).map_err(unreadable)
}

fn same_number(left: &[u8], right: &[u8]) -> bool {
    let strip = |bytes: &[u8]| bytes.iter().copied().skip_while(|byte| *byte == 0).collect::<Vec<u8>>();
    strip(left) == strip(right)
}

const CERTIFICATE_ISSUER: &str = "2.5.29.29";
const DIRECTORY_NAME: u8 = 0xa4;
