//! Certificates and revocation lists of any ECDSA hierarchy, with every part settable.
//!
//! A vendor's room says who the authorities are and what they would issue; the builders here depart from it.
//! Nothing is checked, because tests need the certificates that nobody should accept.
//! (AMD's hierarchy, which signs with RSA, has builders of its own in [`snp`](crate::snp).)

mod cert;
mod crl;
mod extensions;
mod list;

pub use cert::{BasicConstraints, CertBuilder};
pub use crl::CrlBuilder;
pub(crate) use extensions::{Critical, Extensions};
pub(crate) use list::List;

use crate::der;
use crate::ecdsa::Key;

/// Who can sign a certificate: a name and a key.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// The distinguished name, DER.
    pub name: Vec<u8>,
    /// The key that signs.
    pub key: Key,
}

/// An attribute of a name: the last arc under 2.5.4, and the value as DER.
pub(crate) fn attribute(arc: u64, value: Vec<u8>) -> Vec<u8> {
    der::set(&[der::sequence(&[der::oid(&[2, 5, 4, arc]), value])])
}

fn authority_key_id(key: &Key) -> Vec<u8> {
    der::sequence(&[der::tlv(0x80, &key.key_id())])
}

/// What is to be signed, the algorithm, the signature.
fn seal(tbs: Vec<u8>, key: &Key) -> Vec<u8> {
    let signature = key.sign_der(&tbs);
    der::sequence(&[tbs, key.algorithm(), der::bit_string(&signature)])
}

/// Extensions that every hierarchy uses.
pub mod oid {
    use crate::der::Oid;
    pub use crate::snp::oid::{
        AUTHORITY_KEY_ID, BASIC_CONSTRAINTS, CERTIFICATE_ISSUER, CRL_DISTRIBUTION_POINTS, CRL_NUMBER,
        DELTA_CRL_INDICATOR, ISSUING_DISTRIBUTION_POINT, KEY_USAGE, SUBJECT_KEY_ID,
    };

    /// `ReasonCode`, of an entry of a list.
    pub const REASON_CODE: Oid = &[2, 5, 29, 21];
    /// `ExtendedKeyUsage`.
    pub const EXTENDED_KEY_USAGE: Oid = &[2, 5, 29, 37];
}
