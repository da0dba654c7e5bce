//! Sealing: to a key that was admitted, after the record is stored.
//!
//! RFC 9180 base mode, single shot: X-Wing or X25519, HKDF-SHA256, ChaCha20-Poly1305. Single shot means
//! that every sealed secret has an encapsulation and a key schedule of its own: there is no sequence
//! number that could wrap and no nonce that could repeat. An enclave that was written for AWS KMS has an RSA key, and is
//! given the form that it knows (`cms`): the value of the secret's only field, since KMS gives bytes.
//!
//! Nobody seals to a key that was not admitted:
//!
//! ```compile_fail,E0308
//! # fn leak(secret: &[u8], key: &attest::OfferedKey, receipt: keyrelease::record::Receipt) {
//! keyrelease::seal::seal(secret, 1, keyrelease::seal::Recipient::Admitted(key), receipt, attest::UnixTime(0));
//! # }
//! ```
//!
//! Trusted: the recipient's key, because its type says so.

use attest::{Admitted, Kem as KemId, OfferedKey, UnixTime};
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::{Kem, X25519HkdfSha256, XWing};
use hpke::{Deserializable, OpModeS, Serializable, single_shot_seal};
use protocol::release::{Base64, SEAL_INFO, Sealed, seal_aad};
use protocol::released::{Enveloped, Released};
use protocol::secret::fields_of;

use crate::cms;
use crate::record::{Receipt, subject_of};
pub use crate::vouch::Vouched;

/// Whom a secret may be sealed to.
#[derive(Clone, Copy, Debug)]
pub enum Recipient<'a> {
    /// A machine that was admitted in this very call.
    Admitted(&'a Admitted),
    /// A machine that the trusted auth mount admitted at login.
    Vouched(&'a Vouched),
}

impl Recipient<'_> {
    fn key(&self) -> &OfferedKey {
        match self {
            Self::Admitted(admitted) => admitted.key(),
            Self::Vouched(vouched) => vouched.key(),
        }
    }

    fn until(&self) -> UnixTime {
        match self {
            Self::Admitted(admitted) => admitted.valid_until(),
            Self::Vouched(vouched) => vouched.until(),
        }
    }

    fn subject(&self) -> Vec<u8> {
        match self {
            Self::Admitted(admitted) => subject_of(admitted),
            Self::Vouched(vouched) => vouched.subject(),
        }
    }
}

/// Seals `secret` and uses the receipt up.
pub fn seal(
    secret: &[u8],
    version: u64,
    to: Recipient<'_>,
    receipt: Receipt,
    now: UnixTime,
) -> Result<Released, SealError> {
    if !receipt.is_for(&to.subject()) {
        return Err(SealError::Receipt);
    }
    let decision = receipt.id();
    drop(receipt);
    let lease_seconds = to.until().since(now);
    if lease_seconds == 0 {
        return Err(SealError::Ended(to.until()));
    }
    let aad = seal_aad(&decision.0, version, lease_seconds);
    let (key, decision) = (to.key(), decision.to_string());
    let (enc, ciphertext) = match key.kem {
        KemId::XWing => hpke_seal::<XWing>(&key.public, secret, &aad)?,
        KemId::X25519 => hpke_seal::<X25519HkdfSha256>(&key.public, secret, &aad)?,
        KemId::RsaOaepSha256 => {
            let message = cms::envelop(&key.public, only_value(secret)?).map_err(|_why| SealError::Key)?;
            let ciphertext_for_recipient = Base64(message);
            let enveloped = Enveloped { decision, version, lease_seconds, ciphertext_for_recipient };
            return Ok(Released::Enveloped(enveloped));
        }
        other => return Err(SealError::Kem(other.name())),
    };
    let (enc, ciphertext) = (Base64(enc), Base64(ciphertext));
    Ok(Released::Sealed(Sealed { decision, version, lease_seconds, enc, ciphertext }))
}

/// The value of a secret that has one field.
fn only_value(secret: &[u8]) -> Result<&[u8], SealError> {
    let fields = fields_of(secret).map_err(|_why| SealError::Fields(0))?;
    match fields.as_slice() {
        [(_name, value)] => Ok(value),
        several => Err(SealError::Fields(several.len())),
    }
}

fn hpke_seal<K: Kem>(public: &[u8], secret: &[u8], aad: &[u8]) -> Result<(Vec<u8>, Vec<u8>), SealError> {
    let public = K::PublicKey::from_bytes(public).map_err(|_why| SealError::Key)?;
    let (enc, ciphertext) =
        single_shot_seal::<ChaCha20Poly1305, HkdfSha256, K>(&OpModeS::Base, &public, SEAL_INFO, secret, aad)
            .map_err(|_why| SealError::Key)?;
    Ok((enc.to_bytes().to_vec(), ciphertext))
}

/// Why nothing was sealed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The receipt is for another decision.
    #[error("receipt is for another decision")]
    Receipt,
    /// The admission ended while it was being recorded.
    #[error("attestation ended at {0}, before anything was sealed")]
    Ended(UnixTime),
    /// The key is not a valid public key.
    #[error("recipient key is not a valid public key of its kind")]
    Key,
    /// KMS's form has a value and no names, and this secret has not exactly one field.
    #[error("kem: rsa-oaep-sha256 carries the value of a secret's only field, this one has {0} fields")]
    Fields(usize),
    /// A kind of key that this program cannot seal to.
    #[error("kem: cannot seal to {0}")]
    Kem(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Lesson L28: there is no sequence number that could wrap, and no nonce that could come twice.
    #[test]
    fn l28_every_sealed_secret_has_an_encapsulation_of_its_own() {
        for seal in [hpke_seal::<X25519HkdfSha256>, hpke_seal::<XWing>] {
            let x25519 = X25519HkdfSha256::gen_keypair().1.to_bytes().to_vec();
            let x_wing = XWing::gen_keypair().1.to_bytes().to_vec();
            let key = if seal(&x25519, b"", b"").is_ok() { x25519 } else { x_wing };
            let sealed: BTreeSet<_> =
                (0..64).map(|_| seal(&key, b"the same", b"the same").unwrap()).collect();
            let encapsulations: BTreeSet<_> = sealed.iter().map(|(enc, _)| enc).collect();
            let ciphertexts: BTreeSet<_> = sealed.iter().map(|(_, ciphertext)| ciphertext).collect();
            assert_eq!((encapsulations.len(), ciphertexts.len()), (64, 64));
        }
    }

    #[test]
    fn a_key_that_is_none_is_refused() {
        assert_eq!(hpke_seal::<X25519HkdfSha256>(&[0; 31], b"s", b"").unwrap_err(), SealError::Key);
        // The all-zero point would make the shared secret the same for everybody (RFC 9180, 7.1.4).
        assert_eq!(hpke_seal::<X25519HkdfSha256>(&[0; 32], b"s", b"").unwrap_err(), SealError::Key);
        assert_eq!(hpke_seal::<XWing>(&[0; 1215], b"s", b"").unwrap_err(), SealError::Key);
    }
}
