//! A share on its way: sealed to its custodian for the years in between, and to a machine for one unsealing.
//!
//! HPKE (RFC 9180), base mode, X-Wing, HKDF-SHA256, `ChaCha20Poly1305`; the associated data names the set and
//! the custodian. A share's digest is public: 32 random bytes are not found by trying.
//!
//! Trusted: the recipient's key, as the caller knows it. Untrusted: a sealed share until it opens.

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{
    Deserializable as _, Kem as _, OpModeR, OpModeS, Serializable as _, single_shot_open, single_shot_seal,
};
use protocol::release::Base64;
use protocol::unseal::{SHARE_INFO, share_aad};
use protocol::{Kem, OfferedKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::shamir::Secret;
use crate::{KEY, SetId, digest};

/// A share that only its recipient opens.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedShare {
    /// The first word of every file: [`SealedShare::FORMAT`].
    pub format: String,
    /// The set, in hex.
    pub set: String,
    /// The custodian's name, for people.
    pub custodian: String,
    /// The custodian's number.
    pub number: u8,
    /// HPKE's encapsulated key.
    pub enc: Base64,
    /// HPKE's ciphertext with its tag.
    pub ciphertext: Base64,
}

impl SealedShare {
    /// The format of files with shares.
    pub const FORMAT: &'static str = "cloudtaser/share/v1";

    /// Seals a share for its custodian to keep.
    pub fn to_custodian(
        key: &OfferedKey,
        set: SetId,
        (number, custodian): (u8, &str),
        share: &[u8],
    ) -> Result<Self, BadShare> {
        let (enc, ciphertext) = seal(key, KEPT_INFO, set, number, share)?;
        let (format, set, custodian) = (Self::FORMAT.to_owned(), set.to_string(), custodian.to_owned());
        Ok(Self { format, set, custodian, number, enc: Base64(enc), ciphertext: Base64(ciphertext) })
    }

    /// Opens it with the custodian's private key.
    pub fn open(&self, private: &[u8; KEY]) -> Result<Secret, BadShare> {
        if self.format != Self::FORMAT {
            return Err(BadShare::Format(self.format.chars().take(64).collect()));
        }
        let (private, _) = XWing::derive_keypair(private);
        let enc =
            <XWing as hpke::Kem>::EncappedKey::from_bytes(&self.enc.0).map_err(|_why| BadShare::NotForUs)?;
        let opened = single_shot_open::<ChaCha20Poly1305, HkdfSha256, XWing>(
            &OpModeR::Base,
            &private,
            &enc,
            KEPT_INFO,
            &self.ciphertext.0,
            &share_aad(&self.set()?.0, self.number),
        );
        let opened = Zeroizing::new(opened.map_err(|_one_answer_for_all| BadShare::NotForUs)?);
        let mut share = Secret::default();
        if opened.len() != KEY {
            return Err(BadShare::Length(opened.len()));
        }
        share.copy_from_slice(&opened);
        Ok(share)
    }

    /// The set that it is of.
    pub fn set(&self) -> Result<SetId, BadShare> {
        let mut set = [0; 32];
        hex::decode_to_slice(&self.set, &mut set).map_err(|_why| BadShare::Set)?;
        Ok(SetId(set))
    }
}

/// A share for a machine that was attested: encapsulated key and ciphertext.
pub fn seal_to_machine(
    machine: &OfferedKey,
    set: SetId,
    number: u8,
    share: &[u8],
) -> Result<(Vec<u8>, Vec<u8>), BadShare> {
    seal(machine, SHARE_INFO, set, number, share)
}

fn seal(
    key: &OfferedKey,
    info: &[u8],
    set: SetId,
    number: u8,
    share: &[u8],
) -> Result<(Vec<u8>, Vec<u8>), BadShare> {
    if key.kem != Kem::XWing {
        return Err(BadShare::Key);
    }
    let public = <XWing as hpke::Kem>::PublicKey::from_bytes(&key.public).map_err(|_why| BadShare::Key)?;
    let aad = share_aad(&set.0, number);
    let (enc, ciphertext) =
        single_shot_seal::<ChaCha20Poly1305, HkdfSha256, XWing>(&OpModeS::Base, &public, info, share, &aad)
            .map_err(|_why| BadShare::Key)?;
    Ok((enc.to_bytes().to_vec(), ciphertext))
}

/// The digest by which a share is known.
#[must_use]
pub fn digest_of(number: u8, share: &[u8]) -> [u8; 32] {
    digest(&[b"cloudtaser/share-digest/v1", &[number], share])
}

/// The public half of a private key.
#[must_use]
pub fn public_of(private: &[u8; KEY]) -> OfferedKey {
    OfferedKey { kem: Kem::XWing, public: XWing::derive_keypair(private).1.to_bytes().to_vec() }
}

/// HPKE's `info` for shares that are kept.
const KEPT_INFO: &[u8] = b"cloudtaser/share/v1";

/// Why a share is not sealed, or does not open.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadShare {
    /// Another format.
    #[error("share: expected format cloudtaser/share/v1, found {0:?}")]
    Format(String),
    /// Not the name of a set.
    #[error("share: expected a set of 64 hex digits")]
    Set,
    /// Not a public key of X-Wing.
    #[error("share: the recipient's key is not a valid x-wing key")]
    Key,
    /// Of another key, set or custodian, or altered.
    #[error("share: it does not open with this key, for this set and custodian")]
    NotForUs,
    /// Another length than shares have.
    #[error("share: expected 32 bytes, found {0}")]
    Length(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: [u8; KEY] = [9; KEY];

    fn sealed() -> SealedShare {
        SealedShare::to_custodian(&public_of(&PRIVATE), SetId([1; 32]), (2, "ben"), &[7; KEY]).unwrap()
    }

    #[test]
    fn a_share_opens_with_its_custodians_key() {
        assert_eq!(*sealed().open(&PRIVATE).unwrap(), [7; KEY]);
        let again: SealedShare = serde_json::from_str(&serde_json::to_string(&sealed()).unwrap()).unwrap();
        assert_eq!(*again.open(&PRIVATE).unwrap(), [7; KEY]);
    }

    #[test]
    fn another_key_set_or_custodian_does_not_open_it() {
        assert_eq!(sealed().open(&[8; KEY]), Err(BadShare::NotForUs));
        let mut flipped = sealed();
        flipped.ciphertext.0[0] ^= 1;
        for other in [
            SealedShare { number: 1, ..sealed() },
            SealedShare { set: "02".repeat(32), ..sealed() },
            SealedShare { enc: Base64(vec![1; 3]), ..sealed() },
            flipped,
        ] {
            assert_eq!(other.open(&PRIVATE), Err(BadShare::NotForUs));
        }
        let other = SealedShare { format: "x".to_owned(), ..sealed() };
        assert_eq!(other.open(&PRIVATE), Err(BadShare::Format("x".to_owned())));
    }

    #[test]
    fn a_share_for_a_machine_is_no_share_to_keep() {
        let machine = public_of(&PRIVATE);
        let (enc, ciphertext) = seal_to_machine(&machine, SetId([1; 32]), 2, &[7; KEY]).unwrap();
        let posing = SealedShare { enc: Base64(enc), ciphertext: Base64(ciphertext), ..sealed() };
        assert_eq!(posing.open(&PRIVATE), Err(BadShare::NotForUs));
        let x25519 = OfferedKey { kem: Kem::X25519, public: vec![9; 32] };
        assert_eq!(seal_to_machine(&x25519, SetId([1; 32]), 2, &[7; KEY]), Err(BadShare::Key));
    }
}
