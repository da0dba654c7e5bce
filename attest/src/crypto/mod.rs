//! Cryptography as an argument.
//!
//! The verifier asks for hashes and signature checks through [`Crypto`]; the caller picks the provider:
//! [`AwsLcRs`] on servers, [`RustCrypto`] for wasm and as a second, independent implementation. Both give
//! the same answers, and a test holds them against each other.
//!
//! Trusted: the provider. Untrusted: keys, messages and signatures.

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(feature = "rustcrypto")]
mod rustcrypto;

use crate::Digest;

#[cfg(feature = "aws-lc-rs")]
pub use aws_lc::AwsLcRs;
#[cfg(feature = "rustcrypto")]
pub use rustcrypto::RustCrypto;

/// What the verifier needs of a cryptographic library.
pub trait Crypto: std::fmt::Debug + Send + Sync {
    /// SHA-1 of the parts, one after the other. For PCR banks and TPM quotes of old machines only.
    fn sha1(&self, parts: &[&[u8]]) -> Digest<20>;
    /// SHA-256 of the parts, one after the other.
    fn sha256(&self, parts: &[&[u8]]) -> Digest<32>;
    /// SHA-384 of the parts, one after the other.
    fn sha384(&self, parts: &[&[u8]]) -> Digest<48>;
    /// SHA-512 of the parts, one after the other.
    fn sha512(&self, parts: &[&[u8]]) -> Digest<64>;
    /// Checks `signature` over `message`. The `Result` is the answer: there is no boolean to overlook.
    fn verify(
        &self,
        scheme: Scheme,
        key: &PublicKey,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature>;
}

/// A signature algorithm with all its parameters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Scheme {
    /// ECDSA on P-256 with SHA-256; the signature is r ‖ s, 32 bytes each, big-endian.
    EcdsaP256Sha256,
    /// ECDSA on P-384 with SHA-384; the signature is r ‖ s, 48 bytes each, big-endian.
    EcdsaP384Sha384,
    /// RSASSA-PKCS1-v1_5 with this hash.
    RsaPkcs1(Hash),
    /// RSASSA-PSS with this hash, MGF1 with the same hash and a salt as long as the hash.
    RsaPss(Hash),
    /// RSASSA-PSS with this hash, MGF1 with the same hash and the longest salt that fits the key: what a TPM
    /// makes that does not follow FIPS 186.
    RsaPssLongestSalt(Hash),
    /// Ed25519 (RFC 8032).
    Ed25519,
}

/// A hash function.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Hash {
    /// 20 bytes. Broken; understood so that a policy can refuse it by name.
    Sha1,
    /// 32 bytes.
    Sha256,
    /// 48 bytes.
    Sha384,
    /// 64 bytes.
    Sha512,
}

impl Hash {
    /// How many bytes a digest has.
    #[must_use]
    pub fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The function with this TCG algorithm identifier (TPM 2.0 Part 2, clause 6.3).
    pub(crate) fn of_id(id: u16) -> Option<Self> {
        [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512].into_iter().find(|hash| hash.id() == id)
    }

    /// The TCG's identifier of the function (TPM 2.0 Part 2, clause 6.3).
    #[must_use]
    pub fn id(self) -> u16 {
        match self {
            Self::Sha1 => 0x0004,
            Self::Sha256 => 0x000b,
            Self::Sha384 => 0x000c,
            Self::Sha512 => 0x000d,
        }
    }
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        })
    }
}

/// A public key as it stands in a certificate or a TPM public area.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PublicKey {
    /// An uncompressed P-256 point: 04 ‖ x ‖ y.
    P256([u8; 65]),
    /// An uncompressed P-384 point: 04 ‖ x ‖ y.
    P384([u8; 97]),
    /// RSA modulus and exponent, big-endian, without leading zeros.
    Rsa {
        /// The modulus.
        n: Vec<u8>,
        /// The public exponent.
        e: Vec<u8>,
    },
    /// An Ed25519 key.
    Ed25519([u8; 32]),
}

/// The signature does not belong to this key and message, or the key does not fit the scheme.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("signature does not verify")]
pub struct BadSignature;
