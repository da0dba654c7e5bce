//! Keys of approvers, and their signatures: from a file, a smart card or a hardware module.
//!
//! The algorithm follows from the key: Ed25519; ECDSA on P-256 with SHA-256 and on P-384 with SHA-384, in either of the
//! two encodings that programs write; RSA of 2048 bits or more with SHA-256, PSS or PKCS #1 v1.5.
//!
//! Untrusted: every byte.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use x509_parser::prelude::FromDer;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::crypto::{Hash, PublicKey, Scheme};
use crate::log::Text;
use crate::x509::{der_signature, public_key};
use crate::{Crypto, Digest};

/// The public key of an approver.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApproverKey {
    key: PublicKey,
    spki: Vec<u8>,
}

impl ApproverKey {
    /// Out of a PEM `PUBLIC KEY`, or the 64 hex digits of an Ed25519 key.
    pub fn parse(text: &str) -> Result<Self, BadKey> {
        if let Ok(Digest(key)) = text.trim().parse::<Digest<32>>() {
            return Self::from_der(&[ED25519.as_slice(), &key].concat());
        }
        let mut blocks = x509_parser::pem::Pem::iter_from_buffer(text.as_bytes());
        match (blocks.next(), blocks.next()) {
            (Some(Ok(block)), None) if block.label == "PUBLIC KEY" => Self::from_der(&block.contents),
            _ => Err(BadKey::Form),
        }
    }

    /// Out of a DER `SubjectPublicKeyInfo`.
    pub fn from_der(spki: &[u8]) -> Result<Self, BadKey> {
        let kept = spki.to_vec();
        if let Some(key) = spki.strip_prefix(&ED25519) {
            let key = key.try_into().map_err(|_why| BadKey::Form)?;
            return Ok(Self { key: PublicKey::Ed25519(key), spki: kept });
        }
        let (rest, parsed) = SubjectPublicKeyInfo::from_der(spki).map_err(|_why| BadKey::Form)?;
        let curve = parsed.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
        let curve = curve.map(|oid| oid.to_id_string()).unwrap_or_default();
        let key = public_key(&parsed).map_err(|_why| BadKey::Algorithm)?;
        let fits = match &key {
            PublicKey::P256(_) => curve == "1.2.840.10045.3.1.7",
            PublicKey::P384(_) => curve == "1.3.132.0.34",
            PublicKey::Rsa { n, .. } => (256..=1024).contains(&n.len()),
            PublicKey::Ed25519(_) => false,
        };
        if fits && rest.is_empty() { Ok(Self { key, spki: kept }) } else { Err(BadKey::Algorithm) }
    }

    /// The DER `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Whether it is the same key, however it is written: there are several DER forms of one key.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// SHA-256 of the DER `SubjectPublicKeyInfo`.
    #[must_use]
    pub fn id(&self, crypto: &dyn Crypto) -> Digest<32> {
        crypto.sha256(&[&self.spki])
    }

    /// What kind of key it is: `Ed25519`, `P-256`, `P-384`, `RSA-3072`.
    #[must_use]
    pub fn algorithm(&self) -> String {
        match &self.key {
            PublicKey::P256(_) => "P-256".to_owned(),
            PublicKey::P384(_) => "P-384".to_owned(),
            PublicKey::Rsa { n, .. } => format!("RSA-{}", n.len().saturating_mul(8)),
            PublicKey::Ed25519(_) => "Ed25519".to_owned(),
        }
    }

    /// Whether this key signed `text`.
    #[must_use]
    pub fn signed(&self, crypto: &dyn Crypto, text: &str, signature: &[u8]) -> bool {
        let holds =
            |scheme, signature: &[u8]| crypto.verify(scheme, &self.key, text.as_bytes(), signature).is_ok();
        match &self.key {
            PublicKey::Ed25519(_) => holds(Scheme::Ed25519, signature),
            PublicKey::P256(_) => {
                fixed(signature, 32).is_some_and(|fixed| holds(Scheme::EcdsaP256Sha256, &fixed))
            }
            PublicKey::P384(_) => {
                fixed(signature, 48).is_some_and(|fixed| holds(Scheme::EcdsaP384Sha384, &fixed))
            }
            PublicKey::Rsa { .. } => RSA.into_iter().any(|scheme| holds(scheme, signature)),
        }
    }
}

/// r ‖ s, out of that or of DER.
fn fixed(signature: &[u8], width: usize) -> Option<Vec<u8>> {
    if signature.len() == width.saturating_mul(2) {
        return Some(signature.to_vec());
    }
    der_signature(signature, width)
}

/// The signature of one approver under one text.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Approval {
    /// The approver's name.
    #[n(0)]
    pub approver: Text<64>,
    /// The key that signed: DER `SubjectPublicKeyInfo`.
    #[n(1)]
    pub key: ByteVec,
    /// The signature.
    #[n(2)]
    pub signature: ByteVec,
}

/// Why an approval does not count.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadApproval {
    /// Nobody has this name.
    #[error("approver: expected one of {expected}, found {found:?}")]
    Unknown {
        /// The names of those who approve.
        expected: String,
        /// The name.
        found: String,
    },
    /// No key of this approver signed this.
    #[error("signature: expected one by {approver} over this very text, found another")]
    Signature {
        /// The approver.
        approver: String,
    },
}

/// Why bytes are not the key of an approver.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BadKey {
    /// Another form.
    #[error("key: expected one PEM block PUBLIC KEY, or an Ed25519 key of 64 hex digits")]
    Form,
    /// Another algorithm, or too small.
    #[error("key: expected Ed25519, P-256, P-384 or RSA of 2048 to 8192 bits")]
    Algorithm,
}

/// What stands before the 32 bytes in a DER `SubjectPublicKeyInfo` (RFC 8410, section 4).
const ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What cards, modules and openssl make.
const RSA: [Scheme; 3] =
    [Scheme::RsaPss(Hash::Sha256), Scheme::RsaPkcs1(Hash::Sha256), Scheme::RsaPssLongestSalt(Hash::Sha256)];
