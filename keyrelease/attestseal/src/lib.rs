//! May OpenBao open itself on this machine, now?
//!
//! A plugin that encrypts OpenBao's root key. It has no key of its own: this machine attests either to a
//! *peer*, another OpenBao, which releases the key for one operation ([`peer`]), or to *custodians*, people
//! who each hold a share of it ([`custodians`]). [`config`] says which; [`wrap`] is the encryption.
//!
//! Trusted: the configuration of the server. Untrusted: the network, the node agent, the ciphertexts in
//! OpenBao's storage.
#![forbid(unsafe_code)]

pub mod config;
pub mod custodians;
pub mod peer;
mod seal;
pub mod wrap;

pub use seal::AttestSeal;
