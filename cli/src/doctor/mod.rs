//! Is this OpenBao set up as one that holds a bank's secrets should be?
//!
//! [`look`] asks the server and comes back with [`facts`], [`checks`] judges them without touching the world. What could not be seen is *unknown*, never a pass.
//!
//! Trusted: the environment and the command line. Untrusted: every answer of the server; it is capped in
//! size and time, and what it says of itself is only what it says.

mod acl;
pub(crate) mod checks;
pub(crate) mod facts;
mod handshake;
pub(crate) mod look;
mod old_tls;
mod pattern;
mod plugin_files;

pub(crate) use checks::{Finding, Property, Verdict};
