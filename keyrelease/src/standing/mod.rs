//! Standing: who was revoked, who failed, and what that closes.
//!
//! A *bar* is one reason not to admit machines, whatever their evidence says ([`attest::Bar`]). It takes hold at once and for
//! everything: the writer of the log asks again, in the very commit that would record a release, whether a bar was
//! written since the release was judged. So nothing that a bar concerns is released after the entry of that bar.
//!
//! Trusted: the operator who revokes, and evidence that a machine gave of its own failure.

mod bars;
mod lease;
mod recall;
mod revoke;
mod shards;

pub(crate) use bars::Bars;
pub(crate) use lease::{LeaseTerms, Renewal, guest, renew};
pub(crate) use revoke::{failure, recall_only, reinstate, revoke, show};
pub(crate) use shards::{Change, load, writes};
