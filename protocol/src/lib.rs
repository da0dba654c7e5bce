//! The words that CloudTaser's rooms share.
//!
//! [`agent`]: what a local process and the node agent say to each other over a Unix socket.
//! [`enforcer`]: what a process and the enforcer say to each other.
//! [`enrol`]: what a TPM and OpenBao say to each other before a node's first login.
//! [`protection`]: what a wrapper found out about itself.
//! [`release`]: what a client and OpenBao say to each other to have a secret released.
//! [`released`]: what the answer is, for a key of either kind.
//! [`secret`]: the plaintext inside a sealed secret.
//! [`unseal`]: what a custodian and a machine that waits to be unsealed say to each other.
//! No I/O, no cryptography: bytes to values and back, with every length checked.
#![forbid(unsafe_code)]

pub mod agent;
pub mod enforcer;
pub mod enrol;
mod naming;
pub mod protection;
pub mod release;
pub mod released;
pub mod secret;
pub mod unseal;

pub use attest::{Digest, Kem, OfferedKey, Platform};
pub use naming::Unknown;
