//! Signed policies: who wrote this document, and is it newer than the one we have?
//!
//! A policy travels as a `COSE_Sign1` whose payload is its text. Whoever stores policies pins the keys of
//! their authors, opens the file, and lets an edition in only if it [succeeds](Policy::succeeds) the stored
//! one: a version never goes back, and one version never stands for two texts. The author's key and the right
//! to store are two things in two hands.
//!
//! Trusted: the pinned keys and the stored edition. Untrusted: the file.

use crate::envelope::{BadEnvelope, Envelope};
use crate::{Crypto, Digest, UnixTime};

use super::{BadPolicy, Policy};

/// The Ed25519 public key of somebody who may write policies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PolicySigner(pub [u8; 32]);

impl PolicySigner {
    /// SHA-256 of the key: the `kid` of its signatures.
    #[must_use]
    pub fn id(&self, crypto: &dyn Crypto) -> Digest<32> {
        crypto.sha256(&[&self.0])
    }
}

/// A policy whose author is known.
#[derive(Clone, Debug)]
pub struct SignedPolicy {
    /// The policy.
    pub policy: Policy,
    /// The text that it was parsed from.
    pub text: String,
    /// The id of the key that signed it.
    pub signer: Digest<32>,
}

impl SignedPolicy {
    /// The content type in the protected header.
    pub const MEDIA_TYPE: &'static str = "application/vnd.cloudtaser.policy.v1+toml";
    /// The longest file that is opened, in bytes.
    pub const MAX_BYTES: usize = Policy::MAX_BYTES.saturating_add(1024);

    /// The COSE `Sig_structure` that an author's key signs for this text.
    #[must_use]
    pub fn to_be_signed(text: &str, key: &PolicySigner, crypto: &dyn Crypto) -> Vec<u8> {
        ENVELOPE.to_be_signed(text.as_bytes().to_vec(), &key.0, crypto)
    }

    /// The file: text, key id and signature. What is not a policy gets no file.
    pub fn signed(
        text: &str,
        key: &PolicySigner,
        crypto: &dyn Crypto,
        signature: Vec<u8>,
    ) -> Result<Vec<u8>, BadSignedPolicy> {
        Policy::parse(crypto, text)?;
        Ok(ENVELOPE.signed(text.as_bytes().to_vec(), &key.0, crypto, signature)?)
    }

    /// The key id that a file names, before anything is checked.
    pub fn signer_of(file: &[u8]) -> Result<Digest<32>, BadSignedPolicy> {
        Ok(ENVELOPE.signer(file)?)
    }

    /// Checks the file's signature under one of `keys` and parses the policy in it.
    pub fn open(file: &[u8], keys: &[PolicySigner], crypto: &dyn Crypto) -> Result<Self, BadSignedPolicy> {
        let keys: Vec<[u8; 32]> = keys.iter().map(|key| key.0).collect();
        let (payload, signer) = ENVELOPE.open(file, &keys, crypto)?;
        let text = String::from_utf8(payload).map_err(|_why| BadSignedPolicy::NotText)?;
        Ok(Self { policy: Policy::parse(crypto, &text)?, text, signer })
    }

    /// The text in a file, whoever signed it: for somebody who only looks.
    pub fn insecure_peek(file: &[u8]) -> Result<String, BadSignedPolicy> {
        String::from_utf8(ENVELOPE.insecure_peek(file)?).map_err(|_why| BadSignedPolicy::NotText)
    }

    /// Whether these bytes begin as a signed file does. No policy's text begins so: it is UTF-8.
    #[must_use]
    pub fn looks_signed(bytes: &[u8]) -> bool {
        // The head of a CBOR array of four elements.
        bytes.first() == Some(&0x84)
    }
}

/// One edition of a policy: what a store remembers of the one that it has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Edition {
    /// The policy's name.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// SHA-256 of its text.
    pub digest: Digest<32>,
}

impl Policy {
    /// Which edition this is.
    #[must_use]
    pub fn edition(&self) -> Edition {
        Edition { name: self.name().to_owned(), version: self.version(), digest: self.digest() }
    }

    /// Whether this policy may take the place of the one that a store has. The very same edition may be
    /// stored again; an older one, another text under the same version, another name or one that has ended
    /// may not.
    pub fn succeeds(&self, stored: Option<&Edition>, now: UnixTime) -> Result<(), NotASuccessor> {
        if now >= self.expires() {
            return Err(NotASuccessor::Expired { expires: self.expires(), now });
        }
        let Some(stored) = stored else { return Ok(()) };
        let (expected, found) = (stored.version, self.version());
        if stored.name != self.name() {
            let (expected, found) = (stored.name.clone(), self.name().to_owned());
            return Err(NotASuccessor::OtherName { expected, found });
        }
        match found.cmp(&expected) {
            std::cmp::Ordering::Greater => Ok(()),
            std::cmp::Ordering::Equal if stored.digest == self.digest() => Ok(()),
            std::cmp::Ordering::Equal => Err(NotASuccessor::OtherText {
                version: found,
                expected: stored.digest,
                found: self.digest(),
            }),
            std::cmp::Ordering::Less => Err(NotASuccessor::Older { expected, found }),
        }
    }
}

/// Why a policy may not take the place of another.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotASuccessor {
    /// It has ended.
    #[error("policy expired at {expires}, it is {now}")]
    Expired {
        /// Its end.
        expires: UnixTime,
        /// When it was offered.
        now: UnixTime,
    },
    /// It has another name.
    #[error("policy name: expected {expected:?}, found {found:?}")]
    OtherName {
        /// The stored name.
        expected: String,
        /// The offered name.
        found: String,
    },
    /// Its version is lower.
    #[error("policy version: expected above {expected}, found {found}")]
    Older {
        /// The stored version.
        expected: u64,
        /// The offered version.
        found: u64,
    },
    /// Its version is the stored one's, and its text is not.
    #[error("policy version {version} was another text: expected digest {expected}, found {found}")]
    OtherText {
        /// Both versions.
        version: u64,
        /// The digest of the stored text.
        expected: Digest<32>,
        /// The digest of the offered text.
        found: Digest<32>,
    },
}

const ENVELOPE: Envelope =
    Envelope { media_type: SignedPolicy::MEDIA_TYPE, max_bytes: SignedPolicy::MAX_BYTES };

/// Why a file is not a signed policy.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadSignedPolicy {
    /// Not a `COSE_Sign1` of the right form.
    #[error("not a signed policy: {0}")]
    Cose(String),
    /// The key that the file names is not pinned.
    #[error("policy signed by a key that is not pinned: {0}")]
    UnknownSigner(Digest<32>),
    /// The signature does not verify.
    #[error("signature by policy key {0} does not verify")]
    Signature(Digest<32>),
    /// The payload is not UTF-8.
    #[error("policy does not parse: expected UTF-8")]
    NotText,
    /// Longer than any policy.
    #[error("signed policy is longer than {limit} bytes: found {found}")]
    TooLong {
        /// The limit.
        limit: usize,
        /// The length.
        found: usize,
    },
    /// The text is not a policy.
    #[error(transparent)]
    Policy(#[from] BadPolicy),
}

impl From<BadEnvelope> for BadSignedPolicy {
    fn from(error: BadEnvelope) -> Self {
        match error {
            BadEnvelope::TooLong { limit, found } => Self::TooLong { limit, found },
            BadEnvelope::Cose(why) => Self::Cose(why),
            BadEnvelope::UnknownSigner(signer) => Self::UnknownSigner(signer),
            BadEnvelope::Signature(signer) => Self::Signature(signer),
        }
    }
}
