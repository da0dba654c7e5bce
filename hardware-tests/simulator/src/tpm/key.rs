//! Attestation keys: RSA fixtures and keys on P-256 that follow from a seed.

use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};

use super::Statement;
use super::statement::sized;
use crate::ecdsa::{Curve, Key};

/// A key that signs whatever it is asked to. Copies share the private part.
#[derive(Clone, Debug)]
pub struct AttestationKey {
    pair: Pair,
    attributes: u32,
}

#[derive(Clone, Debug)]
enum Pair {
    Rsa(Arc<KeyPair>),
    Ec(Box<Key>),
}

impl AttestationKey {
    /// One of two RSA-2048 keys: that of an even number, or that of an odd one.
    ///
    /// # Panics
    ///
    /// If a fixture is broken, which the tests of this crate would tell.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the fixtures are part of this crate")]
    pub fn rsa(number: u8) -> Self {
        let fixture: &[u8] = if number.is_multiple_of(2) {
            include_bytes!("../../fixtures/tpm/ak-2.pkcs1.der")
        } else {
            include_bytes!("../../fixtures/tpm/ak-1.pkcs1.der")
        };
        let pair = KeyPair::from_der(fixture).expect("fixture is a PKCS #1 RSA key");
        Self { pair: Pair::Rsa(Arc::new(pair)), attributes: USUAL }
    }

    /// The P-256 key of a seed.
    #[must_use]
    pub fn ec(seed: u64) -> Self {
        let label = format!("cloudtaser simulator: attestation key {seed}");
        Self { pair: Pair::Ec(Box::new(Key::derive(Curve::P256, label.as_bytes()))), attributes: USUAL }
    }

    /// Gives the key other attributes (`TPMA_OBJECT`).
    #[must_use]
    pub fn attributes(mut self, attributes: u32) -> Self {
        self.attributes = attributes;
        self
    }

    /// The `SubjectPublicKeyInfo`, DER.
    ///
    /// # Panics
    ///
    /// Never: a key in hand encodes.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a key in hand encodes")]
    pub fn spki(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_der().expect("a key in hand encodes").as_ref().to_vec(),
            Pair::Ec(key) => key.spki(),
        }
    }

    /// The modulus of an RSA key; nothing for another.
    #[must_use]
    pub fn modulus(&self) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_key().modulus().big_endian_without_leading_zero().to_vec(),
            Pair::Ec(_) => Vec::new(),
        }
    }

    /// The public area (`TPMT_PUBLIC`): signs with RSASSA or ECDSA, and SHA-256.
    #[must_use]
    pub fn public_area(&self) -> Vec<u8> {
        let attributes = self.attributes.to_be_bytes();
        match &self.pair {
            Pair::Rsa(_) => {
                let head = [&[0x00, 0x01, 0x00, 0x0b][..], &attributes, &[0, 0]].concat();
                // No symmetric algorithm, RSASSA with SHA-256, 2048 bits, the default exponent.
                let parameters = [0x00, 0x10, 0x00, 0x14, 0x00, 0x0b, 0x08, 0x00, 0, 0, 0, 0];
                [head, parameters.to_vec(), sized(&self.modulus())].concat()
            }
            Pair::Ec(key) => {
                let head = [&[0x00, 0x23, 0x00, 0x0b][..], &attributes, &[0, 0]].concat();
                // No symmetric algorithm, ECDSA with SHA-256, P-256, no key derivation.
                let parameters = [0x00, 0x10, 0x00, 0x18, 0x00, 0x0b, 0x00, 0x03, 0x00, 0x10];
                let (x, y) = key.coordinates().split_at_checked(32).unwrap_or_default();
                [head, parameters.to_vec(), sized(x), sized(y)].concat()
            }
        }
    }

    /// The name: SHA-256 of the public area, behind its identifier.
    #[must_use]
    pub fn name(&self) -> Vec<u8> {
        hashed(&[&self.public_area()])
    }

    /// The qualified name of a primary key in the endorsement hierarchy.
    #[must_use]
    pub fn qualified_name(&self) -> Vec<u8> {
        hashed(&[&ENDORSEMENT_HIERARCHY.to_be_bytes(), &self.name()])
    }

    /// A `TPMT_SIGNATURE`.
    ///
    /// # Panics
    ///
    /// If the system has no random source.
    #[must_use]
    #[expect(clippy::expect_used, reason = "signing with a key in hand fails only without a random source")]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let random = SystemRandom::new();
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).expect("RSA signs");
                [&[0x00, 0x14, 0x00, 0x0b][..], &sized(&signature)].concat()
            }
            Pair::Ec(key) => {
                let signature = key.sign(message);
                let (r, s) = signature.split_at_checked(32).unwrap_or_default();
                [&[0x00, 0x18, 0x00, 0x0b][..], &sized(r), &sized(s)].concat()
            }
        }
    }

    /// Evidence: the statement by this key, its signature, the public area and the PCR values. The signer is this
    /// key in the endorsement hierarchy, unless the statement names another.
    #[must_use]
    pub fn quote(&self, statement: &Statement) -> Vec<u8> {
        let attest = statement.marshal(&self.qualified_name());
        self.evidence(&attest, &self.sign(&attest), statement)
    }

    /// Evidence with any signature.
    #[must_use]
    pub fn evidence(&self, attest: &[u8], signature: &[u8], statement: &Statement) -> Vec<u8> {
        [sized(attest), signature.to_vec(), sized(&self.public_area()), statement.beside()].concat()
    }
}

fn hashed(parts: &[&[u8]]) -> Vec<u8> {
    let digest = digest::digest(&digest::SHA256, &parts.concat());
    [&[0x00, 0x0b][..], digest.as_ref()].concat()
}

/// fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, sign: as Azure makes its keys.
const USUAL: u32 = 0x0005_0472;
/// `TPM_RH_ENDORSEMENT`.
const ENDORSEMENT_HIERARCHY: u32 = 0x4000_000b;
