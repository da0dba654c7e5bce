//! The attestation key: believed because an operator enrolled its name.
//!
//! [`prepare`] compares the name of the key that came with the quote (a hash over its whole public area) with
//! the enrolled ones, and checks that such a key signs nothing but what its TPM made.
//!
//! Trusted: the enrolled names. Untrusted: the public area, until its name is one of them.

use super::Name;
use super::algorithm::SigningScheme;
use super::public::Public;
use super::quote::Quote;
use super::signature::schemes;
use crate::check::{Check, Checks};
use crate::crypto::{Crypto, Hash, PublicKey};
use crate::verified::Rejected;
use crate::{Platform, Roots, TrustAnchors, Unverified};

/// An enrolled attestation key.
#[derive(Clone, Debug)]
pub struct Ak {
    pub(super) name: Name,
    pub(super) area: Vec<u8>,
    pub(super) key: PublicKey,
    pub(super) scheme: Option<(SigningScheme, Hash)>,
    pub(super) checks: Vec<Check>,
    pub(super) roots: Roots,
}

impl Ak {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }
}

/// Checks the key that came with `quote`. All checks run; one that fails refuses.
pub(crate) fn prepare(
    quote: &Quote<'_>,
    crypto: &dyn Crypto,
    anchors: &TrustAnchors,
) -> Result<Ak, Unverified> {
    let public = &quote.public;
    let name = Name::of(crypto, public.name_algorithm, quote.area);
    let roots = anchors.roots();
    let mut checks = Checks::default();
    let enrolled = anchors.attestation_keys.contains(&name);
    checks.ask("tpm.ak.enrolled", enrolled, "an enrolled attestation key", name.to_string());
    attributes(public, &mut checks);
    scheme(public, &mut checks);
    if !checks.hold() {
        return Err(Unverified::Rejected(Rejected::new(Platform::Tpm2, checks, roots)));
    }
    let (area, key, scheme) = (quote.area.to_vec(), public.key.clone(), public.scheme);
    Ok(Ak { name, area, key, scheme, checks: checks.into_vec(), roots })
}

fn attributes(public: &Public, checks: &mut Checks) {
    let faults = public.attributes.faults();
    let expected = "restricted, sign, fixedTPM, fixedParent, sensitiveDataOrigin, not decrypt";
    let found = match faults.as_slice() {
        [] => format!("{:#010x}", public.attributes.0),
        faults => format!("{:#010x}: {}", public.attributes.0, faults.join(", ")),
    };
    checks.ask("tpm.ak.attributes", faults.is_empty(), expected, found);
}

/// The key is bound to one way of signing, and to one that can be checked.
fn scheme(public: &Public, checks: &mut Checks) {
    let known = public.scheme.is_some_and(|(scheme, hash)| !schemes(scheme, hash, &public.key).is_empty());
    let found = match public.scheme {
        Some((scheme, hash)) => format!("{scheme} with {hash}"),
        None => "no signing scheme".to_owned(),
    };
    let expected = "RSASSA or RSAPSS with a hash, ECDSA P-256 with sha256 or ECDSA P-384 with sha384";
    checks.ask("tpm.ak.scheme", known, expected, format!("{found}, {}", kind(&public.key)));
    let strong = !matches!(&public.key, PublicKey::Rsa { n, .. } if !(256..=1024).contains(&n.len()));
    checks.ask("tpm.ak.strength", strong, "RSA of 2048 to 8192 bits, or ECC", kind(&public.key));
}

fn kind(key: &PublicKey) -> String {
    match key {
        PublicKey::P256(_) => "P-256".to_owned(),
        PublicKey::P384(_) => "P-384".to_owned(),
        PublicKey::Rsa { n, .. } => format!("RSA of {} bits", n.len().saturating_mul(8)),
        PublicKey::Ed25519(_) => "Ed25519".to_owned(),
    }
}
