//! One object by itself: did a vendor sign it, and does it hold now?
//!
//! The checks are those of a judgement and carry the same ids. What counts is that the one check was asked and held
//! that says who signed this very object: a bag without it would pass for want of questions.
//!
//! Trusted: the anchors. Untrusted: the object, and the issuers that come with it.

use std::collections::BTreeMap;

use super::{Filed, Kind, NotCollateral, file};
use crate::check::{Answer, Check};
use crate::x509::{Certificate, RevocationList};
use crate::{
    CannotJudge, Crypto, Endorsements, Evidence, Revocation, TrustAnchors, UnixTime, Unverified, Window,
};
use crate::{snp, tdx};

/// Certificates that may stand above an object, by their names.
#[derive(Clone, Debug, Default)]
pub struct Issuers(BTreeMap<String, Vec<Vec<u8>>>);

impl Issuers {
    /// Adds a certificate, DER, if it is one of an issuer; of one name at most a few are looked at.
    pub fn add(&mut self, certificate: &[u8]) {
        let Ok(filed) = file(certificate) else { return };
        let named = self.0.entry(filed.key).or_default();
        if filed.kind == Kind::Issuer && named.len() < MOST_OF_A_NAME {
            named.push(certificate.to_vec());
        }
    }

    /// Whether there is one of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|named| !named.is_empty())
    }

    /// Adds the certificates that evidence itself brings.
    pub fn add_of(&mut self, evidence: &Evidence<'_>) {
        match evidence {
            Evidence::Tdx(quote) => {
                for certificate in tdx::certificates(quote).unwrap_or_default() {
                    self.add(&certificate);
                }
            }
            Evidence::Azure(composite) => self.add_of(composite.hardware()),
            Evidence::Snp(_) | Evidence::Tpm(_) | Evidence::Nitro(_) => {}
        }
    }

    fn named(&self, name: &str) -> impl Iterator<Item = Vec<u8>> {
        self.0.get(name).into_iter().flatten().cloned()
    }
}

/// Verifies one object: its signature up to an anchor, and its dates.
pub fn verify(
    object: &[u8],
    issuers: &Issuers,
    crypto: &dyn Crypto,
    anchors: &TrustAnchors,
    now: UnixTime,
) -> Result<Filed, Unfit> {
    let filed = file(object)?;
    if !filed.window.contains(now) {
        return Err(Unfit::NotCurrent { window: filed.window, now });
    }
    let (bag, proof) = with_issuers(object, &filed, issuers)?;
    let checks = if proof.starts_with("tdx.") {
        tdx::verify_collateral(&bag, crypto, anchors, now)
    } else {
        of_amd(filed.kind, &bag, crypto, anchors, now)
    };
    let checks = match checks {
        Ok(checks) => checks,
        Err(Unverified::Rejected(rejected)) => return Err(failing(rejected.checks())),
        Err(Unverified::CannotJudge(error)) => return Err(NotCollateral::Unreadable(error).into()),
    };
    let proved = checks.iter().any(|check| check.id == proof && check.verdict == Answer::Pass);
    if proved { Ok(filed) } else { Err(Unfit::NotGenuine(format!("{proof} was not asked"))) }
}

fn of_amd(
    kind: Kind,
    bag: &Endorsements,
    crypto: &dyn Crypto,
    anchors: &TrustAnchors,
    now: UnixTime,
) -> Result<Vec<Check>, Unverified> {
    match kind {
        // Whether a key is revoked is asked at each judgement, with the list of that day.
        Kind::Vek => {
            snp::verify_vek(bag, crypto, anchors, Revocation::InsecureWaived, now).map(|vek| vek.checks)
        }
        Kind::Crl => snp::verify_revocation_lists(bag, crypto, anchors, now),
        Kind::Issuer | Kind::RootCrl | Kind::PckCrl | Kind::TcbInfo | Kind::QeIdentity => {
            snp::verify_authorities(bag, crypto, anchors, now)
        }
    }
}

/// The object with those that may have signed it, and the check that proves it.
fn with_issuers(
    object: &[u8],
    filed: &Filed,
    issuers: &Issuers,
) -> Result<(Endorsements, &'static str), Unfit> {
    let mut bag = Endorsements::default();
    filed.kind.put(object.to_vec(), &mut bag);
    let (issuer, proof) = match filed.kind {
        Kind::Vek => (Some(issuer_of(object)?), "snp.chain.vek_signature"),
        Kind::Issuer if filed.key == tdx::SIGNER => (None, "tdx.signer.signature"),
        Kind::Issuer if tdx::PCK_AUTHORITIES.contains(&filed.key.as_str()) => {
            (None, "tdx.chain.authority_signature")
        }
        Kind::Issuer => (None, "snp.chain.intermediate_signature"),
        Kind::Crl => (None, "snp.crl.signature"),
        Kind::RootCrl => (None, "tdx.crl.root.signature"),
        Kind::PckCrl => (Some(issuer_of_list(object)?), "tdx.crl.pck.signature"),
        Kind::TcbInfo => (Some(tdx::SIGNER.to_owned()), "tdx.tcb_info.signature"),
        Kind::QeIdentity => (Some(tdx::SIGNER.to_owned()), "tdx.qe_identity.signature"),
    };
    let Some(issuer) = issuer else { return Ok((bag, proof)) };
    bag.certificates.extend(issuers.named(&issuer));
    let found = bag.certificates.len();
    let own = usize::from(filed.kind == Kind::Vek);
    if found > own { Ok((bag, proof)) } else { Err(Unfit::NoIssuer(issuer)) }
}

fn issuer_of(certificate: &[u8]) -> Result<String, NotCollateral> {
    Ok(Certificate::parse(certificate)?.issuer_common_name().to_owned())
}

fn issuer_of_list(list: &[u8]) -> Result<String, NotCollateral> {
    Ok(RevocationList::parse(list)?.issuer_common_name().to_owned())
}

fn failing(checks: &[Check]) -> Unfit {
    let failing = checks.iter().filter(|check| check.verdict == Answer::Fail);
    let told =
        failing.map(|check| format!("{}: expected {}, found {}", check.id, check.expected, check.found));
    Unfit::NotGenuine(told.collect::<Vec<_>>().join("; "))
}

/// Why an object is not taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// Nothing that a store keeps.
    #[error(transparent)]
    NotCollateral(#[from] NotCollateral),
    /// It has ended, or has not begun.
    #[error("expected one that holds at {now}, found one from {window}")]
    NotCurrent {
        /// When it holds.
        window: Window,
        /// When it was asked for.
        now: UnixTime,
    },
    /// Who signed it is not there.
    #[error("expected the certificate of {0:?} beside it or in store, found none")]
    NoIssuer(String),
    /// A vendor did not sign it, or not so.
    #[error("not genuine: {0}")]
    NotGenuine(String),
}

impl From<CannotJudge> for Unfit {
    fn from(error: CannotJudge) -> Self {
        NotCollateral::from(error).into()
    }
}

/// Authorities renew their certificates; two of a name are common, more are not.
const MOST_OF_A_NAME: usize = 4;
