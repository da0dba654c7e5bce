//! ECDSA keys that follow from a label, so that the same label is the same key on every machine.

use std::sync::Arc;

use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, PrivateKey};
use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
};

use crate::der;

/// A curve, with the hash that goes with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Curve {
    /// NIST P-256 with SHA-256.
    P256,
    /// NIST P-384 with SHA-384.
    P384,
}

/// A key pair; copies share it.
#[derive(Clone, Debug)]
pub struct Key {
    curve: Curve,
    pair: Arc<EcdsaKeyPair>,
    point: Vec<u8>,
}

impl Key {
    /// The key of `label`: the same label gives the same key.
    ///
    /// # Panics
    ///
    /// If the label's hash is no scalar of the curve, which of the few fixed labels none is.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a hash is outside the curve's scalar range once in 2^32 labels")]
    pub fn derive(curve: Curve, label: &[u8]) -> Self {
        let scalar = digest::digest(curve.hash(), label);
        let private =
            PrivateKey::from_private_key(curve.agreement(), scalar.as_ref()).expect("a hash is a scalar");
        let point = private.compute_public_key().expect("a scalar has a point").as_ref().to_vec();
        let pair = EcdsaKeyPair::from_private_key_and_public_key(curve.signing(), scalar.as_ref(), &point);
        Self { curve, pair: Arc::new(pair.expect("the point belongs to the scalar")), point }
    }

    /// The public point, uncompressed: `x` and `y` after a byte 4.
    #[must_use]
    pub fn point(&self) -> &[u8] {
        &self.point
    }

    /// `x` and `y`, as Intel's quotes carry a key.
    #[must_use]
    pub fn coordinates(&self) -> &[u8] {
        self.point.get(1..).unwrap_or_default()
    }

    /// The `SubjectPublicKeyInfo`, DER.
    #[must_use]
    pub fn spki(&self) -> Vec<u8> {
        let algorithm = der::sequence(&[der::oid(EC_PUBLIC_KEY), der::oid(self.curve.oid())]);
        der::sequence(&[algorithm, der::bit_string(&self.point)])
    }

    /// The key identifier: SHA-1 of the public key bits (RFC 5280, 4.2.1.2, method 1).
    #[must_use]
    pub fn key_id(&self) -> Vec<u8> {
        digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.point).as_ref().to_vec()
    }

    /// `r` and `s`, big endian, each as long as the curve's scalars.
    ///
    /// # Panics
    ///
    /// If the system has no random source.
    #[must_use]
    #[expect(clippy::expect_used, reason = "signing with a key in hand fails only without a random source")]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(&SystemRandom::new(), message).expect("a key signs").as_ref().to_vec()
    }

    /// A signature as X.509 carries it: a DER sequence of `r` and `s`.
    #[must_use]
    pub fn sign_der(&self, message: &[u8]) -> Vec<u8> {
        let signature = self.sign(message);
        let (r, s) = signature.split_at(signature.len() / 2);
        der::sequence(&[der::integer(r), der::integer(s)])
    }

    /// The `AlgorithmIdentifier` of its signatures, DER.
    #[must_use]
    pub fn algorithm(&self) -> Vec<u8> {
        der::sequence(&[der::oid(self.curve.signature_oid())])
    }
}

impl Curve {
    const fn hash(self) -> &'static digest::Algorithm {
        match self {
            Self::P256 => &SHA256,
            Self::P384 => &SHA384,
        }
    }

    const fn agreement(self) -> &'static agreement::Algorithm {
        match self {
            Self::P256 => &ECDH_P256,
            Self::P384 => &ECDH_P384,
        }
    }

    const fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        }
    }

    const fn oid(self) -> &'static [u64] {
        match self {
            Self::P256 => &[1, 2, 840, 10_045, 3, 1, 7],
            Self::P384 => &[1, 3, 132, 0, 34],
        }
    }

    /// `ecdsa-with-SHA256` and `ecdsa-with-SHA384` (RFC 5758, 3.2).
    const fn signature_oid(self) -> &'static [u64] {
        match self {
            Self::P256 => &[1, 2, 840, 10_045, 4, 3, 2],
            Self::P384 => &[1, 2, 840, 10_045, 4, 3, 3],
        }
    }
}

const EC_PUBLIC_KEY: &[u64] = &[1, 2, 840, 10_045, 2, 1];
