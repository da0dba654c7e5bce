//! Who signs in Intel's hierarchy: the root, the two authorities for platforms, and the TCB signer.
//!
//! The keys follow from the names, so they are public test keys: whoever trusts one trusts everybody.

use aws_lc_rs::digest;

use super::Vendor;
use crate::der;
use crate::ecdsa::{Curve, Key};
use crate::x509::{Issuer, attribute};

/// A place in the hierarchy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Intel SGX Root CA: self-signed, issues the others and the root's revocation list.
    Root,
    /// Issues PCK certificates of multi-package platforms, and their revocation list.
    PlatformCa,
    /// Issues PCK certificates of single-package platforms, and their revocation list.
    ProcessorCa,
    /// Signs TCB info and QE identity.
    TcbSigning,
}

/// One of the signers, under one of two vendors that differ in nothing but their keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Authority {
    /// Which set of keys.
    pub vendor: Vendor,
    /// Which place in the hierarchy.
    pub role: Role,
}

impl Authority {
    /// The common name, such as `Intel SGX Root CA`.
    #[must_use]
    pub const fn common_name(self) -> &'static str {
        match self.role {
            Role::Root => "Intel SGX Root CA",
            Role::PlatformCa => "Intel SGX PCK Platform CA",
            Role::ProcessorCa => "Intel SGX PCK Processor CA",
            Role::TcbSigning => "Intel SGX TCB Signing",
        }
    }

    /// The key.
    #[must_use]
    pub fn key(self) -> Key {
        let Self { vendor, role } = self;
        Key::derive(Curve::P256, format!("cloudtaser simulator: Intel {vendor:?} {role:?}").as_bytes())
    }

    /// Name and key.
    #[must_use]
    pub fn issuer(self) -> Issuer {
        Issuer { name: intel_name(self.common_name()), key: self.key() }
    }

    /// The serial number of its certificate: as with Intel, its key identifier.
    #[must_use]
    pub fn serial(self) -> Vec<u8> {
        self.key().key_id()
    }
}

/// A name in the order and the string types of Intel's certificates, DER; only the common name varies.
#[must_use]
pub fn intel_name(common_name: &str) -> Vec<u8> {
    der::sequence(&[
        attribute(3, der::utf8_string(common_name)),
        attribute(10, der::utf8_string("Intel Corporation")),
        attribute(7, der::utf8_string("Santa Clara")),
        attribute(8, der::utf8_string("CA")),
        attribute(6, der::printable_string("US")),
    ])
}

/// `N` bytes that follow from a label.
pub(super) fn bytes_of<const N: usize>(label: &str) -> [u8; N] {
    let hash = digest::digest(&digest::SHA512, format!("cloudtaser simulator: {label}").as_bytes());
    let mut bytes = [0; N];
    for (byte, value) in bytes.iter_mut().zip(hash.as_ref()) {
        *byte = *value;
    }
    bytes
}
