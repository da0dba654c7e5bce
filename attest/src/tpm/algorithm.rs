//! TPM algorithm identifiers, and the hashes behind them.
//!
//! TCG TPM 2.0 Library, Part 2, clause 6.3 (`TPM_ALG_ID`). What is not listed here is not understood, and a
//! structure that names it does not parse: a length could only be guessed.

use crate::bytes::Malformed;
use crate::crypto::{Crypto, Hash};

/// Part 2, table 9.
pub(super) const RSA: u16 = 0x0001;
pub(super) const AES: u16 = 0x0006;
pub(super) const NULL: u16 = 0x0010;
pub(super) const RSASSA: u16 = 0x0014;
pub(super) const RSAES: u16 = 0x0015;
pub(super) const RSAPSS: u16 = 0x0016;
pub(super) const ECDSA: u16 = 0x0018;
pub(super) const ECDAA: u16 = 0x001a;
pub(super) const ECC: u16 = 0x0023;
pub(super) const CFB: u16 = 0x0043;

/// The hash with this identifier.
pub(super) fn hash(id: u16) -> Option<Hash> {
    Hash::of_id(id)
}

/// The hash with this identifier, or an error that names the field.
pub(super) fn known_hash(what: &'static str, id: u16) -> Result<Hash, Malformed> {
    hash(id).ok_or_else(|| unknown(what, "sha1, sha256, sha384 or sha512", id))
}

/// The identifier of a hash.
pub(super) fn hash_id(hash: Hash) -> u16 {
    match hash {
        Hash::Sha1 => 0x0004,
        Hash::Sha256 => 0x000b,
        Hash::Sha384 => 0x000c,
        Hash::Sha512 => 0x000d,
    }
}

/// How many bytes the hash gives.
pub(super) fn hash_len(hash: Hash) -> usize {
    hash.length()
}

/// The digest of the parts, one after the other.
pub(super) fn digest(crypto: &dyn Crypto, hash: Hash, parts: &[&[u8]]) -> Vec<u8> {
    match hash {
        Hash::Sha1 => crypto.sha1(parts).0.to_vec(),
        Hash::Sha256 => crypto.sha256(parts).0.to_vec(),
        Hash::Sha384 => crypto.sha384(parts).0.to_vec(),
        Hash::Sha512 => crypto.sha512(parts).0.to_vec(),
    }
}

/// An identifier that is not understood.
pub(super) fn unknown(what: &'static str, expected: &'static str, id: u16) -> Malformed {
    Malformed::Value { what, expected, found: format!("{id:#06x}") }
}

/// How a key signs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SigningScheme {
    /// RSASSA-PKCS1-v1_5.
    RsaSsa,
    /// RSASSA-PSS.
    RsaPss,
    /// ECDSA.
    Ecdsa,
}

impl SigningScheme {
    pub(super) fn of(id: u16) -> Option<Self> {
        match id {
            RSASSA => Some(Self::RsaSsa),
            RSAPSS => Some(Self::RsaPss),
            ECDSA => Some(Self::Ecdsa),
            _ => None,
        }
    }

    pub(super) fn id(self) -> u16 {
        match self {
            Self::RsaSsa => RSASSA,
            Self::RsaPss => RSAPSS,
            Self::Ecdsa => ECDSA,
        }
    }
}

impl std::fmt::Display for SigningScheme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::RsaSsa => "rsassa",
            Self::RsaPss => "rsapss",
            Self::Ecdsa => "ecdsa",
        })
    }
}
