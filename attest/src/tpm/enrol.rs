//! For those who enrol keys: the name of a key, and a public area where only the key itself was kept.
//!
//! Nothing here gives trust: a name counts once an operator put it among the [`crate::TrustAnchors`].

use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo};

use super::Name;
use super::algorithm::{self, SigningScheme};
use super::public::{Attributes, Public};
use super::quote::{Quote, put_tpm2b};
use super::signature::padded;
use crate::bytes::Malformed;
use crate::crypto::{Crypto, Hash, PublicKey};
use crate::{CannotJudge, x509};

impl Name {
    /// The name of the key with this public area (`TPMT_PUBLIC`).
    pub fn of_public(crypto: &dyn Crypto, area: &[u8]) -> Result<Self, Malformed> {
        Ok(Self::of(crypto, Public::parse(area)?.name_algorithm, area))
    }
}

impl Quote<'_> {
    /// The name of the key that came with the quote, unverified: what an operator would enrol.
    #[must_use]
    pub fn ak_name(&self, crypto: &dyn Crypto) -> Name {
        Name::of(crypto, self.public.name_algorithm, self.area)
    }
}

/// The public area (`TPMT_PUBLIC`) that an attestation key usually has, for a key of which only its
/// `SubjectPublicKeyInfo` (DER) was kept, as in a provider's AK certificate: SHA-256 name, the attributes of
/// `tpm2_createak`, no policy, this scheme. What the TPM really has may differ; enrol the TPM's own name where
/// it is known.
pub fn usual_public_area(spki: &[u8], scheme: SigningScheme, hash: Hash) -> Result<Vec<u8>, CannotJudge> {
    let unusable = |problem: String| CannotJudge::Endorsement { what: "attestation key", problem };
    let (rest, info) = SubjectPublicKeyInfo::from_der(spki).map_err(|error| unusable(error.to_string()))?;
    if !rest.is_empty() {
        return Err(unusable(format!("{} bytes follow the key", rest.len())));
    }
    let key = x509::public_key(&info)?;
    area(&key, scheme, hash).ok_or_else(|| unusable("expected RSA, P-256 or P-384".to_owned()))
}

fn area(key: &PublicKey, scheme: SigningScheme, hash: Hash) -> Option<Vec<u8>> {
    let kind = if matches!(key, PublicKey::Rsa { .. }) { algorithm::RSA } else { algorithm::ECC };
    let mut bytes = Vec::new();
    put_u16s(&mut bytes, &[kind, algorithm::hash_id(Hash::Sha256)]);
    bytes.extend(Attributes::USUAL.to_be_bytes());
    // No policy, no symmetric algorithm.
    put_u16s(&mut bytes, &[0, algorithm::NULL, scheme.id(), algorithm::hash_id(hash)]);
    match key {
        PublicKey::Rsa { n, e } => {
            put_u16s(&mut bytes, &[u16::try_from(n.len().checked_mul(8)?).ok()?]);
            // TPMs write the default exponent, 2^16 + 1, as zero.
            let exponent = if e == &[1, 0, 1] { vec![0; 4] } else { padded(e, 4)? };
            bytes.extend(exponent);
            put_tpm2b(&mut bytes, n);
        }
        PublicKey::P256(point) => put_point(&mut bytes, 0x0003, point, 32)?,
        PublicKey::P384(point) => put_point(&mut bytes, 0x0004, point, 48)?,
        PublicKey::Ed25519(_) => return None,
    }
    Some(bytes)
}

/// Curve, no key derivation, x and y.
fn put_point(bytes: &mut Vec<u8>, curve: u16, point: &[u8], size: usize) -> Option<()> {
    put_u16s(bytes, &[curve, algorithm::NULL]);
    let (x, y) = point.get(1..)?.split_at_checked(size)?;
    put_tpm2b(bytes, x);
    put_tpm2b(bytes, y);
    Some(())
}

fn put_u16s(bytes: &mut Vec<u8>, numbers: &[u16]) {
    for number in numbers {
        bytes.extend(number.to_be_bytes());
    }
}
