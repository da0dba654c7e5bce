//! Collateral on its way to a verifier's store: out of files, packs and vendors' services.
//!
//! [`stock`] is objects with what verification says of each, [`signer`] the key of whoever packs, [`mount`] the store on
//! the other side, [`refresh`] what fetches before things end.
//!
//! Untrusted: every object, until it was verified up to an anchor.

pub(crate) mod mount;
pub(crate) mod refresh;
pub(crate) mod signer;
pub(crate) mod stock;
