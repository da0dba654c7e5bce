//! A digest whose hash function is known only at run time: that of a bank.

use std::fmt;

use crate::crypto::{Crypto, Hash};

/// What a register of some bank holds, or what was measured into it. Prints as hex.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Measurement {
    bytes: [u8; 64],
    length: usize,
}

impl Measurement {
    /// The digest of the parts, one after the other.
    #[must_use]
    pub fn of(crypto: &dyn Crypto, bank: Hash, parts: &[&[u8]]) -> Self {
        match bank {
            Hash::Sha1 => Self::from(&crypto.sha1(parts).0),
            Hash::Sha256 => Self::from(&crypto.sha256(parts).0),
            Hash::Sha384 => Self::from(&crypto.sha384(parts).0),
            Hash::Sha512 => Self::from(&crypto.sha512(parts).0),
        }
    }

    /// A value of the bank of which every byte is this.
    pub(crate) fn filled(bank: Hash, byte: u8) -> Self {
        let length = bank.length();
        let mut bytes = [0; 64];
        bytes.iter_mut().take(length).for_each(|place| *place = byte);
        Self { bytes, length }
    }

    /// These bytes, at most 64 of them.
    pub(crate) fn from(digest: &[u8]) -> Self {
        let mut bytes = [0; 64];
        bytes.iter_mut().zip(digest).for_each(|(place, byte)| *place = *byte);
        Self { bytes, length: digest.len().min(64) }
    }

    /// The same with another last byte.
    pub(crate) fn ending(mut self, byte: u8) -> Self {
        if let Some(last) = self.bytes.get_mut(..self.length).and_then(<[u8]>::last_mut) {
            *last = byte;
        }
        self
    }

    /// The register's next value when this digest is extended into it (TPM 2.0 Part 1, clause 17.2).
    pub(crate) fn extended(&self, crypto: &dyn Crypto, bank: Hash, digest: &[u8]) -> Self {
        Self::of(crypto, bank, &[self.as_bytes(), digest])
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&self.bytes)
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.as_bytes()))
    }
}

impl fmt::Debug for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Measurement {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
