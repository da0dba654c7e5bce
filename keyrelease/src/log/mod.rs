//! The release log: every decision is an entry before anything leaves.
//!
//! Entries are chained and hashed into a Merkle tree ([`attest::log`]); this room keeps them in the mount's storage
//! and signs the tree's head. Decisions that come at the same time are written together: one transaction holds their
//! records, their entries and the new head, and only then do their callers learn that they are on record. Every
//! transaction reads the head that it replaces, so that of two writers, wherever they run, one has to begin again.
//!
//! Trusted: OpenBao's storage. Untrusted: nothing comes here that was not judged.

mod draft;
mod file;
mod position;
mod recent;
mod serve;
mod signer;
mod tip;
mod writer;

pub(crate) use draft::{Draft, Facts, subject};
pub(crate) use file::StoredRecord;
pub(crate) use serve::{bundles, end, read};
pub(crate) use signer::LogSigner;
pub(crate) use writer::Log;
