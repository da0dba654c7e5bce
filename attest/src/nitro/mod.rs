//! AWS Nitro: documents of the Nitro security module, about an enclave or (`NitroTPM`) about an instance.
//!
//! [`Document::parse`] → [`crate::Endorsements::prepare`] verifies the path from AWS' root to the leaf that
//! stands in the document, once → [`crate::Evidence::verify`] checks the document's signature under that leaf.
//! What a *policy* thinks of the claims is decided in [`crate::Policy`]. After AWS' "Nitro Enclaves Attestation
//! Process", sections 2.2 and 3.2, and "Validate a `NitroTPM` Attestation Document" of the EC2 user guide.
//!
//! Trusted: the roots in [`crate::TrustAnchors`]. Untrusted: the document, with the certificates in it.

mod cbor;
mod chain;
mod claims;
mod cose;
mod document;
mod path;
mod root;
mod verify;

pub(crate) use chain::prepare;
pub use chain::{Chain, Signer};
pub use claims::Claims;
pub use document::{Attached, Document, Fields, Pcr};
pub(crate) use root::vendor_roots;
pub use root::{vendor_root_digest, verify_root};
pub(crate) use verify::verify;
