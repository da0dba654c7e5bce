//! TPM 2.0 quotes: what was signed, by which enrolled key, verdict on genuineness.
//!
//! [`Quote::parse`] → `prepare` checks the attestation key once → `verify` checks a quote against it.
//! What a *policy* thinks of the claims is decided in [`crate::Policy`]. Layouts after the TCG's TPM 2.0
//! Library, Part 2.
//!
//! Trusted: the enrolled names and the providers' roots in [`crate::TrustAnchors`]. Untrusted: the quote, the
//! public area, the values, the certificates.

mod ak;
mod algorithm;
mod attested;
mod audit;
mod authority;
#[cfg(feature = "rustcrypto")]
mod credential;
mod ek;
mod enrol;
#[cfg(feature = "rustcrypto")]
mod enrolment;
mod gce;
#[cfg(feature = "rustcrypto")]
mod kdf;
mod logs;
mod name;
mod path;
mod public;
mod quote;
mod signature;
mod template;
mod verify;

pub use ak::Ak;
pub(crate) use ak::prepare;
pub use algorithm::SigningScheme;
pub use attested::{ClockInfo, Fields, Selection};
pub use audit::{verify_ak_certificate, verify_authorities};
pub(crate) use authority::pinned as pinned_authorities;
pub use authority::{AkCertificate, AkOrigin, vendor_authorities, vendor_intermediates};
#[cfg(feature = "rustcrypto")]
pub use credential::{Credential, Draw, NoCredential, make_credential};
pub use ek::{Ek, EkCertificate, EkPublic, EkRoots, verify_ek_certificate};
pub use enrol::usual_public_area;
#[cfg(feature = "rustcrypto")]
pub use enrolment::{Enrolled, Enrolment, NotEnrolled, NotOffered, Offer};
pub use gce::Instance;
pub use name::Name;
pub use quote::{Pcr, Quote, assemble};
pub use template::ek_template;
pub(crate) use verify::verify;

use crate::crypto::Hash;
use crate::eventlog::Boot;
use crate::ima::Files;

/// What a genuine quote says, and which key said it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Claims {
    /// The signed fields.
    #[serde(flatten)]
    pub quote: Fields,
    /// The PCR values that the digest covers, in its order. Empty if none came with the quote.
    pub pcrs: Vec<Pcr>,
    /// The name of the attestation key. Where the key was not enrolled, somebody vouches for the key in it, and
    /// its TPM for the rest.
    pub ak_name: Name,
    /// Why the key is believed.
    pub ak_origin: AkOrigin,
    /// Its certificate, where a provider certified it.
    pub ak_certificate: Option<AkCertificate>,
    /// How the quote was signed.
    pub signature_scheme: SigningScheme,
    /// With which hash.
    pub signature_hash: Hash,
    /// What the event log proves. `None`: no log came with the quote.
    pub boot: Option<Box<Boot>>,
    /// What the IMA list proves. `None`: no list came with the quote.
    pub files: Option<Files>,
}

impl Claims {
    fn of(fields: Fields, quote: &Quote<'_>, ak: &Ak, told: logs::Told) -> Self {
        Self {
            quote: fields,
            pcrs: quote.values.clone(),
            ak_name: ak.name.clone(),
            ak_origin: ak.origin,
            ak_certificate: ak.certificate.clone(),
            signature_scheme: quote.signature.scheme,
            signature_hash: quote.signature.hash,
            boot: told.boot.map(Box::new),
            files: told.files,
        }
    }

    /// A name for the machine: that of its enrolled key, or the digest of its certified key.
    pub(crate) fn hardware_id(&self) -> &[u8] {
        match &self.ak_certificate {
            Some(certificate) => &certificate.key_digest.0,
            None => self.ak_name.as_bytes(),
        }
    }

    /// When the endorsements behind the key hold.
    pub(crate) fn window(&self) -> crate::Window {
        self.ak_certificate.as_ref().map_or(crate::Window::ALWAYS, |certificate| certificate.window)
    }
}

impl std::ops::Deref for Claims {
    type Target = Fields;

    fn deref(&self) -> &Fields {
        &self.quote
    }
}

/// Whether this begins like a `TPM2B_ATTEST` that a TPM made.
pub(crate) fn looks_like_evidence(bytes: &[u8]) -> bool {
    bytes.get(2..6) == Some(&attested::MAGIC.to_be_bytes())
}
