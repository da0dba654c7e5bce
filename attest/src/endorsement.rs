//! Endorsements and trust anchors: who vouches for the hardware.
//!
//! [`Endorsements`] is a bag of certificates, revocation lists and signed documents from anywhere, in any
//! order. [`TrustAnchors`] is what the caller believes. [`Endorsements::prepare`] verifies the one with the other, once; the
//! [`Prepared`] result serves every later evidence of that chip until it expires.
//!
//! Trusted: the anchors. Untrusted: the endorsements, including any root among them.

use crate::{CannotJudge, Crypto, Evidence, TrustAnchors, UnixTime, Unverified, Window};
use crate::{azure, nitro, snp, tdx, tpm};

/// Certificates, revocation lists and signed documents, in any order. Nothing in here is believed because of where it
/// stands or what it calls itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Endorsements {
    /// X.509 certificates, DER.
    pub certificates: Vec<Vec<u8>>,
    /// X.509 revocation lists, DER.
    pub revocation_lists: Vec<Vec<u8>>,
    /// Signed statements that are no certificates: Intel's TCB info and QE identity, JSON as the
    /// provisioning certification service serves them.
    pub documents: Vec<Vec<u8>>,
}

impl Endorsements {
    /// The most certificates and lists that are looked at, and the longest of each in bytes.
    pub const MAX_ITEMS: usize = 32;
    /// See [`Endorsements::MAX_ITEMS`].
    pub const MAX_ITEM_BYTES: usize = 64 * 1024;

    /// Certificates, lists and documents, in this order.
    #[must_use]
    pub fn kinds(&self) -> [&Vec<Vec<u8>>; 3] {
        [&self.certificates, &self.revocation_lists, &self.documents]
    }

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
            Evidence::Tpm(quote) => {
                tpm::prepare(quote, self, crypto, anchors, revocation, now).map(Prepared::Tpm)
            }
            Evidence::Tdx(quote) => {
                tdx::prepare(quote, self, crypto, anchors, revocation, now).map(Prepared::Tdx)
            }
            Evidence::Nitro(document) => {
                nitro::prepare(document, self, crypto, anchors, now).map(Prepared::Nitro)
            }
            Evidence::Azure(composite) => {
                azure::prepare(composite, self, crypto, anchors, revocation, now).map(Prepared::Azure)
            }
        }
    }

    /// Whether all of them parse and are within bounds: says nothing of what they are worth. For whoever
    /// stores endorsements, so that one bad item does not stop every later judgement.
    pub fn readable(&self) -> Result<(), CannotJudge> {
        self.within_budget()?;
        snp::readable(self)?;
        tdx::readable(self)
    }

    pub(crate) fn within_budget(&self) -> Result<(), CannotJudge> {
        let kinds = [&self.certificates, &self.revocation_lists, &self.documents];
        let items = kinds.iter().map(|kind| kind.len()).fold(0, usize::saturating_add);
        if items > Self::MAX_ITEMS {
            return Err(CannotJudge::TooMuch { what: "endorsements", limit: Self::MAX_ITEMS, found: items });
        }
        let longest = kinds.into_iter().flatten().map(Vec::len).max().unwrap_or(0);
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

/// Endorsements that were verified, with the parsed key: only the evidence's own signature remains.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Prepared {
    /// A verified VCEK or VLEK.
    Snp(snp::Vek),
    /// An attestation key that was enrolled or certified.
    Tpm(tpm::Ak),
    /// A verified quoting enclave.
    Tdx(tdx::Qe),
    /// A verified path to a leaf of the Nitro security module.
    Nitro(nitro::Chain),
    /// The verified key behind an Azure machine's hardware report.
    Azure(azure::Links),
}

impl Prepared {
    /// When this may be used: the intersection of all validity windows behind it.
    #[must_use]
    pub fn window(&self) -> Window {
        match self {
            Self::Snp(vek) => vek.window(),
            Self::Tpm(ak) => ak.window(),
            Self::Tdx(qe) => qe.window(),
            Self::Nitro(chain) => chain.window(),
            Self::Azure(links) => links.window(),
        }
    }
}
