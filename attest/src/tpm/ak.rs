//! The attestation key: believed because an operator enrolled its name, or a provider certified it.
//!
//! [`prepare`] compares the name of the key that came with the quote (a hash over its whole public area) with
//! the enrolled ones; where it is none of them, it looks for a certificate of the key. Either way it checks that
//! such a key signs nothing but what its TPM made. A certificate, and a paravisor's hardware report, vouch for
//! the key alone; that its TPM holds it with these attributes is asked of the quote (`tpm.ak.qualified_name`).
//!
//! Trusted: the enrolled names, the providers' roots. Untrusted: the public area and the certificates.

use super::Name;
use super::algorithm::SigningScheme;
use super::authority::{self, AkCertificate, AkOrigin};
use super::public::Public;
use super::quote::Quote;
use super::signature::schemes;
use crate::check::{Check, Checks};
use crate::crypto::{Crypto, Hash, PublicKey};
use crate::verified::Rejected;
use crate::{CannotJudge, Endorsements, Platform, Revocation, Roots, TrustAnchors, UnixTime};
use crate::{Unverified, Window};

/// An attestation key that is believed.
#[derive(Clone, Debug)]
pub struct Ak {
    pub(super) name: Name,
    pub(super) area: Vec<u8>,
    pub(super) key: PublicKey,
    pub(super) scheme: Option<(SigningScheme, Hash)>,
    pub(super) origin: AkOrigin,
    pub(super) certificate: Option<AkCertificate>,
    pub(super) checks: Vec<Check>,
    pub(super) roots: Roots,
}

impl Ak {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// When it may be used: an enrolled key always, a certified one as long as its certificates hold.
    #[must_use]
    pub fn window(&self) -> Window {
        self.certificate.as_ref().map_or(Window::ALWAYS, |certificate| certificate.window)
    }

    /// The key in `quote`, for which a hardware report vouched: whoever calls this has checked that, and puts
    /// what it asked in front of `checks`.
    pub(crate) fn vouched(quote: &Quote<'_>, crypto: &dyn Crypto, roots: Roots) -> Self {
        let public = &quote.public;
        let checks = suitable(public);
        Self {
            name: Name::of(crypto, public.name_algorithm, quote.area),
            area: quote.area.to_vec(),
            key: public.key.clone(),
            scheme: public.scheme,
            origin: AkOrigin::Paravisor,
            certificate: None,
            checks: checks.into_vec(),
            roots,
        }
    }
}

/// Checks the key that came with `quote`. All checks run; one that fails refuses.
pub(crate) fn prepare(
    quote: &Quote<'_>,
    endorsements: &Endorsements,
    crypto: &dyn Crypto,
    anchors: &TrustAnchors,
    revocation: Revocation,
    now: UnixTime,
) -> Result<Ak, Unverified> {
    let public = &quote.public;
    let name = Name::of(crypto, public.name_algorithm, quote.area);
    let roots = anchors.roots();
    let mut checks = Checks::default();
    let seek = Seek { public, endorsements, crypto, anchors };
    let (origin, certificate) = seek.origin(&name, (revocation, now), &mut checks)?;
    checks.extend(&suitable(public).into_vec());
    if !checks.hold() {
        return Err(Unverified::Rejected(Rejected::new(Platform::Tpm2, checks, roots)));
    }
    let (area, key, scheme) = (quote.area.to_vec(), public.key.clone(), public.scheme);
    Ok(Ak { name, area, key, scheme, origin, certificate, checks: checks.into_vec(), roots })
}

/// Where to look for somebody who vouches for a key.
struct Seek<'s> {
    public: &'s Public,
    endorsements: &'s Endorsements,
    crypto: &'s dyn Crypto,
    anchors: &'s TrustAnchors,
}

impl Seek<'_> {
    /// Enrolment first: it says more than a certificate, and needs nothing else.
    fn origin(
        &self,
        name: &Name,
        when: (Revocation, UnixTime),
        checks: &mut Checks,
    ) -> Result<(AkOrigin, Option<AkCertificate>), CannotJudge> {
        let Self { public, endorsements, crypto, anchors } = self;
        let expected = "an enrolled attestation key, or one with a provider's certificate";
        if anchors.attestation_keys.contains(name) {
            checks.ask("tpm.ak.enrolled", true, expected, name.to_string());
            return Ok((AkOrigin::Enrolled, None));
        }
        let asked = checks.len();
        let certified = authority::certified(&public.key, endorsements, *crypto, anchors, when, checks)?;
        if let Some((origin, certificate)) = certified {
            return Ok((origin, Some(certificate)));
        }
        if checks.len() == asked {
            checks.ask("tpm.ak.enrolled", false, expected, name.to_string());
        }
        Ok((AkOrigin::Other, None))
    }
}

/// Whether a key is made to attest: it signs nothing but what its TPM made, and in a way that can be checked.
pub(super) fn suitable(public: &Public) -> Checks {
    let mut checks = Checks::default();
    attributes(public, &mut checks);
    scheme(public, &mut checks);
    checks
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
