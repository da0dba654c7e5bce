//! Parts by themselves: a quote without collateral, collateral without a quote.
//!
//! For whoever has only a quote file, keeps collateral, or reads an archive. The checks are those of
//! [`crate::Endorsements::prepare`] and [`crate::Evidence::verify`] and carry the same ids. Nothing here
//! admits a machine: without Intel's word on its TCB a genuine quote says little.
//!
//! Trusted: the anchors. Untrusted: the quote and the endorsements.

use crate::check::{Check, Checks};
use crate::verified::Rejected;
use crate::x509::Certificate;
use crate::{CannotJudge, Crypto, Endorsements, Platform, Roots, TrustAnchors, UnixTime, Unverified};

use super::bag::{self, Bag};
use super::chain::{Stage, verifies};
use super::pck::PckClaims;
use super::qe_identity::{QeIdentity, QeReport};
use super::report::TdReport;
use super::root::Root;
use super::tcb_info::TcbInfo;
use super::{Quote, verify};

/// A quote whose signature leads to Intel's root, and of whose platform nothing more is known: not whether
/// its key was revoked, nor whether its TCB is up to date.
#[derive(Clone, Debug)]
pub struct QuoteChain {
    /// The signed report.
    pub report: TdReport,
    /// The platform's certificate.
    pub pck: PckClaims,
    /// The quoting enclave.
    pub qe: QeReport,
    /// Every check that was made.
    pub checks: Vec<Check>,
    /// Whose root is at the end.
    pub roots: Roots,
}

/// Verifies what a quote brings by itself: its signature, the quoting enclave's report, the platform's
/// certificate up to the root, and their dates.
pub fn verify_quote_chain(
    quote: &Quote<'_>,
    endorsements: &Endorsements,
    crypto: &dyn Crypto,
    anchors: &TrustAnchors,
    now: UnixTime,
) -> Result<QuoteChain, Unverified> {
    endorsements.within_budget()?;
    let of_quote = bag::of_quote(quote)?;
    let bag = Bag::sort(&of_quote, endorsements, anchors)?;
    let stage = Stage { bag: &bag, crypto, now };
    let mut checks = Checks::default();
    let (certificate, pck, qe) = stage.enclave(quote, &mut checks)?;
    stage.path(certificate, &mut checks)?;
    verify::signature(quote, &quote.qe.key(), crypto, &mut checks);
    let checks = settle(checks, anchors)?;
    Ok(QuoteChain { report: quote.report().clone(), pck, qe, checks, roots: bag.anchored })
}

/// Verifies everything of Intel's among `endorsements` by itself: authorities, signers, revocation lists and
/// documents up to the root, with their dates. A root among them must have an anchor's key.
pub fn verify_collateral(
    endorsements: &Endorsements,
    crypto: &dyn Crypto,
    anchors: &TrustAnchors,
    now: UnixTime,
) -> Result<Vec<Check>, Unverified> {
    endorsements.within_budget()?;
    let bag = Bag::sort(&[], endorsements, anchors)?;
    let stage = Stage { bag: &bag, crypto, now };
    let mut checks = Checks::default();
    stage.certificates(&mut checks)?;
    stage.revocation_lists(&mut checks);
    stage.documents(&mut checks)?;
    settle(checks, anchors)
}

impl Stage<'_, '_> {
    fn certificates(&self, checks: &mut Checks) -> Result<(), CannotJudge> {
        let bag = self.bag;
        let all = bag.authorities.iter().chain(&bag.brought_roots).chain(&bag.signers);
        let mut all = all.chain(&bag.pcks).peekable();
        if all.peek().is_none() && bag.lists.is_empty() && bag.documents.is_empty() {
            let what = "a certificate, revocation list or document of Intel".to_owned();
            return Err(CannotJudge::MissingEndorsement(what));
        }
        for brought in &bag.brought_roots {
            let anchor = bag.roots.iter().find(|root| root.spki() == brought.spki());
            let found = self.crypto.sha256(&[brought.spki()]).to_string();
            checks.ask("tdx.chain.root", anchor.is_some(), format!("a {} root", bag.anchored), found);
            let signed = anchor.is_some_and(|root| brought.signed_by(self.crypto, &root.key).is_ok());
            checks.ask("tdx.chain.root_signature", signed, "a signature by itself", verifies(signed));
            self.dates("tdx.chain.dates", brought, checks);
        }
        for authority in &bag.authorities {
            self.root(authority, checks);
            self.dates("tdx.chain.dates", authority, checks);
        }
        for pck in &bag.pcks {
            PckClaims::read(pck)?;
            self.path(pck, checks)?;
        }
        Ok(())
    }

    fn dates(&self, id: &str, certificate: &Certificate<'_>, checks: &mut Checks) {
        let dates = certificate.window();
        let expected = "the instant of the judgement inside";
        checks.ask(id, dates.contains(self.now), expected, dates.to_string());
    }

    fn revocation_lists(&self, checks: &mut Checks) {
        let bag = self.bag;
        for root in &bag.roots {
            if bag.lists_of(root.subject()).next().is_some() {
                self.list("root", root.subject(), &root.key, checks);
            }
        }
        for authority in &bag.authorities {
            if let (Some(_), Ok(key)) = (bag.lists_of(authority.subject()).next(), authority.key()) {
                self.list("pck", authority.subject(), &key, checks);
            }
        }
    }

    fn documents(&self, checks: &mut Checks) -> Result<(), CannotJudge> {
        if self.bag.documents.is_empty() && self.bag.signers.is_empty() {
            return Ok(());
        }
        let named = |root: &&Root<'_>| self.bag.signers.iter().any(|found| found.issuer() == root.subject());
        let Some(root) = self.bag.roots.iter().find(named).or(self.bag.roots.first()) else {
            return Ok(());
        };
        let signers = self.signers(root, checks);
        for (signer, _) in &signers {
            self.dates("tdx.signer.dates", signer, checks);
        }
        if self.bag.documents(super::documents::DocumentKind::TcbInfo).next().is_some() {
            self.newest::<TcbInfo>(&signers, |_| true, checks)?;
        }
        if self.bag.documents(super::documents::DocumentKind::QeIdentity).next().is_some() {
            self.newest::<QeIdentity>(&signers, |_| true, checks)?;
        }
        Ok(())
    }
}

fn settle(checks: Checks, anchors: &TrustAnchors) -> Result<Vec<Check>, Unverified> {
    if checks.hold() {
        return Ok(checks.into_vec());
    }
    Err(Unverified::Rejected(Rejected::new(Platform::Tdx, checks, anchors.roots())))
}
