//! Registers that can only be extended: TPM PCRs, Nitro PCRs, TDX RTMRs.
//!
//! Trusted: the digests that are put in, which this program computed.

use attest::crypto::{AwsLcRs, Crypto as _};
use clap::ValueEnum;

/// The hash of a register.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Bank {
    /// 32 bytes.
    Sha256,
    /// 48 bytes.
    Sha384,
}

impl Bank {
    /// The hash of the parts, one after the other.
    pub(crate) fn hash(self, parts: &[&[u8]]) -> Vec<u8> {
        match self {
            Self::Sha256 => AwsLcRs.sha256(parts).0.to_vec(),
            Self::Sha384 => AwsLcRs.sha384(parts).0.to_vec(),
        }
    }

    /// As policies name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
        }
    }
}

/// A register as it is after a reset, then extended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Register {
    bank: Bank,
    value: Vec<u8>,
}

impl Register {
    pub(crate) fn new(bank: Bank) -> Self {
        Self { bank, value: vec![0; bank.hash(&[]).len()] }
    }

    /// Extends by a digest.
    pub(crate) fn extend(&mut self, digest: &[u8]) {
        self.value = self.bank.hash(&[&self.value, digest]);
    }

    /// Extends by the digest of data.
    pub(crate) fn measure(&mut self, data: &[u8]) {
        let digest = self.bank.hash(&[data]);
        self.extend(&digest);
    }

    pub(crate) fn value(&self) -> &[u8] {
        &self.value
    }
}
