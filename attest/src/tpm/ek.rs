//! The endorsement key: the one key by which a manufacturer vouches for a TPM.
//!
//! An endorsement key signs nothing. It receives secrets, and its TPM opens one only together with the name of
//! a key that it holds ([`super::credential`]): that is how a manufacturer's certificate comes to vouch for an
//! attestation key. Who the manufacturers are is the caller's choice ([`EkRoots`]): there are dozens.
//!
//! Trusted: the roots. Untrusted: the certificate and the public area, until every check has passed.

use super::path::{Anchor, Bag, Ids, Path};
use super::public::{Public, Symmetric};
use crate::anchors::Der;
use crate::check::{Check, Checks};
use crate::crypto::{Crypto, Hash, PublicKey};
use crate::verified::Rejected;
use crate::x509::Certificate;
use crate::{CannotJudge, Digest, Endorsements, Malformed, Platform, Revocation, Roots, UnixTime};
use crate::{Unverified, Window};

/// The manufacturers' roots that a caller believes, as certificates.
#[derive(Clone, Debug)]
pub struct EkRoots {
    roots: Vec<Der>,
    whose: Roots,
}

impl EkRoots {
    /// Roots of manufacturers of TPMs, DER.
    pub fn of_manufacturers(roots: &[Vec<u8>]) -> Result<Self, CannotJudge> {
        Self::of(roots, Roots::Vendor)
    }

    /// Roots that nobody vouches for: a simulator's. What comes of them says so.
    pub fn insecure_simulated(roots: &[Vec<u8>]) -> Result<Self, CannotJudge> {
        Self::of(roots, Roots::Simulated)
    }

    fn of(roots: &[Vec<u8>], whose: Roots) -> Result<Self, CannotJudge> {
        let roots: Vec<Der> = roots.iter().map(|der| der.clone().into()).collect();
        roots.iter().try_for_each(|der| Anchor::open(der).map(drop))?;
        Ok(Self { roots, whose })
    }
}

/// The public part of a key that receives secrets for its TPM.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "rustcrypto"), expect(dead_code, reason = "credentials are made with that feature"))]
pub struct EkPublic {
    pub(super) name_algorithm: Hash,
    pub(super) symmetric: Symmetric,
    pub(super) key: PublicKey,
}

impl EkPublic {
    /// From a `TPMT_PUBLIC`. Says nothing of whose key it is.
    pub fn parse(area: &[u8]) -> Result<Self, Malformed> {
        let public = Public::parse(area)?;
        let expected = "AES in CFB mode, as of a key that wraps others";
        let found = "another algorithm, or none".to_owned();
        let wrong = Malformed::Value { what: "symmetric algorithm", expected, found };
        let symmetric = public.symmetric.ok_or(wrong)?;
        Ok(Self { name_algorithm: public.name_algorithm, symmetric, key: public.key })
    }
}

/// An endorsement key whose certificate was verified.
#[derive(Clone, Debug)]
pub struct Ek {
    public: EkPublic,
    certificate: EkCertificate,
    checks: Vec<Check>,
    roots: Roots,
}

/// What the verified certificate of an endorsement key says.
#[derive(Clone, Debug, serde::Serialize)]
pub struct EkCertificate {
    /// The common name of the manufacturer's root.
    pub authority: String,
    /// The subject in words: often empty, the TPM's make stands in the alternative name.
    pub subject: String,
    /// SHA-256 of the certified `SubjectPublicKeyInfo`: a name for the TPM for as long as it exists.
    pub key_digest: Digest<32>,
    /// When the path and the lists hold.
    pub window: Window,
}

impl Ek {
    /// Verifies the key with this public area (`TPMT_PUBLIC`): its certificate among `endorsements`, the path to
    /// one of `roots`, and that only its TPM can use it. All checks run; one that fails refuses.
    pub fn verify(
        area: &[u8],
        endorsements: &Endorsements,
        roots: &EkRoots,
        crypto: &dyn Crypto,
        revocation: Revocation,
        now: UnixTime,
    ) -> Result<Self, Unverified> {
        endorsements.within_budget()?;
        let problem = |problem: Malformed| CannotJudge::Evidence { platform: Platform::Tpm2, problem };
        let parsed = Public::parse(area).map_err(problem)?;
        let public = EkPublic::parse(area).map_err(problem)?;
        let mut bag = Bag::open(endorsements)?;
        if revocation == Revocation::InsecureWaived {
            bag.waive_revocation();
        }
        let leaf = bag.certificates.iter().find(|found| found.key().is_ok_and(|key| key == public.key));
        let missing = || CannotJudge::MissingEndorsement("the certificate of the endorsement key".to_owned());
        let leaf = leaf.ok_or_else(missing)?;
        let mut checks = Checks::default();
        attributes(&parsed, &mut checks);
        let certificate = certificate(leaf, &bag, roots, crypto, now, &mut checks)?;
        match certificate {
            Some(certificate) if checks.hold() => {
                Ok(Self { public, certificate, checks: checks.into_vec(), roots: roots.whose })
            }
            _ => Err(Unverified::Rejected(Rejected::new(Platform::Tpm2, checks, roots.whose))),
        }
    }

    /// The public part.
    #[must_use]
    pub fn public(&self) -> &EkPublic {
        &self.public
    }

    /// What its certificate says.
    #[must_use]
    pub fn certificate(&self) -> &EkCertificate {
        &self.certificate
    }

    /// The checks that were made, in order.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Whose roots stand behind it.
    #[must_use]
    pub fn roots(&self) -> Roots {
        self.roots
    }
}

/// Verifies the one certificate of an endorsement key among `endorsements` by itself: for those who look at one.
pub fn verify_ek_certificate(
    endorsements: &Endorsements,
    roots: &EkRoots,
    crypto: &dyn Crypto,
    now: UnixTime,
) -> Result<Vec<Check>, Unverified> {
    endorsements.within_budget()?;
    let bag = Bag::open(endorsements)?;
    let leaf = bag.only_leaf()?;
    let mut checks = Checks::default();
    certificate(leaf, &bag, roots, crypto, now, &mut checks)?;
    if checks.hold() {
        return Ok(checks.into_vec());
    }
    Err(Unverified::Rejected(Rejected::new(Platform::Tpm2, checks, roots.whose)))
}

fn certificate(
    leaf: &Certificate<'_>,
    bag: &Bag<'_>,
    roots: &EkRoots,
    crypto: &dyn Crypto,
    now: UnixTime,
    checks: &mut Checks,
) -> Result<Option<EkCertificate>, CannotJudge> {
    purpose(leaf, checks);
    let anchors = roots.roots.iter().map(Anchor::open).collect::<Result<Vec<_>, _>>()?;
    let path = Path::find(leaf, bag, &anchors, crypto);
    let expected = "signatures from the key's certificate up to a manufacturer's root";
    let found = path.as_ref().map_or_else(
        || format!("no path, issued by {:?}", leaf.issuer_common_name()),
        |path| path.anchor.common_name.clone(),
    );
    checks.ask("tpm.ek.chain", path.is_some(), expected, found);
    let Some(path) = path else { return Ok(None) };
    let held = path.judge(bag, crypto, now, &IDS, checks)?;
    Ok(Some(EkCertificate {
        authority: path.anchor.common_name.clone(),
        subject: leaf.subject_words(),
        key_digest: crypto.sha256(&[leaf.spki()]),
        window: held.window,
    }))
}

/// Only the TPM that drew the key can use it, and only to receive (TCG EK Credential Profile 2.5, annex B).
fn attributes(public: &Public, checks: &mut Checks) {
    let faults = public.attributes.storage_faults();
    let expected = "restricted, decrypt, fixedTPM, fixedParent, sensitiveDataOrigin, not sign";
    let found = match faults.as_slice() {
        [] => format!("{:#010x}", public.attributes.0),
        faults => format!("{:#010x}: {}", public.attributes.0, faults.join(", ")),
    };
    checks.ask("tpm.ek.attributes", faults.is_empty(), expected, found);
}

/// The certificate is one of a key that receives secrets, and of no authority.
fn purpose(leaf: &Certificate<'_>, checks: &mut Checks) {
    let usages = leaf.extended_usages();
    // tcg-kp-EKCertificate; some manufacturers leave the extension out.
    let named = usages.as_ref().is_none_or(|ids| ids.iter().any(|id| id == "2.23.133.8.1"));
    let good = leaf.receives_secrets() && !leaf.signs_data() && !leaf.is_authority() && named;
    let secrets = if leaf.receives_secrets() { "receives secrets" } else { "receives no secrets" };
    let signs = if leaf.signs_data() { ", signs data" } else { "" };
    let authority = if leaf.is_authority() { ", an authority" } else { "" };
    let usages = usages.map_or(String::new(), |ids| format!(", for {}", ids.join(" ")));
    let expected = "a certificate of a key that receives secrets and nothing else, for endorsement";
    checks.ask("tpm.ek.purpose", good, expected, format!("{secrets}{signs}{authority}{usages}"));
}

const IDS: Ids = Ids {
    dates: "tpm.ek.dates",
    critical: "tpm.ek.critical_extensions",
    list_signature: "tpm.ek.crl.signature",
    list_current: "tpm.ek.crl.current",
    list_critical: "tpm.ek.crl.critical_extensions",
    revoked: "tpm.ek.crl.revoked",
};
