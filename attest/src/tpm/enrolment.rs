//! Enrolment by proof: challenge → answer of the TPM → the name of a key that an operator need not compare.
//!
//! [`Enrolment::begin`] seals a fresh secret to a verified endorsement key for one attestation key;
//! the TPM opens it with `TPM2_ActivateCredential` only if it holds both, and [`Enrolment::finish`] takes the
//! opened secret for the proof. A name contains the key's attributes, so that the proof is about a key that signs
//! nothing but what its TPM made.
//!
//! Trusted: the endorsement key ([`Ek`]). Untrusted: the attestation key's public area and the answer.

use minicbor::{Decode, Encode};

use super::ak::suitable;
use super::credential::{Credential, Draw, NoCredential, make_credential};
use super::public::Public;
use super::{Ek, Name};
use crate::crypto::Crypto;
use crate::verified::Rejected;
use crate::{CannotJudge, Digest, Platform, UnixTime, Unverified};

/// A key that waits for its TPM's answer. Holds no secret: it may lie in a store between two requests.
#[derive(Debug, Eq, PartialEq, Encode, Decode)]
pub struct Enrolment {
    #[cbor(n(0), with = "minicbor::bytes")]
    name: Vec<u8>,
    #[n(1)]
    ek: Digest<32>,
    #[n(2)]
    answer: Digest<32>,
    #[n(3)]
    expires: UnixTime,
}

/// A key whose TPM a manufacturer vouches for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Enrolled {
    name: Name,
    ek: Digest<32>,
}

/// What one enrolment needs besides the keys.
#[derive(Debug)]
pub struct Offer<'o> {
    /// A fresh secret of 32 bytes, drawn by the caller and kept by nobody.
    pub secret: &'o [u8; 32],
    /// What the credential is made with.
    pub draw: &'o Draw,
    /// The first second at which an answer is too late.
    pub expires: UnixTime,
}

/// Why there is no challenge for a key.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotOffered {
    /// The key is no attestation key.
    #[error(transparent)]
    Key(#[from] Unverified),
    /// The credential was not made.
    #[error(transparent)]
    Credential(#[from] NoCredential),
}

/// Why an answer proves nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotEnrolled {
    /// The answer came at or after the expiry.
    #[error("enrolment expired at {expires}, answered at {now}")]
    Expired {
        /// The first second that is too late.
        expires: UnixTime,
        /// When the answer was judged.
        now: UnixTime,
    },
    /// Another secret: the TPM does not hold both keys.
    #[error("the answer is not what was sealed to the endorsement key")]
    WrongAnswer,
}

impl Enrolment {
    /// Seals a secret to `ek` for the attestation key with this public area (`TPMT_PUBLIC`).
    pub fn begin(
        crypto: &dyn Crypto,
        ek: &Ek,
        ak_area: &[u8],
        offer: &Offer<'_>,
    ) -> Result<(Self, Credential), NotOffered> {
        let malformed = |problem| CannotJudge::Evidence { platform: Platform::Tpm2, problem };
        let public = Public::parse(ak_area).map_err(malformed).map_err(Unverified::from)?;
        let checks = suitable(&public);
        if !checks.hold() {
            let rejected = Rejected::new(Platform::Tpm2, checks, ek.roots());
            return Err(Unverified::Rejected(rejected).into());
        }
        let name = Name::of(crypto, public.name_algorithm, ak_area);
        let credential = make_credential(crypto, ek.public(), &name, offer.secret, offer.draw)?;
        let enrolment = Self {
            name: name.as_bytes().to_vec(),
            ek: ek.certificate().key_digest,
            answer: crypto.sha256(&[offer.secret]),
            expires: offer.expires,
        };
        Ok((enrolment, credential))
    }

    /// Takes what the TPM opened. One answer for one enrolment: a wrong one uses it up.
    pub fn finish(self, crypto: &dyn Crypto, answer: &[u8], now: UnixTime) -> Result<Enrolled, NotEnrolled> {
        if now >= self.expires {
            return Err(NotEnrolled::Expired { expires: self.expires, now });
        }
        // Digests of both sides are compared, so the comparison's time gives nothing of the secret away.
        if crypto.sha256(&[answer]) != self.answer {
            return Err(NotEnrolled::WrongAnswer);
        }
        let name = Name::from_bytes(&self.name).map_err(|_why| NotEnrolled::WrongAnswer)?;
        Ok(Enrolled::assertion(name, self.ek))
    }
}

impl Enrolled {
    /// Says that the TPM proved to hold the key.
    fn assertion(name: Name, ek: Digest<32>) -> Self {
        Self { name, ek }
    }

    /// The name to put among the [`crate::TrustAnchors`].
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The digest of the endorsement key that the proof went through: the TPM, for as long as it exists.
    #[must_use]
    pub fn ek(&self) -> Digest<32> {
        self.ek
    }
}
