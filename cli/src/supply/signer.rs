//! The key of whoever puts packs together.
//!
//! Trusted: the key file. It is read, used and dropped; nothing of it is printed.

use std::path::Path;

use attest::collateral::{Pack, PackSigner};
use attest::crypto::AwsLcRs;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use crate::answer::NotJudged;
use crate::policy_sign::key_pair;

/// Signs packs.
#[derive(Debug)]
pub(crate) struct Signer {
    pair: Ed25519KeyPair,
    pub(crate) public: PackSigner,
}

impl Signer {
    /// The Ed25519 key in a PKCS#8 file.
    pub(crate) fn read(path: &Path) -> Result<Self, NotJudged> {
        let pair = key_pair(path)?;
        let public = pair.public_key().as_ref().try_into().map(PackSigner);
        let public =
            public.map_err(|_why| NotJudged::new("signer.key", "expected a public key of 32 bytes"))?;
        Ok(Self { pair, public })
    }

    /// The file of a pack.
    pub(crate) fn sign(&self, pack: &Pack) -> Result<Vec<u8>, NotJudged> {
        let signed = pack.to_be_signed(&self.public, &AwsLcRs)?;
        let signature = self.pair.sign(&signed).as_ref().to_vec();
        Ok(pack.signed(&self.public, &AwsLcRs, signature)?)
    }
}
