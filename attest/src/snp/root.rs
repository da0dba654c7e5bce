//! AMD's root keys, pinned.
//!
//! One ARK certificate per product line, compiled in, with the digests by which a reader can compare it
//! with AMD's key distribution service (`https://kdsintf.amd.com/vcek/v1/{line}/cert_chain`). A root is
//! recognised by its public key, never by its name or by where it stands in a file.

use std::borrow::Cow;

use crate::crypto::PublicKey;
use crate::x509::Certificate;
use crate::{CannotJudge, Crypto, Digest, Window};

use super::Product;

/// A root certificate that the caller trusts.
#[derive(Clone, Debug)]
pub struct Root {
    der: Cow<'static, [u8]>,
}

/// What [`Root::open`] takes out of a root certificate.
#[derive(Debug)]
pub(crate) struct OpenRoot {
    pub(crate) product: Product,
    pub(crate) subject: Vec<u8>,
    pub(crate) spki: Vec<u8>,
    pub(crate) key: PublicKey,
    pub(crate) window: Window,
}

impl Root {
    /// AMD's roots.
    #[must_use]
    pub fn vendor() -> Vec<Self> {
        PINNED.iter().map(|(_, der, _)| Self { der: Cow::Borrowed(*der) }).collect()
    }

    /// A root of nobody's, for simulated silicon.
    pub(crate) fn simulated(der: &[u8]) -> Result<Self, CannotJudge> {
        let root = Self { der: Cow::Owned(der.to_vec()) };
        root.open()?;
        Ok(root)
    }

    /// The certificate.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    pub(crate) fn open(&self) -> Result<OpenRoot, CannotJudge> {
        let certificate = Certificate::parse(&self.der)?;
        let name = certificate.common_name();
        let line = name.strip_prefix("ARK-").unwrap_or("");
        let product = Product::ALL.into_iter().find(|product| product.name() == line);
        let product = product.ok_or_else(|| {
            CannotJudge::TrustAnchor(format!("expected a common name like ARK-Genoa, found {name:?}"))
        })?;
        Ok(OpenRoot {
            product,
            subject: certificate.subject().to_vec(),
            spki: certificate.spki().to_vec(),
            key: certificate.key()?,
            window: certificate.window(),
        })
    }
}

/// The certificates of AMD's intermediate keys (ASK and ASVK of every line), DER. They are endorsements
/// like any other and are verified like any other; a machine whose host does not hand them out can be
/// verified with these.
#[must_use]
pub fn vendor_intermediates() -> Vec<Vec<u8>> {
    INTERMEDIATES.iter().map(|der| der.to_vec()).collect()
}

/// The SHA-256 of the public key of each pinned root, for documents and `inspect`.
#[must_use]
pub fn vendor_root_digests(crypto: &dyn Crypto) -> Vec<(Product, Digest<32>)> {
    let opened = Root::vendor().into_iter().filter_map(|root| root.open().ok());
    opened.map(|root| (root.product, crypto.sha256(&[&root.spki]))).collect()
}

/// Product line, certificate, SHA-256 of its `SubjectPublicKeyInfo`.
const PINNED: [(Product, &[u8], &str); 3] = [
    (
        Product::Milan,
        include_bytes!("roots/milan-ark.der"),
        "9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9",
    ),
    (
        Product::Genoa,
        include_bytes!("roots/genoa-ark.der"),
        "429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831",
    ),
    (
        Product::Turin,
        include_bytes!("roots/turin-ark.der"),
        "4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08",
    ),
];

const INTERMEDIATES: [&[u8]; 6] = [
    include_bytes!("roots/milan-ask.der"),
    include_bytes!("roots/milan-asvk.der"),
    include_bytes!("roots/genoa-ask.der"),
    include_bytes!("roots/genoa-asvk.der"),
    include_bytes!("roots/turin-ask.der"),
    include_bytes!("roots/turin-asvk.der"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::AwsLcRs;

    #[test]
    fn the_pinned_roots_have_the_digests_written_beside_them_and_sign_themselves() {
        for ((product, der, digest), root) in PINNED.iter().zip(Root::vendor()) {
            let opened = root.open().unwrap();
            assert_eq!(opened.product, *product);
            assert_eq!(AwsLcRs.sha256(&[&opened.spki]).to_string(), *digest);
            assert_eq!(Certificate::parse(der).unwrap().signed_by(&AwsLcRs, &opened.key), Ok(()));
        }
    }

    #[test]
    fn every_vendor_intermediate_is_signed_by_a_pinned_root() {
        let roots: Vec<OpenRoot> = Root::vendor().iter().map(|root| root.open().unwrap()).collect();
        for der in vendor_intermediates() {
            let certificate = Certificate::parse(&der).unwrap();
            let signers = roots.iter().filter(|root| certificate.signed_by(&AwsLcRs, &root.key).is_ok());
            assert_eq!(signers.count(), 1);
        }
    }
}
