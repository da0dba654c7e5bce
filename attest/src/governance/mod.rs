//! Rule by more than one: who may change what a mount believes, and who did.
//!
//! A mount names [`Approvers`]. From then on what it believes changes by a [`Proposal`] that enough of them sign
//! ([`Approvers::tally`]), or, for at most a day, by an [`Emergency`] that one of them signs. What is signed is a text that
//! a person can read; it names the mount, the new content and the content that it takes the place of, so that a
//! signature counts for one mount, one change and one base. Each step is a signed [`Deed`] in the release log.
//!
//! Trusted: the approvers' keys. Untrusted: proposals, signatures, and a deed until [`Deed::open`].

mod approver;
mod change;
mod deed;
mod signature;

pub use approver::{Approver, Approvers, BadApprovers, Counted};
pub use change::{Change, Emergency, Item, Kind, Proposal};
pub use deed::{Act, BadDeed, Deed};
pub use signature::{Approval, ApproverKey, BadApproval, BadKey};
