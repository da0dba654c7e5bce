//! Registers of this machine: what is added to one stays in it until the next boot.
//!
//! What the agent wants believed goes into a register before the hardware signs it: the cluster that the machine belongs
//! to, and what the kernel says of itself. A register only ever takes more in, so nobody who comes later takes it back.
//!
//! Untrusted: the values read here. A verifier reads them from what the hardware signed.

use std::collections::BTreeMap;
use std::fmt;

use attest::crypto::Hash;

use crate::device::Fault;

/// A PCR or an RTMR.
pub trait Register: fmt::Debug + Send + Sync {
    /// For people: `PCR 15`, `RTMR 3`.
    fn name(&self) -> String;

    /// Its value in each bank; empty where the kernel does not tell.
    fn values(&self) -> Result<BTreeMap<Hash, Vec<u8>>, Fault>;

    /// Takes in the hash of `content`, in each bank by that bank's own function.
    fn extend(&self, content: &[u8]) -> Result<(), Fault>;
}
