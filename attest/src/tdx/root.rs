//! Intel's root key, pinned.
//!
//! One certificate, compiled in, with the digest of its public key beside it; a reader can compare it with
//! `https://certificates.trustedservices.intel.com/Intel_SGX_Provisioning_Certification_RootCA.cer`. A root is
//! recognised by its public key, never by its name or by where it stands in a chain.
//!
//! Trusted: the caller's anchors.

use crate::CannotJudge;
use crate::anchors::Der;
use crate::crypto::PublicKey;
use crate::x509::Certificate;

/// A root that the caller trusts.
#[derive(Debug)]
pub(super) struct Root<'a> {
    pub(super) certificate: Certificate<'a>,
    pub(super) key: PublicKey,
}

impl<'a> Root<'a> {
    pub(super) fn open(der: &'a [u8]) -> Result<Self, CannotJudge> {
        let certificate = Certificate::parse(der)?;
        let key = certificate.key()?;
        Ok(Self { certificate, key })
    }

    pub(super) fn subject(&self) -> &[u8] {
        self.certificate.subject()
    }

    pub(super) fn spki(&self) -> &[u8] {
        self.certificate.spki()
    }
}

/// The pinned roots, DER.
pub(crate) fn vendor_roots() -> Vec<Der> {
    vec![Der::Borrowed(INTEL)]
}

/// "Intel SGX Root CA", until the end of 2049.
const INTEL: &[u8] = include_bytes!("roots/intel-sgx-root-ca.der");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Crypto;
    use crate::crypto::AwsLcRs;

    #[test]
    fn the_pinned_root_has_this_key_and_signs_itself() {
        let root = Root::open(INTEL).unwrap();
        let digest = "a0af031289f5d5d4132f9186068a7fc13628633ba235777472e29b6b6c67a49e";
        assert_eq!(AwsLcRs.sha256(&[root.spki()]).to_string(), digest);
        assert_eq!(root.certificate.signed_by(&AwsLcRs, &root.key), Ok(()));
    }
}
