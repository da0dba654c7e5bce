//! A key in the hands of several: which shares make it whole, and what may be done without them.
//!
//! [`shamir`] splits 32 bytes. [`Custodians`] is the public document of a set: who holds which share, and
//! the public half of the key. [`share`] seals a share to its custodian, and later to an attested machine.
//! [`vault`] encrypts to the set and decrypts with the whole key. No I/O, no clock; bytes in, bytes out.
//!
//! Trusted: the document of the set. Untrusted: shares, until their digest is the one that was dealt.
#![forbid(unsafe_code)]

mod custodians;
pub mod shamir;
pub mod share;
pub mod vault;

pub use custodians::{BadSet, Custodian, Custodians, SetId};

/// Bytes of the key that is split, of a share, and of a custodian's private key.
pub const KEY: usize = 32;

/// SHA-256 over parts of variable length, each with its length before it.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in parts {
        digest.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(part);
    }
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(digest.finish().as_ref()) {
        *to = *from;
    }
    bytes
}
