//! OpenBao's root key under a key-encryption key: AES-256-GCM with a random nonce.
//!
//! The associated data names this use, the key's id and what OpenBao gave, each with its length: what was
//! sealed for one cannot be passed off as the other.
//!
//! Trusted: the key. Untrusted: the blob.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use openbao_plugin::{Blob, Plaintext};

/// Bytes of a key-encryption key.
pub const KEY: usize = 32;
/// What GCM adds.
const TAG: usize = 16;

/// Encrypts `plaintext` under the key that is called `key_id`.
pub fn wrap(key: &[u8], key_id: &str, plaintext: &[u8], aad: &[u8]) -> Result<Blob, Error> {
    let cipher = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_why| Error::Key(key.len()))?;
    // The whole capacity first: growing would leave a copy of the plaintext behind.
    let mut ciphertext = Vec::with_capacity(plaintext.len().saturating_add(TAG));
    ciphertext.extend_from_slice(plaintext);
    let nonce = cipher
        .seal_in_place_append_tag(Aad::from(associated(key_id, aad)), &mut ciphertext)
        .map_err(|_why| Error::Encrypt)?;
    let iv = nonce.as_ref().to_vec();
    Ok(Blob { key_id: key_id.to_owned(), iv, wrapped_key: Vec::new(), ciphertext })
}

/// Decrypts what [`wrap`] made under the same key, id and data.
pub fn unwrap(key: &[u8], blob: &Blob, aad: &[u8]) -> Result<Plaintext, Error> {
    let cipher = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_why| Error::Key(key.len()))?;
    let nonce: [u8; NONCE_LEN] = blob.iv.as_slice().try_into().map_err(|_why| Error::Nonce(blob.iv.len()))?;
    let mut text = Plaintext(blob.ciphertext.clone());
    let aad = Aad::from(associated(&blob.key_id, aad));
    let opened = cipher.open_in_place(Nonce::assume_unique_for_key(nonce), aad, &mut text.0);
    let len = opened.map_err(|_one_answer_for_all| Error::Altered)?.len();
    text.0.truncate(len);
    Ok(text)
}

fn associated(key_id: &str, aad: &[u8]) -> Vec<u8> {
    let parts = [b"cloudtaser/attestseal/v1".as_slice(), key_id.as_bytes(), aad];
    let length = |part: &[u8]| u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes();
    parts.iter().flat_map(|part| length(part).into_iter().chain(part.iter().copied())).collect()
}

/// Why bytes are not encrypted, or not decrypted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key of another length.
    #[error("key-encryption key: expected 32 bytes, found {0}")]
    Key(usize),
    /// The random source or the cipher.
    #[error("the cipher did not encrypt")]
    Encrypt,
    /// A nonce of another length.
    #[error("stored nonce: expected 12 bytes, found {0}")]
    Nonce(usize),
    /// Another key, id or associated data, or altered in the storage.
    #[error("the stored ciphertext does not open: another key, or altered in the storage")]
    Altered,
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEK: [u8; KEY] = [7; KEY];

    fn blob() -> Blob {
        wrap(&KEK, "peer:unseal:1", b"root key", b"aad").unwrap()
    }

    #[test]
    fn what_was_wrapped_opens_with_the_same_key_id_and_data() {
        assert_eq!(unwrap(&KEK, &blob(), b"aad").unwrap().0, b"root key");
        let empty = wrap(&KEK, "k", b"", b"").unwrap();
        assert_eq!(unwrap(&KEK, &empty, b"").unwrap().0, b"");
    }

    #[test]
    fn another_key_id_or_data_does_not_open_it() {
        let moved = Blob { key_id: "peer:unseal:2".to_owned(), ..blob() };
        // The same bytes in all, divided otherwise.
        let shifted = Blob { key_id: "peer:unseal:1a".to_owned(), ..blob() };
        for (key, blob, aad) in [
            (&[8; KEY], &blob(), b"aad".as_slice()),
            (&KEK, &moved, b"aad"),
            (&KEK, &shifted, b"ad"),
            (&KEK, &blob(), b"other"),
        ] {
            assert_eq!(unwrap(key, blob, aad).unwrap_err(), Error::Altered);
        }
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_refused() {
        let good = blob();
        for place in 0..good.ciphertext.len() {
            let mut flipped = good.clone();
            flipped.ciphertext[place] ^= 1;
            let cut = Blob { ciphertext: good.ciphertext[..place].to_vec(), ..good.clone() };
            for bad in [flipped, cut] {
                assert_eq!(unwrap(&KEK, &bad, b"aad").unwrap_err(), Error::Altered, "{place}");
            }
        }
        let short = Blob { iv: vec![0; 11], ..good };
        assert_eq!(unwrap(&KEK, &short, b"aad").unwrap_err(), Error::Nonce(11));
    }

    #[test]
    fn the_same_key_is_wrapped_otherwise_each_time() {
        assert_ne!(blob().iv, blob().iv);
        assert_eq!(wrap(&KEK[..31], "k", b"", b"").unwrap_err(), Error::Key(31));
    }
}
