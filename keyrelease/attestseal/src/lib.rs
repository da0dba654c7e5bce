//! May OpenBao open itself on this machine, now?
//!
//! A plugin that encrypts OpenBao's root key. It holds no key of its own: for each operation it has this
//! machine attest to a *peer*, another OpenBao, which releases the key-encryption key ([`peer`]), and
//! forgets it again. [`config`] says which; [`wrap`] is the encryption.
//!
//! Trusted: the configuration of the server. Untrusted: the network, the node agent, the ciphertexts in
//! OpenBao's storage.
#![forbid(unsafe_code)]

pub mod config;
pub mod peer;
mod seal;
pub mod wrap;

pub use seal::AttestSeal;
