//! The log's key: it signs the head of the tree, and nothing else.
//!
//! Ed25519, made once for each mount, apart from the key that signs records. The log is named after the mount's UUID,
//! which stays the same when the mount is moved.

use attest::crypto::AwsLcRs;
use attest::log::{Checkpoint, Head, KeyName, NoteKey, Origin, SignatureKind, SignedNote};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use openbao_plugin::Error;

/// Signs checkpoints.
#[derive(Debug)]
pub(crate) struct LogSigner {
    pair: Ed25519KeyPair,
    key: NoteKey,
    origin: Origin,
}

impl LogSigner {
    /// With the mount's seed, for the mount of this UUID.
    pub(crate) fn new(seed: &[u8; 32], mount_uuid: &str) -> Result<Self, Error> {
        let unusable = |why: &dyn std::fmt::Display| Error::Internal(format!("log key: {why}"));
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|why| unusable(&why))?;
        let key = pair.public_key().as_ref().try_into().map_err(|why| unusable(&why))?;
        let name = format!("openbao/{mount_uuid}");
        let origin = Origin::new(&name).map_err(|why| unusable(&why))?;
        let name = KeyName::new(&name).map_err(|why| unusable(&why))?;
        Ok(Self { pair, key: NoteKey { name, kind: SignatureKind::Ed25519, key }, origin })
    }

    /// The key, as auditors pin it.
    pub(crate) fn key(&self) -> &NoteKey {
        &self.key
    }

    /// The name of the log.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// A signed checkpoint over this head.
    pub(crate) fn sign(&self, head: Head) -> Result<Vec<u8>, Error> {
        let text = Checkpoint { origin: self.origin.clone(), head }.to_text();
        let signature = self.pair.sign(text.as_bytes());
        let line = self.key.line(&AwsLcRs, signature.as_ref());
        SignedNote::assemble(&text, &[line]).map_err(|why| Error::Internal(format!("checkpoint: {why}")))
    }
}
