//! What the whole key does, and what a part of it does.
//!
//! Data keys are sealed to the set's public key with HPKE in its PSK mode (RFC 9180, 5.1.2). The pre-shared
//! key comes from the whole key, by HMAC: a process that was once given the whole key keeps the [`psk`]
//! and can go on *sealing*; nobody else can, so a storage that was exchanged does not open. To *open*
//! takes the whole key, and so a quorum.
//!
//! Trusted: the whole key, when its public half is that of the set. Untrusted: sealed data keys.

use aws_lc_rs::hmac;
use hpke::aead::{AeadTag, ChaCha20Poly1305};
use hpke::inout::InOutBuf;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{
    Deserializable as _, Kem as _, OpModeR, OpModeS, PskBundle, Serializable as _,
    single_shot_open_inout_detached, single_shot_seal,
};

use crate::{Custodians, KEY};

/// Fills `place` with the key that seals.
pub fn psk(whole: &[u8], place: &mut [u8]) {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, whole), b"cloudtaser/custodians/psk/v1");
    for (to, from) in place.iter_mut().zip(tag.as_ref()) {
        *to = *from;
    }
}

/// Whether `whole` is the key whose public half the set has.
#[must_use]
pub fn is_whole(set: &Custodians, whole: &[u8]) -> bool {
    XWing::derive_keypair(whole).1.to_bytes().as_slice() == set.key.public
}

/// Seals a data key.
pub fn seal(set: &Custodians, psk: &[u8], data_key: &[u8]) -> Result<Vec<u8>, BadKey> {
    let public =
        <XWing as hpke::Kem>::PublicKey::from_bytes(&set.key.public).map_err(|_why| BadKey::Public)?;
    let id = set.id();
    let mode = OpModeS::Psk(PskBundle::new(psk, &id.0).map_err(|_why| BadKey::Public)?);
    let (enc, ciphertext) =
        single_shot_seal::<ChaCha20Poly1305, HkdfSha256, XWing>(&mode, &public, INFO, data_key, &id.0)
            .map_err(|_why| BadKey::Public)?;
    Ok([enc.to_bytes().as_slice(), &ciphertext].concat())
}

/// Opens a data key into `place`, which has its length.
pub fn open(set: &Custodians, whole: &[u8], sealed: &[u8], place: &mut [u8]) -> Result<(), BadKey> {
    let expected = ENC.saturating_add(KEY).saturating_add(TAG);
    if sealed.len() != expected || place.len() != KEY {
        return Err(BadKey::Length { expected, found: sealed.len() });
    }
    let (enc, rest) = sealed.split_at_checked(ENC).ok_or(BadKey::NotOurs)?;
    let (body, tag) = rest.split_at_checked(KEY).ok_or(BadKey::NotOurs)?;
    let enc = <XWing as hpke::Kem>::EncappedKey::from_bytes(enc).map_err(|_why| BadKey::NotOurs)?;
    let tag = AeadTag::from_bytes(tag).map_err(|_why| BadKey::NotOurs)?;
    let mut sealing = zeroize::Zeroizing::new([0; KEY]);
    psk(whole, sealing.as_mut_slice());
    let id = set.id();
    let mode = OpModeR::Psk(PskBundle::new(sealing.as_slice(), &id.0).map_err(|_why| BadKey::NotOurs)?);
    let (private, _) = XWing::derive_keypair(whole);
    place.copy_from_slice(body);
    single_shot_open_inout_detached::<ChaCha20Poly1305, HkdfSha256, XWing>(
        &mode,
        &private,
        &enc,
        INFO,
        InOutBuf::from(place),
        &id.0,
        &tag,
    )
    .map_err(|_one_answer_for_all| BadKey::NotOurs)
}

/// HPKE's `info`.
const INFO: &[u8] = b"cloudtaser/custodians/v1";
/// `Nenc` of X-Wing.
const ENC: usize = 1120;
/// `Nt` of `ChaCha20Poly1305`.
const TAG: usize = 16;

/// Why a data key is not sealed, or does not open.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadKey {
    /// The set's key is none.
    #[error("the custodians' public key is not a valid x-wing key")]
    Public,
    /// Not as long as sealed data keys are.
    #[error("stored data key: expected {expected} bytes, found {found}")]
    Length {
        /// The one length.
        expected: usize,
        /// What was stored.
        found: usize,
    },
    /// Of another set, or sealed by somebody who never held the whole key, or altered.
    #[error("the stored data key does not open: of other custodians, forged, or altered in the storage")]
    NotOurs,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Custodian;

    const WHOLE: [u8; KEY] = [5; KEY];

    fn set() -> Custodians {
        let custodian = |name: &str| Custodian { name: name.to_owned(), share: "00".repeat(32) };
        let key = crate::share::public_of(&WHOLE);
        Custodians {
            name: "prod".to_owned(),
            threshold: 2,
            key,
            custodians: vec![custodian("a"), custodian("b")],
        }
    }

    fn sealed_with(seal_key: &[u8]) -> Vec<u8> {
        seal(&set(), seal_key, &[7; KEY]).unwrap()
    }

    fn psk_of(whole: &[u8]) -> [u8; KEY] {
        let mut place = [0; KEY];
        psk(whole, &mut place);
        place
    }

    #[test]
    fn who_held_the_whole_key_seals_and_who_holds_it_opens() {
        assert!(is_whole(&set(), &WHOLE));
        assert!(!is_whole(&set(), &[6; KEY]));
        let mut place = [0; KEY];
        open(&set(), &WHOLE, &sealed_with(&psk_of(&WHOLE)), &mut place).unwrap();
        assert_eq!(place, [7; KEY]);
    }

    #[test]
    fn what_a_stranger_sealed_to_the_public_key_does_not_open() {
        let forged = sealed_with(&psk_of(&[1; KEY]));
        assert_eq!(open(&set(), &WHOLE, &forged, &mut [0; KEY]), Err(BadKey::NotOurs));
    }

    #[test]
    fn the_key_that_seals_does_not_open() {
        let good = sealed_with(&psk_of(&WHOLE));
        assert_eq!(open(&set(), &psk_of(&WHOLE), &good, &mut [0; KEY]), Err(BadKey::NotOurs));
    }

    #[test]
    fn another_set_another_length_and_every_altered_byte_are_refused() {
        let good = sealed_with(&psk_of(&WHOLE));
        let other = Custodians { name: "test".to_owned(), ..set() };
        assert_eq!(open(&other, &WHOLE, &good, &mut [0; KEY]), Err(BadKey::NotOurs));
        let expected = BadKey::Length { expected: good.len(), found: good.len() - 1 };
        assert_eq!(open(&set(), &WHOLE, &good[1..], &mut [0; KEY]), Err(expected));
        for place in (0..good.len()).step_by(97).chain([good.len() - 1]) {
            let mut altered = good.clone();
            altered[place] ^= 1;
            assert_eq!(open(&set(), &WHOLE, &altered, &mut [0; KEY]), Err(BadKey::NotOurs), "{place}");
        }
    }
}
