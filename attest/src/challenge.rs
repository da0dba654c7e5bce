//! Freshness: one challenge, one key, one answer.
//!
//! A verifier draws a [`Challenge`]. The peer has its hardware sign a [`Transcript`] of that nonce, the
//! purpose, and the key it wants secrets sealed to. [`Challenge::redeem`] compares the two.
//!
//! Trusted: the challenge (we drew it) and the claims (their signature was checked).
//! Untrusted: the offered key, until it comes back as an [`AttestedKey`].
//!
//! A challenge is used up by redeeming it:
//!
//! ```compile_fail,E0382
//! # use attest::*;
//! # fn twice(c: &dyn Crypto, challenge: Challenge, a: OfferedKey, b: OfferedKey, claims: &Verified<Claims>, now: UnixTime) {
//! let first = challenge.redeem(c, a, claims, now);
//! let second = challenge.redeem(c, b, claims, now);
//! # }
//! ```
//! and nobody else makes an attested key:
//!
//! ```compile_fail,E0624
//! # fn forge(key: attest::OfferedKey) {
//! let attested = attest::AttestedKey::assertion(key, String::new());
//! # }
//! ```

use std::fmt;

use minicbor::{Decode, Encode};

use crate::{Claims, Crypto, Platform, UnixTime, Verified};

/// A nonce that is honoured once: not `Clone`, and redeeming it uses it up.
#[derive(Debug, Eq, PartialEq, Encode, Decode)]
pub struct Challenge {
    /// Drawn by the caller, who owns the random source.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub nonce: [u8; 32],
    /// What the answer is for, for example `attest-keys/release/db`. An answer to one purpose is not
    /// honoured for another.
    #[n(1)]
    pub context: String,
    /// The first second at which an answer is too late.
    #[n(2)]
    pub expires: UnixTime,
    /// Whether the caller's ledger already holds an answer to it. A challenge that was answered is still
    /// judged, so that the refusal is on record with all its reasons.
    #[n(3)]
    pub answered: bool,
}

impl Challenge {
    /// The same challenge for a record of its answer. Not `Clone`: this one stays within the crate.
    pub(crate) fn again(&self) -> Self {
        let Self { nonce, context, expires, answered } = self;
        Self { nonce: *nonce, context: context.clone(), expires: *expires, answered: *answered }
    }

    /// Accepts `offered` as the peer's key if the hardware signed it together with our nonce.
    pub fn redeem(
        self,
        crypto: &dyn Crypto,
        offered: OfferedKey,
        claims: &Verified<Claims>,
        now: UnixTime,
    ) -> Result<AttestedKey, Stale> {
        if self.answered {
            return Err(Stale::Answered);
        }
        if now >= self.expires {
            return Err(Stale::Expired { expires: self.expires, now });
        }
        let transcript = Transcript { nonce: &self.nonce, context: &self.context, key: &offered };
        if !claims.answer(crypto, &transcript) {
            return Err(Stale::NotBound);
        }
        Ok(AttestedKey::assertion(offered, self.context))
    }
}

/// A public key that a peer wants secrets sealed to.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct OfferedKey {
    /// What kind of key it is.
    #[n(0)]
    pub kem: Kem,
    /// The encoded public key.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub public: Vec<u8>,
}

impl OfferedKey {
    /// SHA-256 of the kind and the key: a name for it that fits in metadata.
    #[must_use]
    pub fn thumbprint(&self, crypto: &dyn Crypto) -> crate::Digest<32> {
        crypto.sha256(&[&self.kem.id().to_be_bytes(), &self.public])
    }
}

/// How a secret is sealed to a key: by a key encapsulation mechanism of HPKE (RFC 9180, section 7.1, and its IANA
/// registry), or in a CMS message.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode)]
#[cbor(index_only)]
#[non_exhaustive]
pub enum Kem {
    /// X-Wing: ML-KEM-768 and X25519 together (draft-connolly-cfrg-xwing-kem). 1216 bytes.
    #[n(0x647a)]
    XWing,
    /// DHKEM(X25519, HKDF-SHA256). 32 bytes.
    #[n(0x0020)]
    X25519,
    /// RSAES-OAEP with SHA-256, of AWS KMS's `CiphertextForRecipient`: a `SubjectPublicKeyInfo` that stands in a Nitro
    /// document ([`crate::oaep`]). Not of HPKE: the number is ours, and the registry has no range for private use.
    #[n(0xff01)]
    RsaOaepSha256,
}

impl Kem {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::XWing, Self::X25519, Self::RsaOaepSha256];

    /// The identifier in the IANA registry "HPKE KEM Identifiers", if it is there.
    #[must_use]
    pub fn id(self) -> u16 {
        match self {
            Self::XWing => 0x647a,
            Self::X25519 => 0x0020,
            Self::RsaOaepSha256 => 0xff01,
        }
    }

    /// The length of a public key in bytes. An RSA key's is judged, so that a refusal is on record.
    #[must_use]
    pub fn public_len(self) -> KeyLength {
        match self {
            Self::XWing => KeyLength { least: 1216, most: 1216 },
            Self::X25519 => KeyLength { least: 32, most: 32 },
            Self::RsaOaepSha256 => KeyLength { least: 1, most: 2048 },
        }
    }

    /// The name in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::XWing => "x-wing",
            Self::X25519 => "x25519",
            Self::RsaOaepSha256 => "rsa-oaep-sha256",
        }
    }

    /// The mechanism with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kem| kem.name() == name)
    }
}

/// How long an encoded public key may be, in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyLength {
    /// At least so long.
    pub least: usize,
    /// At most so long.
    pub most: usize,
}

impl KeyLength {
    /// Whether a key may be so long.
    #[must_use]
    pub fn contains(self, length: usize) -> bool {
        (self.least..=self.most).contains(&length)
    }
}

impl fmt::Display for KeyLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { least, most } = self;
        if least == most { write!(f, "{most}") } else { write!(f, "{least} to {most}") }
    }
}

/// What the hardware is asked to sign: nonce, purpose and key, each with its length in front, so that no
/// two different triples have the same bytes.
#[derive(Clone, Copy, Debug)]
pub struct Transcript<'a> {
    /// The verifier's nonce.
    pub nonce: &'a [u8; 32],
    /// The purpose of the answer.
    pub context: &'a str,
    /// The key to bind.
    pub key: &'a OfferedKey,
}

impl Transcript<'_> {
    /// The domain that keeps these hashes apart from every other use of SHA-2.
    pub const DOMAIN: &'static [u8] = b"cloudtaser/attest/v1";

    /// The bytes to hand to the hardware: SHA-512 of the transcript for the report data of SNP and TDX and
    /// for the `user_data` of a Nitro document (64 bytes), SHA-256 of it for a TPM quote's qualifying data
    /// (32 bytes).
    #[must_use]
    pub fn caller_data(&self, crypto: &dyn Crypto, platform: Platform) -> Vec<u8> {
        let kem = self.key.kem.id().to_be_bytes();
        let fields: [&[u8]; 4] = [self.nonce, self.context.as_bytes(), &kem, &self.key.public];
        let lengths = fields.map(|field| u64::try_from(field.len()).unwrap_or(u64::MAX).to_be_bytes());
        let mut parts: Vec<&[u8]> = vec![Self::DOMAIN];
        for (length, field) in lengths.iter().zip(fields) {
            parts.push(length);
            parts.push(field);
        }
        match platform {
            Platform::SevSnp | Platform::Tdx | Platform::Nitro | Platform::NitroTpm => {
                crypto.sha512(&parts).0.to_vec()
            }
            Platform::Tpm2 | Platform::AzureSnp | Platform::AzureTdx => crypto.sha256(&parts).0.to_vec(),
        }
    }
}

/// A key that the hardware vouched for, in answer to our challenge. Not `Clone`: one challenge, one key.
#[derive(Debug)]
pub struct AttestedKey {
    offered: OfferedKey,
    context: String,
}

impl AttestedKey {
    /// Says that the hardware vouched for this key, for this purpose.
    pub(crate) fn assertion(offered: OfferedKey, context: String) -> Self {
        Self { offered, context }
    }

    /// The key itself.
    #[must_use]
    pub fn key(&self) -> &OfferedKey {
        &self.offered
    }

    /// The purpose that the challenge was drawn for.
    #[must_use]
    pub fn context(&self) -> &str {
        &self.context
    }
}

/// Why a challenge was not honoured.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Stale {
    /// The challenge was answered before.
    #[error("challenge was answered before")]
    Answered,
    /// The answer came at or after the expiry.
    #[error("challenge expired at {expires}, answered at {now}")]
    Expired {
        /// The first second that is too late.
        expires: UnixTime,
        /// When the answer was judged.
        now: UnixTime,
    },
    /// The hardware signed some other nonce, purpose or key.
    #[error("signed report data does not bind this nonce, purpose and key")]
    NotBound,
}
