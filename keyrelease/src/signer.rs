//! The verifier's key: it signs every record.
//!
//! Ed25519, made once for each mount, kept in OpenBao's barrier. Auditors pin its public half.

use attest::crypto::AwsLcRs;
use attest::governance::{BadDeed, Deed};
use attest::{BadBundle, Bundle, VerifierKey};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

/// Signs records.
#[derive(Debug)]
pub(crate) struct Signer {
    pair: Ed25519KeyPair,
    public: VerifierKey,
}

impl Signer {
    pub(crate) fn new(seed: &[u8; 32]) -> Result<Self, UnusableKey> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_why| UnusableKey)?;
        let public = pair.public_key().as_ref().try_into().map(VerifierKey).map_err(|_why| UnusableKey)?;
        Ok(Self { pair, public })
    }

    pub(crate) fn public(&self) -> VerifierKey {
        self.public
    }

    /// The bundle's signed record.
    pub(crate) fn sign(&self, bundle: &Bundle) -> Result<Vec<u8>, BadBundle> {
        self.sign_payload(bundle.record(&AwsLcRs)?)
    }

    /// Any payload as a signed record.
    pub(crate) fn sign_payload(&self, payload: Vec<u8>) -> Result<Vec<u8>, BadBundle> {
        let signed = Bundle::to_be_signed(payload.clone(), &self.public, &AwsLcRs);
        let signature = self.pair.sign(&signed).as_ref().to_vec();
        Bundle::signed(payload, &self.public, &AwsLcRs, signature)
    }

    /// The file of a deed.
    pub(crate) fn sign_deed(&self, deed: &Deed) -> Result<Vec<u8>, BadDeed> {
        let payload = deed.to_cbor()?;
        let signed = Deed::to_be_signed(payload.clone(), &self.public, &AwsLcRs);
        let signature = self.pair.sign(&signed).as_ref().to_vec();
        Deed::signed(payload, &self.public, &AwsLcRs, signature)
    }
}

/// The stored key is not a key.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("stored verifier key is unusable")]
pub(crate) struct UnusableKey;
