//! The collateral store: what vendors sign about hardware, so that no vendor's service is on the way of a release.
//!
//! Objects lie under their digest, where records find them too; an index says of what kind each is, for whom, and until
//! when it is good ([`index`]). What enters was verified up to the mount's anchors, newer takes the place of older and
//! never the reverse ([`import`]). A judgement looks up what the evidence asks for ([`Store::complete`]).
//!
//! Trusted: the storage, the anchors. Untrusted: every object that comes in.

mod bag;
mod cache;
mod candidate;
mod config;
mod import;
mod index;
mod missing;
mod names;
mod paths;
mod plan;
mod status;
mod store;

pub(crate) use bag::Bag;
pub(crate) use candidate::{Candidate, fresh};
pub(crate) use config::{pack_signers, stored_signers};
pub(crate) use index::Index;
pub(crate) use paths::manage;
pub(crate) use status::warn;
pub(crate) use store::{Shelf, Store, Taking};

/// Storage keys of this room. Another node's change of one of them is not a change of the mount's configuration.
pub(crate) const INDEX: &str = "collateral-index/";
