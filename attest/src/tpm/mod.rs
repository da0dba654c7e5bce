//! TPM 2.0 quotes: what was signed, by which enrolled key, verdict on genuineness.
//!
//! [`Quote::parse`] → `prepare` checks the attestation key once → `verify` checks a quote against it.
//! What a *policy* thinks of the claims is decided in [`crate::Policy`]. Layouts after the TCG's TPM 2.0
//! Library, Part 2.
//!
//! Trusted: the enrolled names in [`crate::TrustAnchors`]. Untrusted: the quote, the public area, the values.

mod ak;
mod algorithm;
mod attested;
mod enrol;
mod name;
mod public;
mod quote;
mod signature;
mod verify;

pub use ak::Ak;
pub(crate) use ak::prepare;
pub use algorithm::SigningScheme;
pub use attested::{ClockInfo, Fields, Selection};
pub use enrol::usual_public_area;
pub use name::Name;
pub use quote::{Pcr, Quote, assemble};
pub(crate) use verify::verify;

use crate::crypto::Hash;

/// What a genuine quote says, and which key said it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Claims {
    /// The signed fields.
    #[serde(flatten)]
    pub quote: Fields,
    /// The PCR values that the digest covers, in its order. Empty if none came with the quote.
    pub pcrs: Vec<Pcr>,
    /// The name of the attestation key.
    pub ak_name: Name,
    /// How the quote was signed.
    pub signature_scheme: SigningScheme,
    /// With which hash.
    pub signature_hash: Hash,
}

impl Claims {
    fn of(fields: Fields, quote: &Quote<'_>, ak: &Ak) -> Self {
        Self {
            quote: fields,
            pcrs: quote.values.clone(),
            ak_name: ak.name.clone(),
            signature_scheme: quote.signature.scheme,
            signature_hash: quote.signature.hash,
        }
    }
}

impl std::ops::Deref for Claims {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        &self.quote
    }
}

/// The pinned roots of providers that certify attestation keys, DER.
pub(crate) fn vendor_authorities() -> Vec<std::borrow::Cow<'static, [u8]>> {
    Vec::new()
}

/// Whether this begins like a `TPM2B_ATTEST` that a TPM made.
pub(crate) fn looks_like_evidence(bytes: &[u8]) -> bool {
    bytes.get(2..6) == Some(&attested::MAGIC.to_be_bytes())
}
