//! The public areas that TPMs make of their endorsement keys, where only a certificate is at hand.
//!
//! TCG EK Credential Profile 2.5, annex B: the default templates L-1 (RSA 2048) and L-2 (P-256), and H-3 (P-384)
//! of the high range. What a TPM really has may differ; a credential for another public area does not open.

use x509_parser::prelude::{FromDer, X509Certificate};

use super::algorithm;
use super::quote::put_tpm2b;
use crate::crypto::{Hash, PublicKey};
use crate::{CannotJudge, x509};

/// The public area (`TPMT_PUBLIC`) of the endorsement key in this certificate (DER), by the default template for
/// keys of its kind.
pub fn ek_template(certificate: &[u8]) -> Result<Vec<u8>, CannotJudge> {
    let unusable = |problem: String| CannotJudge::Endorsement { what: "endorsement key", problem };
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| unusable(error.to_string()))?;
    let key = x509::public_key(parsed.public_key())?;
    area(&key).ok_or_else(|| unusable("expected RSA with 2048 bits, P-256 or P-384".to_owned()))
}

fn area(key: &PublicKey) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    match key {
        PublicKey::Rsa { n, e } if n.len() == 256 && e == &[1, 0, 1] => {
            head(&mut bytes, algorithm::RSA, Hash::Sha256, LOW, &POLICY_A, 128);
            // No scheme; 2048 bits; zero stands for the exponent 2^16 + 1.
            bytes.extend([0x00, 0x10, 0x08, 0x00, 0, 0, 0, 0]);
            put_tpm2b(&mut bytes, n);
        }
        PublicKey::P256(point) => {
            head(&mut bytes, algorithm::ECC, Hash::Sha256, LOW, &POLICY_A, 128);
            ecc(&mut bytes, 0x0003, point, 32)?;
        }
        PublicKey::P384(point) => {
            head(&mut bytes, algorithm::ECC, Hash::Sha384, HIGH, &POLICY_B, 256);
            ecc(&mut bytes, 0x0004, point, 48)?;
        }
        PublicKey::Rsa { .. } | PublicKey::Ed25519(_) => return None,
    }
    Some(bytes)
}

/// Type, name algorithm, attributes, policy, AES in CFB mode.
fn head(bytes: &mut Vec<u8>, kind: u16, hash: Hash, attributes: u32, policy: &[u8], bits: u16) {
    bytes.extend(kind.to_be_bytes());
    bytes.extend(algorithm::hash_id(hash).to_be_bytes());
    bytes.extend(attributes.to_be_bytes());
    put_tpm2b(bytes, policy);
    for number in [algorithm::AES, bits, algorithm::CFB] {
        bytes.extend(number.to_be_bytes());
    }
}

/// No scheme, the curve, no key derivation, the point.
fn ecc(bytes: &mut Vec<u8>, curve: u16, point: &[u8], size: usize) -> Option<()> {
    for number in [algorithm::NULL, curve, algorithm::NULL] {
        bytes.extend(number.to_be_bytes());
    }
    let (x, y) = point.get(1..)?.split_at_checked(size)?;
    put_tpm2b(bytes, x);
    put_tpm2b(bytes, y);
    Some(())
}

/// fixedTPM, fixedParent, sensitiveDataOrigin, adminWithPolicy, restricted, decrypt.
const LOW: u32 = 0x0003_00b2;
/// And userWithAuth.
const HIGH: u32 = 0x0003_00f2;

/// `TPM2_PolicySecret` of the endorsement hierarchy, SHA-256 (annex B.6.2).
const POLICY_A: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd,
    0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
];
/// The same or an authorised policy, SHA-384 (annex B.6.6).
const POLICY_B: [u8; 48] = [
    0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc, 0xf5, 0xfd, 0x3a, 0x1a, 0x07,
    0x41, 0x48, 0xbb, 0x35, 0xd3, 0xb4, 0xe4, 0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca, 0xcb, 0x47,
    0xba, 0x09, 0x69, 0x96, 0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12,
];
