//! AWS' root key, pinned.
//!
//! The certificate "G1" of the commercial partition, compiled in, with the digest that AWS publishes beside the
//! file `AWS_NitroEnclaves_Root-G1.zip`. A root is recognised by its public key, never by its name or by where it
//! stands in a bundle.

use std::borrow::Cow;

use crate::anchors::Der;
use crate::check::{Check, Checks};
use crate::crypto::PublicKey;
use crate::verified::Rejected;
use crate::x509::Certificate;
use crate::{CannotJudge, Crypto, Digest, Platform, TrustAnchors, UnixTime, Unverified, Window};

/// What is needed of a root certificate.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) subject: Vec<u8>,
    pub(super) spki: Vec<u8>,
    pub(super) key: PublicKey,
    pub(super) window: Window,
    /// How many authorities may stand between it and a leaf.
    pub(super) path_limit: Option<usize>,
}

impl Root {
    pub(super) fn open(der: &Der) -> Result<Self, CannotJudge> {
        let certificate = Certificate::parse(der)?;
        if !certificate.is_authority() {
            return Err(CannotJudge::TrustAnchor("expected a certificate authority".to_owned()));
        }
        Ok(Self {
            subject: certificate.subject().to_vec(),
            spki: certificate.spki().to_vec(),
            key: certificate.key()?,
            window: certificate.window(),
            path_limit: certificate.path_limit(),
        })
    }
}

/// The pinned roots, DER.
pub(crate) fn vendor_roots() -> Vec<Der> {
    vec![Cow::Borrowed(G1)]
}

/// The SHA-256 of the pinned root certificate, as AWS publishes it.
#[must_use]
pub fn vendor_root_digest(crypto: &dyn Crypto) -> Digest<32> {
    crypto.sha256(&[G1])
}

/// Verifies a root certificate by itself: an anchor's key, its own signature, its dates.
pub fn verify_root(
    der: &[u8],
    crypto: &dyn Crypto,
    anchors: &TrustAnchors,
    now: UnixTime,
) -> Result<Vec<Check>, Unverified> {
    let certificate = Certificate::parse(der)?;
    let roots: Vec<Root> = anchors.aws.iter().map(Root::open).collect::<Result<_, _>>()?;
    let anchor = roots.iter().find(|root| root.spki == certificate.spki());
    let signed = anchor.is_some_and(|root| certificate.signed_by(crypto, &root.key).is_ok());
    let mut checks = Checks::default();
    let found = crypto.sha256(&[certificate.spki()]).to_string();
    let expected = format!("a {} root", anchors.roots());
    checks.ask("nitro.chain.root", anchor.is_some(), expected, found);
    let found = if signed { "verifies" } else { "does not verify" };
    checks.ask("nitro.chain.root_signature", signed, "a signature by itself", found);
    let window = certificate.window();
    let inside = window.contains(now);
    checks.ask("nitro.chain.dates", inside, "the instant of the judgement inside", window.to_string());
    if checks.hold() {
        return Ok(checks.into_vec());
    }
    Err(Unverified::Rejected(Rejected::new(Platform::Nitro, checks, anchors.roots())))
}

const G1: &[u8] = include_bytes!("roots/aws-g1.der");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::AwsLcRs;

    #[test]
    fn the_pinned_root_has_the_digest_that_aws_publishes_and_signs_itself() {
        let published = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b";
        assert_eq!(vendor_root_digest(&AwsLcRs).to_string(), published);
        let root = Root::open(&Cow::Borrowed(G1)).unwrap();
        assert_eq!(Certificate::parse(G1).unwrap().signed_by(&AwsLcRs, &root.key), Ok(()));
    }
}
