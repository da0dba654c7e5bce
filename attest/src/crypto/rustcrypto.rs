//! The second implementation: `RustCrypto`, in pure Rust.
//!
//! For wasm, and for auditors who want a verdict that does not hang on one library. Only public
//! operations are used: the timing weaknesses of the `rsa` crate concern private keys.

use rsa::{BoxedUint, RsaPublicKey};
use sha2::digest::FixedOutputReset;

use super::{BadSignature, Crypto, Hash, PublicKey, Scheme};
use crate::Digest;

/// `RustCrypto`'s p256, p384, rsa, sha2 and ed25519-dalek.
#[derive(Clone, Copy, Debug, Default)]
pub struct RustCrypto;

impl Crypto for RustCrypto {
    fn sha1(&self, parts: &[&[u8]]) -> Digest<20> {
        Digest(hash::<sha1::Sha1>(parts).into())
    }

    fn sha256(&self, parts: &[&[u8]]) -> Digest<32> {
        Digest(hash::<sha2::Sha256>(parts).into())
    }

    fn sha384(&self, parts: &[&[u8]]) -> Digest<48> {
        Digest(hash::<sha2::Sha384>(parts).into())
    }

    fn sha512(&self, parts: &[&[u8]]) -> Digest<64> {
        Digest(hash::<sha2::Sha512>(parts).into())
    }

    fn verify(
        &self,
        scheme: Scheme,
        key: &PublicKey,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        match (scheme, key) {
            (Scheme::EcdsaP256Sha256, PublicKey::P256(point)) => p256(point, message, signature),
            (Scheme::EcdsaP384Sha384, PublicKey::P384(point)) => p384(point, message, signature),
            (Scheme::Ed25519, PublicKey::Ed25519(point)) => ed25519(point, message, signature),
            (Scheme::RsaPkcs1(hash), PublicKey::Rsa { n, e }) => match hash {
                Hash::Sha1 => pkcs1::<sha1::Sha1>(n, e, message, signature),
                Hash::Sha256 => pkcs1::<sha2::Sha256>(n, e, message, signature),
                Hash::Sha384 => pkcs1::<sha2::Sha384>(n, e, message, signature),
                Hash::Sha512 => pkcs1::<sha2::Sha512>(n, e, message, signature),
            },
            (Scheme::RsaPss(hash), PublicKey::Rsa { n, e }) => match hash {
                Hash::Sha1 => Err(BadSignature),
                Hash::Sha256 => pss::<sha2::Sha256>(n, e, Salt::Hash, message, signature),
                Hash::Sha384 => pss::<sha2::Sha384>(n, e, Salt::Hash, message, signature),
                Hash::Sha512 => pss::<sha2::Sha512>(n, e, Salt::Hash, message, signature),
            },
            (Scheme::RsaPssLongestSalt(hash), PublicKey::Rsa { n, e }) => match hash {
                Hash::Sha1 => Err(BadSignature),
                Hash::Sha256 => pss::<sha2::Sha256>(n, e, Salt::Longest, message, signature),
                Hash::Sha384 => pss::<sha2::Sha384>(n, e, Salt::Longest, message, signature),
                Hash::Sha512 => pss::<sha2::Sha512>(n, e, Salt::Longest, message, signature),
            },
            (
                Scheme::EcdsaP256Sha256
                | Scheme::EcdsaP384Sha384
                | Scheme::RsaPkcs1(_)
                | Scheme::RsaPss(_)
                | Scheme::RsaPssLongestSalt(_)
                | Scheme::Ed25519,
                _,
            ) => Err(BadSignature),
        }
    }
}

fn hash<H: sha2::Digest>(parts: &[&[u8]]) -> sha2::digest::Output<H> {
    let mut hasher = H::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

fn p256(point: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    use p256::ecdsa::{Signature, VerifyingKey, signature::Verifier as _};
    let key = VerifyingKey::from_sec1_bytes(point).map_err(|_why| BadSignature)?;
    let signature = Signature::from_slice(signature).map_err(|_why| BadSignature)?;
    key.verify(message, &signature).map_err(|_why| BadSignature)
}

fn p384(point: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    use p384::ecdsa::{Signature, VerifyingKey, signature::Verifier as _};
    let key = VerifyingKey::from_sec1_bytes(point).map_err(|_why| BadSignature)?;
    let signature = Signature::from_slice(signature).map_err(|_why| BadSignature)?;
    key.verify(message, &signature).map_err(|_why| BadSignature)
}

fn ed25519(point: &[u8; 32], message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(point).map_err(|_why| BadSignature)?;
    let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_why| BadSignature)?;
    key.verify_strict(message, &signature).map_err(|_why| BadSignature)
}

fn rsa_key(n: &[u8], e: &[u8]) -> Result<RsaPublicKey, BadSignature> {
    // The same bounds as aws-lc-rs: 2048 to 8192 bits.
    if !(256..=1024).contains(&n.len()) || e.len() > 8 {
        return Err(BadSignature);
    }
    let modulus = BoxedUint::from_be_slice_vartime(n);
    let exponent = BoxedUint::from_be_slice_vartime(e);
    RsaPublicKey::new_with_size_limits(modulus, exponent, 2048..=8192).map_err(|_why| BadSignature)
}

fn pkcs1<H>(n: &[u8], e: &[u8], message: &[u8], signature: &[u8]) -> Result<(), BadSignature>
where
    H: sha2::Digest + sha2::digest::const_oid::AssociatedOid,
{
    let scheme = rsa::Pkcs1v15Sign::new::<H>();
    rsa_key(n, e)?.verify(scheme, &hash::<H>(&[message]), signature).map_err(|_why| BadSignature)
}

/// How long the salt of a PSS signature is.
#[derive(Clone, Copy)]
enum Salt {
    /// As long as the hash.
    Hash,
    /// As long as fits (RFC 8017, section 9.1.1): emLen - hLen - 2.
    Longest,
}

fn pss<H>(n: &[u8], e: &[u8], salt: Salt, message: &[u8], signature: &[u8]) -> Result<(), BadSignature>
where
    H: sha2::Digest + FixedOutputReset + 'static + Send + Sync,
{
    let hash_len = <H as sha2::Digest>::output_size();
    let salt_len = match salt {
        Salt::Hash => hash_len,
        Salt::Longest => n.len().checked_sub(hash_len.saturating_add(2)).ok_or(BadSignature)?,
    };
    let scheme = rsa::Pss::<H>::new_with_salt(salt_len);
    rsa_key(n, e)?.verify(scheme, &hash::<H>(&[message]), signature).map_err(|_why| BadSignature)
}
