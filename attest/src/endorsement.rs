//! Endorsements and trust anchors: who vouches for the hardware.
//!
//! [`Endorsements`] is a bag of certificates and revocation lists from anywhere, in any order.
//! [`TrustAnchors`] is what the caller believes: AMD's roots, pinned here, and the attestation keys that
//! an operator enrolled. [`Endorsements::prepare`] verifies the one with the other, once; the
//! [`Prepared`] result serves every later evidence of that chip until it expires.
//!
//! Trusted: the anchors. Untrusted: the endorsements, including any root among them.

use std::collections::BTreeSet;

use crate::{CannotJudge, Crypto, Evidence, UnixTime, Unverified, Window, snp, tpm};

/// Certificates and revocation lists, DER, in any order. Nothing in here is believed because of where it
/// stands or what it calls itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Endorsements {
    /// X.509 certificates, DER.
    pub certificates: Vec<Vec<u8>>,
    /// X.509 revocation lists, DER.
    pub revocation_lists: Vec<Vec<u8>>,
}

impl Endorsements {
    /// The most certificates and lists that are looked at, and the longest of each in bytes.
    pub const MAX_ITEMS: usize = 32;
    /// See [`Endorsements::MAX_ITEMS`].
    pub const MAX_ITEM_BYTES: usize = 64 * 1024;

    /// Verifies what `evidence` needs: the chain to an anchor, dates, revocation.
    ///
    /// What comes back carries all the checks that were made, and is good for every evidence with the
    /// same [`Evidence::endorsement_id`] within [`Prepared::window`].
    pub fn prepare(
        &self,
        crypto: &dyn Crypto,
        evidence: &Evidence<'_>,
        anchors: &TrustAnchors,
        revocation: Revocation,
        now: UnixTime,
    ) -> Result<Prepared, Unverified> {
        self.within_budget()?;
        match evidence {
            Evidence::Snp(report) => {
                snp::prepare(report, self, crypto, anchors, revocation, now).map(Prepared::Snp)
            }
            Evidence::Tpm(quote) => tpm::prepare(quote, crypto, anchors).map(Prepared::Tpm),
        }
    }

    /// Whether all of them parse and are within bounds: says nothing of what they are worth. For whoever
    /// stores endorsements, so that one bad item does not stop every later judgement.
    pub fn readable(&self) -> Result<(), CannotJudge> {
        self.within_budget()?;
        snp::readable(self)
    }

    pub(crate) fn within_budget(&self) -> Result<(), CannotJudge> {
        let items = self.certificates.len().saturating_add(self.revocation_lists.len());
        if items > Self::MAX_ITEMS {
            return Err(CannotJudge::TooMuch { what: "endorsements", limit: Self::MAX_ITEMS, found: items });
        }
        let longest = self.certificates.iter().chain(&self.revocation_lists).map(Vec::len).max().unwrap_or(0);
        if longest > Self::MAX_ITEM_BYTES {
            let (what, limit) = ("bytes of one endorsement", Self::MAX_ITEM_BYTES);
            return Err(CannotJudge::TooMuch { what, limit, found: longest });
        }
        Ok(())
    }
}

/// Whether a current revocation list is needed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Revocation {
    /// A list that is current at `now` must be among the endorsements.
    Required,
    /// No list is asked for. Every appraisal refuses claims that were verified so; only an inspection of
    /// old evidence, for which no list was kept, has a use for it.
    InsecureWaived,
}

/// What the caller believes without proof.
#[derive(Clone, Debug)]
pub struct TrustAnchors {
    pub(crate) amd: Vec<snp::Root>,
    pub(crate) attestation_keys: BTreeSet<tpm::Name>,
    pub(crate) roots: Roots,
}

impl TrustAnchors {
    /// AMD's root keys for Milan, Genoa and Turin, pinned in this library, and no attestation key.
    #[must_use]
    pub fn vendor() -> Self {
        Self { amd: snp::Root::vendor(), attestation_keys: BTreeSet::new(), roots: Roots::Vendor }
    }

    /// Roots that no vendor vouches for, as DER certificates: a simulator's. Every verdict under them
    /// says so, and a policy accepts them only if it contains `insecure-accept-simulated-roots = true`.
    pub fn insecure_simulated(arks: &[Vec<u8>]) -> Result<Self, CannotJudge> {
        let amd = arks.iter().map(|der| snp::Root::simulated(der)).collect::<Result<_, _>>()?;
        Ok(Self { amd, attestation_keys: BTreeSet::new(), roots: Roots::Simulated })
    }

    /// Also believes these TPM attestation keys, by name: an operator enrolled them.
    #[must_use]
    pub fn with_attestation_keys(mut self, names: impl IntoIterator<Item = tpm::Name>) -> Self {
        self.attestation_keys.extend(names);
        self
    }

    /// Whose roots these are.
    #[must_use]
    pub fn roots(&self) -> Roots {
        self.roots
    }
}

/// Whose roots stand behind a verdict.
#[derive(Clone, Copy, Debug, Eq, PartialEq, minicbor::Encode, minicbor::Decode, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[cbor(index_only)]
pub enum Roots {
    /// The hardware vendor's, pinned in this library; for a TPM, the operator's enrolment.
    #[n(0)]
    Vendor,
    /// A simulator's.
    #[n(1)]
    Simulated,
}

impl std::fmt::Display for Roots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Vendor => "vendor",
            Self::Simulated => "simulated",
        })
    }
}

/// Endorsements that were verified, with the parsed key: only the evidence's own signature remains.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Prepared {
    /// A verified VCEK or VLEK.
    Snp(snp::Vek),
    /// An enrolled attestation key.
    Tpm(tpm::Ak),
}

impl Prepared {
    /// When this may be used: the intersection of all validity windows behind it.
    #[must_use]
    pub fn window(&self) -> Window {
        match self {
            Self::Snp(vek) => vek.window(),
            Self::Tpm(_) => Window::ALWAYS,
        }
    }
}
