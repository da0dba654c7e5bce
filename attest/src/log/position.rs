//! A record's place in the log, for somebody who has nothing else of the log.
//!
//! The entry, the proof that the tree of a checkpoint holds it, and that checkpoint: [`Position::holds`] needs the log's
//! key and nothing more. That the log never showed another tree to anybody, only witnesses can say.
//!
//! Trusted: the log's key. Untrusted: the position.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};

use super::checkpoint::{BadCheckpoint, SignedCheckpoint};
use super::entry::{BadEntry, Entry};
use super::names::RecordDigest;
use super::note::NoteKey;
use super::proof::{BadProof, Proof};
use super::tree::leaf_hash;
use crate::{Crypto, Digest};

/// An entry with the proof that it is in a log.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Position {
    /// The bytes of the entry.
    #[n(0)]
    pub entry: ByteVec,
    /// The hashes beside its way to the root, from the leaf upwards.
    #[n(1)]
    pub proof: Vec<Digest<32>>,
    /// The signed checkpoint.
    #[n(2)]
    pub checkpoint: ByteVec,
}

impl Position {
    /// The entry of `record`, if the log with this key has it in its tree. The key's name is the log's origin.
    pub fn holds(&self, crypto: &dyn Crypto, record: &[u8], key: &NoteKey) -> Result<Entry, NotLogged> {
        let entry = Entry::decode(&self.entry)?;
        let (expected, found) = (RecordDigest::of(crypto, record), entry.event.record);
        if expected != found {
            return Err(NotLogged::Record { expected, found });
        }
        let origin = super::Origin::new(key.name.as_str())?;
        let checkpoint =
            SignedCheckpoint::parse(&self.checkpoint)?.open(crypto, &origin, std::slice::from_ref(key))?;
        let leaf = leaf_hash(crypto, &self.entry);
        Proof(self.proof.clone()).includes(crypto, leaf, entry.index, &checkpoint.head)?;
        Ok(entry)
    }
}

/// Why a record is not known to be in a log.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotLogged {
    /// The entry cannot be read.
    #[error(transparent)]
    Entry(#[from] BadEntry),
    /// The entry is another record's.
    #[error("the entry is of another record: expected {expected}, found {found}")]
    Record {
        /// Of this record.
        expected: RecordDigest,
        /// In the entry.
        found: RecordDigest,
    },
    /// The checkpoint is not the log's.
    #[error(transparent)]
    Checkpoint(#[from] BadCheckpoint),
    /// The tree does not have the entry.
    #[error(transparent)]
    Proof(#[from] BadProof),
}
