//! The signing keys: RSA-4096 fixtures for the authorities, P-384 keys derived from a chip's seed.
//!
//! The fixtures are public test keys, made once because RSA-4096 generation is slow. There are two sets per
//! product, so that evidence under "another vendor" is well formed in everything but its root.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use aws_lc_rs::agreement::{ECDH_P384, PrivateKey};
use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RsaSignatureEncoding,
};

use super::Product;
use crate::der;

/// Whose root keys sign. Both are test keys; they differ in nothing else.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Vendor {
    /// The set that tests and the demonstration pass as their root.
    Simulated,
    /// A second set with the same names, for evidence under a root that nobody passed.
    Other,
}

/// A certificate authority's place in the chain.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Role {
    /// AMD root key: self-signed, issues the intermediates and the revocation list.
    Ark,
    /// AMD SEV key: issues VCEKs.
    Ask,
    /// AMD SEV VLEK key: issues VLEKs.
    Asvk,
}

/// One of the RSA-4096 authorities.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Authority {
    /// Which set of keys.
    pub vendor: Vendor,
    /// Which product line.
    pub product: Product,
    /// Which place in the chain.
    pub role: Role,
}

impl Authority {
    /// The common name, such as `ARK-Genoa`, `SEV-Genoa` or `SEV-VLEK-Genoa`.
    #[must_use]
    pub fn common_name(self) -> String {
        let product = self.product.name();
        match self.role {
            Role::Ark => format!("ARK-{product}"),
            Role::Ask => format!("SEV-{product}"),
            Role::Asvk => format!("SEV-VLEK-{product}"),
        }
    }

    /// The `SubjectPublicKeyInfo`, DER.
    #[must_use]
    pub fn spki(self) -> Vec<u8> {
        let algorithm = der::sequence(&[der::oid(RSA_ENCRYPTION), der::null()]);
        der::sequence(&[algorithm, der::bit_string(&self.rsa_public_key())])
    }

    /// The key identifier: SHA-1 of the public key bits (RFC 5280, 4.2.1.2, method 1).
    #[must_use]
    pub fn key_id(self) -> Vec<u8> {
        digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.rsa_public_key()).as_ref().to_vec()
    }

    /// Signs with this authority's key.
    #[expect(
        clippy::expect_used,
        reason = "a fixture key signs whatever it is given; there is no caller's mistake to report"
    )]
    pub(super) fn sign(self, encoding: &'static RsaSignatureEncoding, message: &[u8]) -> Vec<u8> {
        let key = self.key();
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(encoding, &SystemRandom::new(), message, &mut signature).expect("RSA-4096 fixture signs");
        signature
    }

    fn rsa_public_key(self) -> Vec<u8> {
        self.key().public_key().as_ref().to_vec()
    }

    /// Parsing checks the key, which costs more than a signature: done once.
    #[expect(
        clippy::expect_used,
        reason = "the fixtures are part of this crate, and its tests parse all of them"
    )]
    fn key(self) -> Arc<KeyPair> {
        static PARSED: LazyLock<Mutex<BTreeMap<Authority, Arc<KeyPair>>>> = LazyLock::new(Mutex::default);
        let mut parsed = PARSED.lock().unwrap_or_else(PoisonError::into_inner);
        let parse = || Arc::new(KeyPair::from_der(self.fixture()).expect("fixture is a PKCS #1 RSA key"));
        Arc::clone(parsed.entry(self).or_insert_with(parse))
    }

    const fn fixture(self) -> &'static [u8] {
        match (self.vendor, self.product, self.role) {
            (Vendor::Simulated, Product::Milan, Role::Ark) => {
                include_bytes!("../../fixtures/amd/simulated-milan-ark.pkcs1.der")
            }
            (Vendor::Simulated, Product::Milan, Role::Ask) => {
                include_bytes!("../../fixtures/amd/simulated-milan-ask.pkcs1.der")
            }
            (Vendor::Simulated, Product::Milan, Role::Asvk) => {
                include_bytes!("../../fixtures/amd/simulated-milan-asvk.pkcs1.der")
            }
            (Vendor::Simulated, Product::Genoa, Role::Ark) => {
                include_bytes!("../../fixtures/amd/simulated-genoa-ark.pkcs1.der")
            }
            (Vendor::Simulated, Product::Genoa, Role::Ask) => {
                include_bytes!("../../fixtures/amd/simulated-genoa-ask.pkcs1.der")
            }
            (Vendor::Simulated, Product::Genoa, Role::Asvk) => {
                include_bytes!("../../fixtures/amd/simulated-genoa-asvk.pkcs1.der")
            }
            (Vendor::Simulated, Product::Turin, Role::Ark) => {
                include_bytes!("../../fixtures/amd/simulated-turin-ark.pkcs1.der")
            }
            (Vendor::Simulated, Product::Turin, Role::Ask) => {
                include_bytes!("../../fixtures/amd/simulated-turin-ask.pkcs1.der")
            }
            (Vendor::Simulated, Product::Turin, Role::Asvk) => {
                include_bytes!("../../fixtures/amd/simulated-turin-asvk.pkcs1.der")
            }
            (Vendor::Other, Product::Milan, Role::Ark) => {
                include_bytes!("../../fixtures/amd/other-milan-ark.pkcs1.der")
            }
            (Vendor::Other, Product::Milan, Role::Ask) => {
                include_bytes!("../../fixtures/amd/other-milan-ask.pkcs1.der")
            }
            (Vendor::Other, Product::Milan, Role::Asvk) => {
                include_bytes!("../../fixtures/amd/other-milan-asvk.pkcs1.der")
            }
            (Vendor::Other, Product::Genoa, Role::Ark) => {
                include_bytes!("../../fixtures/amd/other-genoa-ark.pkcs1.der")
            }
            (Vendor::Other, Product::Genoa, Role::Ask) => {
                include_bytes!("../../fixtures/amd/other-genoa-ask.pkcs1.der")
            }
            (Vendor::Other, Product::Genoa, Role::Asvk) => {
                include_bytes!("../../fixtures/amd/other-genoa-asvk.pkcs1.der")
            }
            (Vendor::Other, Product::Turin, Role::Ark) => {
                include_bytes!("../../fixtures/amd/other-turin-ark.pkcs1.der")
            }
            (Vendor::Other, Product::Turin, Role::Ask) => {
                include_bytes!("../../fixtures/amd/other-turin-ask.pkcs1.der")
            }
            (Vendor::Other, Product::Turin, Role::Asvk) => {
                include_bytes!("../../fixtures/amd/other-turin-asvk.pkcs1.der")
            }
        }
    }
}

/// A P-384 endorsement key (VCEK or VLEK), derived from what it belongs to.
#[derive(Debug)]
pub(super) struct EndorsementKey {
    pair: EcdsaKeyPair,
    public: Vec<u8>,
}

impl EndorsementKey {
    /// The key of `label`: the same label gives the same key.
    #[expect(
        clippy::expect_used,
        reason = "a 384-bit hash is outside the curve's scalar range once in 2^190 labels"
    )]
    pub(super) fn derive(label: &[u8]) -> Self {
        let scalar = digest::digest(&digest::SHA384, label);
        let private =
            PrivateKey::from_private_key(&ECDH_P384, scalar.as_ref()).expect("hash is a P-384 scalar");
        let public = private.compute_public_key().expect("a scalar has a point").as_ref().to_vec();
        let algorithm = &ECDSA_P384_SHA384_FIXED_SIGNING;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(algorithm, scalar.as_ref(), &public);
        Self { pair: pair.expect("the point belongs to the scalar"), public }
    }

    /// The `SubjectPublicKeyInfo`, DER.
    pub(super) fn spki(&self) -> Vec<u8> {
        let algorithm = der::sequence(&[der::oid(EC_PUBLIC_KEY), der::oid(SECP384R1)]);
        der::sequence(&[algorithm, der::bit_string(&self.public)])
    }

    /// ECDSA with SHA-384: `r` and `s`, 48 bytes each, big endian.
    #[expect(clippy::expect_used, reason = "signing with a key in hand fails only without a random source")]
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(&SystemRandom::new(), message).expect("P-384 key signs").as_ref().to_vec()
    }
}

const RSA_ENCRYPTION: &[u64] = &[1, 2, 840, 113_549, 1, 1, 1];
const EC_PUBLIC_KEY: &[u64] = &[1, 2, 840, 10_045, 2, 1];
const SECP384R1: &[u64] = &[1, 3, 132, 0, 34];
