//! The release log: every decision one entry, no entry ever taken back.
//!
//! An [`Entry`] names its predecessor's digest, so entries form a chain; their hashes are the leaves of a
//! Merkle tree (RFC 6962), whose size and root the log signs as a [`Checkpoint`]. The files have the form of
//! C2SP's `tlog-tiles`, so that existing witnesses can cosign what this log says. An
//! [`Audit`] reads all of it again and says exactly what is wrong; a [`Recall`] says what was released to whom.
//!
//! Trusted: the keys of the log and its witnesses, and the checkpoints that an auditor kept. Untrusted:
//! everything that was exported, until an [`Audit`] is through with it.

mod checkpoint;
mod entry;
mod names;
mod note;
mod position;
mod proof;
mod recall;
mod report;
mod selector;
mod tail;
mod tampered;
mod tile;
mod tree;
mod verify;

pub use checkpoint::{BadCheckpoint, BadQuorum, Checkpoint, Cosignature, Origin, Quorum, SignedCheckpoint};
pub use entry::{BadEntry, Entry, Event, Format, Kind, PolicyRef, SecretRef, Subject};
pub use names::{BadText, DecisionId, EntryDigest, Measurement, RecordDigest, SaltedName, Text};
pub use note::{BadKey, BadNote, KeyId, KeyName, NoteKey, SignatureKind, SignedNote};
pub use position::{NotLogged, Position};
pub use proof::{BadProof, Nodes, Proof, consistency, inclusion};
pub use recall::Recall;
pub use report::{Exposed, Granted, Recipient, Released, Report, Secret, Selected};
pub use selector::{BadSelector, Selector};
pub use tail::{Break, Tail};
pub use tampered::Tampered;
pub use tile::{BadPath, Edge, Level, Tile, Width, bundle, cut, entries, hashes, hashes_from, nodes};
pub use tree::{BadFrontier, Frontier, Head, LeafHash, leaf_hash};
pub use verify::{Audit, Fault, Files, Witnessed};
