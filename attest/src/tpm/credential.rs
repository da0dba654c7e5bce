//! `TPM2_MakeCredential` on the verifying side: a secret that one TPM opens, and only for one of its keys.
//!
//! TPM 2.0 Part 1, clause 24: a seed is sent to the endorsement key; two keys derived from it, one of them with
//! the name of the attestation key mixed in, encrypt and authenticate the secret. A TPM opens it only if it holds
//! both the endorsement key and an object of that name. How the seed is sent: annex B.10.3 (RSA) and C.6.1 (ECC).
//!
//! This crate draws nothing: all randomness is an argument ([`Draw`]). RSA with given padding and a key agreement
//! with a given ephemeral key are not in aws-lc-rs, so these come from `RustCrypto`; hashes are the provider's.
//!
//! Trusted: the endorsement key, which the caller verified, and the draw. Untrusted: nothing is read here.

use std::ops::Mul as _;

use aes::cipher::{Array, BlockCipherEncrypt, BlockSizeUser, KeyInit};
use p256::elliptic_curve::point::AffineCoordinates;
use p256::elliptic_curve::sec1::{FromSec1Point, ModulusSize, ToSec1Point};
use p256::elliptic_curve::{
    AffinePoint, CurveArithmetic, FieldBytesSize, ProjectivePoint, PublicKey, SecretKey,
};
use rsa::{BoxedUint, RsaPublicKey};

use super::algorithm::{digest, hash_len};
use super::kdf::{hmac, kdf_a, kdf_e};
use super::public::Symmetric;
use super::quote::put_tpm2b;
use super::{EkPublic, Name};
use crate::crypto::{Crypto, Hash, PublicKey as AnyKey};

/// A sealed secret, in the two pieces that `TPM2_ActivateCredential` takes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Credential {
    /// `TPM2B_ID_OBJECT`.
    pub id_object: Vec<u8>,
    /// `TPM2B_ENCRYPTED_SECRET`.
    pub encrypted_secret: Vec<u8>,
}

/// What the caller drew for one credential: uniform bytes, used once, told to nobody.
pub struct Draw {
    /// The seed, or the ephemeral private key of an endorsement key on a curve.
    pub seed: [u8; 64],
    /// The padding of RSAES-OAEP.
    pub padding: [u8; 64],
}

impl std::fmt::Debug for Draw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Draw")
    }
}

/// Why no credential was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NoCredential {
    /// Of 2^32 draws one is no private key of P-256; of 2^190 one is none of P-384.
    #[error("what was drawn is no private key of the curve: draw again")]
    DrawAgain,
    /// Longer than what the endorsement key's name algorithm allows.
    #[error("a secret of {found} bytes for an endorsement key that takes at most {limit}")]
    SecretTooLong {
        /// The digest's length.
        limit: usize,
        /// The secret's.
        found: usize,
    },
    /// A modulus or a point that is none.
    #[error("the endorsement key is no usable public key")]
    UnusableKey,
}

/// Seals `secret` to the TPM with this endorsement key, for its key with this name.
pub fn make_credential(
    crypto: &dyn Crypto,
    ek: &EkPublic,
    name: &Name,
    secret: &[u8],
    draw: &Draw,
) -> Result<Credential, NoCredential> {
    let hash = ek.name_algorithm;
    let limit = hash_len(hash);
    if secret.len() > limit {
        return Err(NoCredential::SecretTooLong { limit, found: secret.len() });
    }
    let (seed, encrypted) = match &ek.key {
        AnyKey::Rsa { n, e } => {
            let seed = head(&draw.seed, limit)?.to_vec();
            let padding = head(&draw.padding, limit)?;
            (seed.clone(), oaep(crypto, hash, (n, e), &seed, padding)?)
        }
        AnyKey::P256(point) => agree::<p256::NistP256>(crypto, hash, point, head(&draw.seed, 32)?)?,
        AnyKey::P384(point) => agree::<p384::NistP384>(crypto, hash, point, head(&draw.seed, 48)?)?,
        AnyKey::Ed25519(_) => return Err(NoCredential::UnusableKey),
    };
    let mut encrypted_secret = Vec::new();
    put_tpm2b(&mut encrypted_secret, &encrypted);
    let mut id_object = Vec::new();
    put_tpm2b(&mut id_object, &sealed(crypto, ek, name, secret, &seed));
    Ok(Credential { id_object, encrypted_secret })
}

/// Clauses 24.4 and 24.5: the inner encryption, then the outer HMAC over it and the name.
fn sealed(crypto: &dyn Crypto, ek: &EkPublic, name: &Name, secret: &[u8], seed: &[u8]) -> Vec<u8> {
    let hash = ek.name_algorithm;
    let key = kdf_a(crypto, hash, seed, b"STORAGE\0", name.as_bytes(), ek.symmetric.bits());
    let mut identity = Vec::new();
    put_tpm2b(&mut identity, secret);
    match ek.symmetric {
        Symmetric::Aes128Cfb => cfb::<aes::Aes128>(&key, &mut identity),
        Symmetric::Aes256Cfb => cfb::<aes::Aes256>(&key, &mut identity),
    }
    let bits = u32::try_from(hash_len(hash).saturating_mul(8)).unwrap_or_default();
    let key = kdf_a(crypto, hash, seed, b"INTEGRITY\0", &[], bits);
    let mut object = Vec::new();
    put_tpm2b(&mut object, &hmac(crypto, hash, &key, &[&identity, name.as_bytes()]));
    object.extend(identity);
    object
}

/// AES in cipher feedback mode over whole blocks (SP 800-38A, 6.3), from a zero block: the key is used once.
fn cfb<C: KeyInit + BlockCipherEncrypt + BlockSizeUser>(key: &[u8], bytes: &mut [u8]) {
    // The key derivation gave as many bytes as the cipher takes.
    let Ok(cipher) = C::new_from_slice(key) else { return bytes.fill(0) };
    let mut feedback = Array::<u8, C::BlockSize>::default();
    for chunk in bytes.chunks_mut(feedback.len()) {
        cipher.encrypt_block(&mut feedback);
        for (byte, mask) in chunk.iter_mut().zip(&feedback) {
            *byte ^= mask;
        }
        for (next, byte) in feedback.iter_mut().zip(chunk.iter()) {
            *next = *byte;
        }
    }
}

/// RSAES-OAEP (RFC 8017, 7.1.1) with the label `IDENTITY` and its zero byte.
fn oaep(
    crypto: &dyn Crypto,
    hash: Hash,
    (n, e): (&[u8], &[u8]),
    seed: &[u8],
    padding: &[u8],
) -> Result<Vec<u8>, NoCredential> {
    let unusable = NoCredential::UnusableKey;
    let label = digest(crypto, hash, &[b"IDENTITY\0"]);
    let fixed = seed.len().saturating_add(label.len().saturating_mul(2)).saturating_add(2);
    let zeros = n.len().checked_sub(fixed).ok_or(unusable)?;
    let data = [label.as_slice(), &vec![0; zeros], &[1], seed].concat();
    let masked_data = xor(&data, &mgf1(crypto, hash, padding, data.len()));
    let masked_seed = xor(padding, &mgf1(crypto, hash, &masked_data, padding.len()));
    let block = [&[0], masked_seed.as_slice(), &masked_data].concat();
    let key = RsaPublicKey::new_with_size_limits(
        BoxedUint::from_be_slice_vartime(n),
        BoxedUint::from_be_slice_vartime(e),
        2048..=4096,
    );
    let key = key.map_err(|_why| unusable)?;
    let bits = u32::try_from(n.len().saturating_mul(8)).map_err(|_why| unusable)?;
    let message = BoxedUint::from_be_slice(&block, bits).map_err(|_why| unusable)?;
    let cipher = rsa::hazmat::rsa_encrypt(&key, &message).map_err(|_why| unusable)?;
    Ok(cipher.to_be_bytes().to_vec())
}

/// MGF1 (RFC 8017, B.2.1).
fn mgf1(crypto: &dyn Crypto, hash: Hash, seed: &[u8], length: usize) -> Vec<u8> {
    let blocks = u32::try_from(length.div_ceil(hash_len(hash))).unwrap_or_default();
    let mut mask: Vec<u8> =
        (0..blocks).flat_map(|counter| digest(crypto, hash, &[seed, &counter.to_be_bytes()])).collect();
    mask.truncate(length);
    mask
}

/// The seed out of a key agreement, and the ephemeral point as `TPMS_ECC_POINT`.
fn agree<C>(
    crypto: &dyn Crypto,
    hash: Hash,
    point: &[u8],
    ephemeral: &[u8],
) -> Result<(Vec<u8>, Vec<u8>), NoCredential>
where
    C: CurveArithmetic,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
{
    let theirs = PublicKey::<C>::from_sec1_bytes(point).map_err(|_why| NoCredential::UnusableKey)?;
    let secret = SecretKey::<C>::from_slice(ephemeral).map_err(|_why| NoCredential::DrawAgain)?;
    let ours = secret.public_key();
    let shared = ProjectivePoint::<C>::from(*theirs.as_affine());
    let shared: AffinePoint<C> = shared.mul(*secret.to_nonzero_scalar()).into();
    let bits = u32::try_from(hash_len(hash).saturating_mul(8)).unwrap_or_default();
    let (our_x, their_x) = (ours.as_affine().x(), theirs.as_affine().x());
    let seed =
        kdf_e(crypto, hash, shared.x().as_ref(), b"IDENTITY\0", [our_x.as_ref(), their_x.as_ref()], bits);
    let mut encrypted = Vec::new();
    put_tpm2b(&mut encrypted, our_x.as_ref());
    put_tpm2b(&mut encrypted, ours.as_affine().y().as_ref());
    Ok((seed, encrypted))
}

fn head(drawn: &[u8; 64], length: usize) -> Result<&[u8], NoCredential> {
    drawn.get(..length).ok_or(NoCredential::UnusableKey)
}

fn xor(left: &[u8], right: &[u8]) -> Vec<u8> {
    left.iter().zip(right).map(|(left, right)| left ^ right).collect()
}
