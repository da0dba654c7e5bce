//! Providers that certify the attestation keys of their virtual TPMs.
//!
//! A cloud provider's authority says: this key is an attestation key of one of our virtual TPMs. It says so of
//! every customer's machines, so that a policy has to say more: which project, which measurements. The
//! certificate names the key alone; that the key is restricted rests on the provider's word.
//!
//! Trusted: the pinned roots. Untrusted: the certificate, until its path leads to one of them.

use serde::{Deserialize, Serialize};

use super::gce::Instance;
use super::path::{Anchor, Bag, Ids, Path};
use crate::anchors::Der;
use crate::check::Checks;
use crate::crypto::{Crypto, PublicKey};
use crate::x509::Certificate;
use crate::{CannotJudge, Digest, Endorsements, Revocation, TrustAnchors, UnixTime, Window};

/// Why an attestation key is believed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AkOrigin {
    /// An operator enrolled its name.
    Enrolled,
    /// Google certified it, for a Compute Engine machine.
    Google,
    /// Microsoft certified it, for an Azure machine.
    Azure,
    /// Another authority that the caller believes certified it: a simulator's.
    Other,
    /// The hardware report of Azure's paravisor names it.
    Paravisor,
}

impl std::fmt::Display for AkOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Enrolled => "enrolled",
            Self::Google => "google",
            Self::Azure => "azure",
            Self::Other => "other",
            Self::Paravisor => "paravisor",
        })
    }
}

/// What the verified certificate of an attestation key says.
#[derive(Clone, Debug, Serialize)]
pub struct AkCertificate {
    /// The subject, in words; Google leaves it empty for some machines.
    pub subject: String,
    /// The common name of the root at the end of the path.
    pub authority: String,
    /// SHA-256 of the certified `SubjectPublicKeyInfo`: a name for the key that nothing in the evidence can
    /// change.
    pub key_digest: Digest<32>,
    /// When the path and the lists hold.
    pub window: Window,
    /// When the root's revocation list was issued; `None` if none was brought.
    pub revocation_list_from: Option<UnixTime>,
    /// The Compute Engine instance that Google issued it for.
    pub instance: Option<Instance>,
}

/// The pinned roots of providers that certify attestation keys.
pub(crate) fn pinned() -> Vec<Der> {
    PINNED.iter().map(|(der, _)| Der::Borrowed(*der)).collect()
}

/// The pinned roots of providers that certify attestation keys, DER: those of [`TrustAnchors::vendor`].
#[must_use]
pub fn vendor_authorities() -> Vec<Vec<u8>> {
    PINNED.iter().map(|(der, _)| der.to_vec()).collect()
}

/// The certificates of providers' intermediate authorities that their machines do not hand out and that are
/// not published at an address of their own, DER: Azure's "Global Virtual TPM CA - 03". Endorsements like any
/// other, verified like any other.
#[must_use]
pub fn vendor_intermediates() -> Vec<Vec<u8>> {
    vec![include_bytes!("roots/azure-global-vtpm-ca-03.der").to_vec()]
}

/// Verifies the certificate that is for `key`; `None` if none among the endorsements is.
pub(super) fn certified(
    key: &PublicKey,
    endorsements: &Endorsements,
    crypto: &dyn Crypto,
    anchors: &TrustAnchors,
    when: (Revocation, UnixTime),
    checks: &mut Checks,
) -> Result<Option<(AkOrigin, AkCertificate)>, CannotJudge> {
    let (revocation, now) = when;
    let mut bag = Bag::open(endorsements)?;
    if revocation == Revocation::InsecureWaived {
        bag.waive_revocation();
    }
    let for_key = |found: &&Certificate<'_>| found.key().is_ok_and(|certified| certified == *key);
    let mut leaves: Vec<&Certificate<'_>> =
        bag.certificates.iter().filter(for_key).take(MAX_LEAVES).collect();
    leaves.sort_by_key(|leaf| !leaf.window().contains(now));
    let Some(first) = leaves.first() else { return Ok(None) };
    let anchors = anchors.tpm_authorities.iter().map(Anchor::open).collect::<Result<Vec<_>, _>>()?;
    let path = leaves.iter().find_map(|leaf| Path::find(leaf, &bag, &anchors, crypto));
    let leaf = path.as_ref().map_or(*first, |path| path.leaf);
    purpose(leaf, checks);
    let expected = "signatures from the key's certificate up to a provider's root";
    let found = path.as_ref().map_or_else(
        || format!("no path from {:?}, issued by {:?}", leaf.common_name(), leaf.issuer_common_name()),
        |path| path.anchor.common_name.clone(),
    );
    checks.ask("tpm.ak.chain", path.is_some(), expected, found);
    let Some(path) = path else { return Ok(None) };
    let found = if path.spells_out_defaults() { "defaults spelled out" } else { "nothing more" };
    checks.ask("tpm.ak.encoding", !path.spells_out_defaults(), "DER, which leaves defaults out", found);
    let held = path.judge(&bag, crypto, now, &IDS, checks)?;
    let origin = match path.anchor.organisation.as_str() {
        "Google LLC" => AkOrigin::Google,
        "Microsoft Corporation" => AkOrigin::Azure,
        _ => AkOrigin::Other,
    };
    let certificate = AkCertificate {
        subject: leaf.subject_words(),
        authority: path.anchor.common_name.clone(),
        key_digest: crypto.sha256(&[leaf.spki()]),
        window: held.window,
        revocation_list_from: held.list_from,
        instance: Instance::of(leaf)?,
    };
    Ok(Some((origin, certificate)))
}

/// The certificate is one of a key that signs, and of no authority: an endorsement key's would vouch for a key
/// that only decrypts.
pub(super) fn purpose(leaf: &Certificate<'_>, checks: &mut Checks) {
    let usages = leaf.extended_usages();
    let named = usages.as_ref().is_none_or(|ids| {
        // tcg-kp-AIKCertificate (TCG OID Registry). Google wrote tcg-kp-EKCertificate into those of signing keys
        // until 2022, and nothing since; that the key signs data is asked beside it.
        ids.iter().any(|id| ["2.23.133.8.3", "2.23.133.8.1"].contains(&id.as_str()))
    });
    let good = leaf.signs_data() && !leaf.receives_secrets() && !leaf.is_authority() && named;
    let signs = if leaf.signs_data() { "signs data" } else { "does not sign data" };
    let secrets = if leaf.receives_secrets() { ", receives secrets" } else { "" };
    let authority = if leaf.is_authority() { ", an authority" } else { "" };
    let usages = usages.map_or(String::new(), |ids| format!(", for {}", ids.join(" ")));
    let expected = "a certificate of a key that signs data and nothing else, for attestation";
    checks.ask("tpm.ak.purpose", good, expected, format!("{signs}{secrets}{authority}{usages}"));
}

/// A key's certificate is renewed once a year; nobody brings many.
const MAX_LEAVES: usize = 4;

pub(super) const IDS: Ids = Ids {
    dates: "tpm.ak.dates",
    critical: "tpm.ak.critical_extensions",
    list_signature: "tpm.ak.crl.signature",
    list_current: "tpm.ak.crl.current",
    list_critical: "tpm.ak.crl.critical_extensions",
    revoked: "tpm.ak.crl.revoked",
};

/// Root certificates with the SHA-256 of each, by which a reader can compare it with the provider's:
/// Google's "EK/AK CA Root" (Certificate Authority Service, linked from the issuers of certificates in a
/// machine's TPM), Microsoft's `www.microsoft.com/pkiops/certs` and the Trusted Launch questions and answers.
const PINNED: [(&[u8], &str); 2] = [
    (
        include_bytes!("roots/google-ek-ak-root.der"),
        "594759594b9b61524f6c8ef668f7177f7b9066bc0674f2f49fe9e052be78beb2",
    ),
    (
        include_bytes!("roots/azure-vtpm-root-2023.der"),
        "e6c596b17f8ffefba5c300f714cfb1260c6028704ecf7becc4ab5018efb00e95",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::AwsLcRs;

    #[test]
    fn the_pinned_roots_have_the_digests_written_beside_them_and_sign_themselves() {
        for (der, digest) in PINNED {
            assert_eq!(AwsLcRs.sha256(&[der]).to_string(), digest);
            let certificate = Certificate::parse(der).unwrap();
            assert!(certificate.is_authority());
            assert_eq!(certificate.issued_by(&AwsLcRs, &certificate.key().unwrap()), Ok(()));
        }
    }

    #[test]
    fn every_vendor_intermediate_is_signed_by_a_pinned_root() {
        let anchors: Vec<Anchor> = pinned().iter().map(|der| Anchor::open(der).unwrap()).collect();
        let certificates = vendor_intermediates();
        let endorsements = Endorsements { certificates, ..Endorsements::default() };
        let bag = Bag::open(&endorsements).unwrap();
        for certificate in &bag.certificates {
            assert!(Path::find(certificate, &bag, &anchors, &AwsLcRs).is_some());
        }
    }
}
