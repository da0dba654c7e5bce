//! A quoting enclave, its platform and Intel's word on both, verified once.
//!
//! What is left for each quote is its own signature: everything that is the same for all quotes of one
//! enclave at one TCB is checked here, and [`Qe`] remembers for which enclave and TCB that was.
//!
//! Trusted: the anchors. Untrusted: the quote, and every endorsement.

use std::sync::Arc;

use crate::check::{Check, Checks};
use crate::crypto::PublicKey;
use crate::verified::Rejected;
use crate::x509::Certificate;
use crate::{CannotJudge, Crypto, Endorsements, Platform, Revocation, Roots, TrustAnchors, UnixTime};
use crate::{Unverified, Window};

use super::Quote;
use super::bag::{self, Bag, SIGNER};
use super::chain::{Path, Stage};
use super::collateral::{self, Issued, Signed};
use super::documents::{Document, DocumentKind};
use super::pck::PckClaims;
use super::qe_identity::{QeIdentity, QeReport};
use super::quote::QeEvidence;
use super::tcb::TcbClaims;
use super::tcb_info::TcbInfo;

/// A verified quoting enclave on a verified platform. Made by [`crate::Endorsements::prepare`].
#[derive(Clone, Debug)]
pub struct Qe {
    /// The attestation key.
    pub(super) key: PublicKey,
    /// For which enclave, as its quotes spell it, and for which TCB.
    pub(super) evidence: Vec<u8>,
    pub(super) judged: Vec<u8>,
    pub(super) claims: Arc<PlatformClaims>,
    pub(super) checks: Vec<Check>,
    pub(super) roots: Roots,
}

/// What is known of a platform and its quoting enclave.
#[derive(Clone, Debug, serde::Serialize)]
pub struct PlatformClaims {
    /// What the platform's certificate says.
    pub pck: PckClaims,
    /// Who issued that certificate.
    pub pck_authority: String,
    /// The quoting enclave.
    pub qe: QeReport,
    /// Intel's judgement.
    pub tcb: TcbClaims,
    /// The lower of the numbers of TCB info and QE identity: which round of advisories they know.
    pub tcb_evaluation_data_number: u32,
    /// When chain, lists and documents hold.
    pub window: Window,
    /// When lists and documents were issued.
    pub issued: Issued,
}

/// Verifies all that vouches for the attestation key of `quote`, and Intel's word on its TCB.
pub(crate) fn prepare(
    quote: &Quote<'_>,
    endorsements: &Endorsements,
    crypto: &dyn Crypto,
    anchors: &TrustAnchors,
    revocation: Revocation,
    now: UnixTime,
) -> Result<Qe, Unverified> {
    let of_quote = bag::of_quote(quote)?;
    let bag = Bag::sort(&of_quote, endorsements, anchors)?;
    let stage = Stage { bag: &bag, crypto, now };
    let mut checks = Checks::default();
    let claims = stage.platform(quote, revocation, &mut checks)?;
    let roots = bag.anchored;
    match claims {
        Some(claims) if checks.hold() => Ok(Qe {
            key: quote.qe.key(),
            evidence: quote.qe.bytes.to_vec(),
            judged: quote.report().judged_by_intel(),
            claims: Arc::new(claims),
            checks: checks.into_vec(),
            roots,
        }),
        _ => Err(Unverified::Rejected(Rejected::new(Platform::Tdx, checks, roots))),
    }
}

/// Whether the documents can be read, whoever signed them.
pub(crate) fn readable(endorsements: &Endorsements) -> Result<(), CannotJudge> {
    Document::all(endorsements)?.iter().try_for_each(collateral::readable)
}

impl Qe {
    /// When this may be used: all that is behind it holds.
    #[must_use]
    pub fn window(&self) -> Window {
        self.claims.window
    }

    /// Whether `quote` is of the enclave and TCB that were verified.
    pub(super) fn is_of(&self, quote: &Quote<'_>) -> bool {
        self.evidence == quote.qe.bytes && self.judged == quote.report().judged_by_intel()
    }
}

impl QeEvidence<'_> {
    /// The attestation key as an uncompressed point.
    pub(super) fn key(&self) -> PublicKey {
        let mut point = [4; 65];
        for (to, from) in point.iter_mut().skip(1).zip(self.attestation_key) {
            *to = *from;
        }
        PublicKey::P256(point)
    }
}

impl<'s, 'a> Stage<'s, 'a> {
    /// Everything, from the quoting enclave's report up to the root and back down to the TCB.
    fn platform(
        &self,
        quote: &Quote<'_>,
        revocation: Revocation,
        checks: &mut Checks,
    ) -> Result<Option<PlatformClaims>, CannotJudge> {
        let (certificate, pck, qe) = self.enclave(quote, checks)?;
        let path = self.path(certificate, checks)?;
        self.missing(certificate, &pck, revocation)?;
        let Some(path) = path else { return Ok(None) };
        let signers = self.signers(path.root, checks);
        let tcb_info = self.newest::<TcbInfo>(&signers, |info| info.fits(&pck), checks)?;
        let identity = self.newest::<QeIdentity>(&signers, |_| true, checks)?;
        let (Some(tcb_info), Some(identity)) = (tcb_info, identity) else { return Ok(None) };
        let mut signers = vec![tcb_info.signer, identity.signer];
        signers.dedup_by(|left, right| std::ptr::eq(*left, *right));
        let dates = path.dates().and(self.signer_dates(&signers, checks));
        let lists = self.lists(&path, &signers, revocation, checks)?;
        let Signed { document: tcb_info, .. } = tcb_info;
        let Signed { document: identity, .. } = identity;
        tcb_info.ask(&pck, checks);
        let (tcb_info, identity) = (tcb_info.ordered(), identity.ordered());
        let level = identity.judge(&qe, checks);
        let Some(tcb) = TcbClaims::judge(&tcb_info, &pck.tcb, level.as_ref(), quote.report(), checks) else {
            return Ok(None);
        };
        let documents = tcb_info.window().and(identity.window());
        Ok(Some(PlatformClaims {
            pck,
            pck_authority: path.authority.common_name().to_owned(),
            qe,
            tcb,
            tcb_evaluation_data_number: tcb_info
                .tcb_evaluation_data_number
                .min(identity.tcb_evaluation_data_number),
            window: dates.and(documents).and(lists.map_or(Window::ALWAYS, |lists| lists.window)),
            issued: Issued {
                revocation_lists: lists.map(|lists| lists.issued),
                tcb_info: tcb_info.window().from,
                qe_identity: identity.window().from,
            },
        }))
    }

    /// The quoting enclave: who signed its report, and whose key it made.
    pub(super) fn enclave(
        &self,
        quote: &Quote<'_>,
        checks: &mut Checks,
    ) -> Result<(&'s Certificate<'a>, PckClaims, QeReport), CannotJudge> {
        let certificate = self.pck(&quote.qe, checks)?;
        let pck = PckClaims::read(certificate)?;
        let malformed = |problem| CannotJudge::Evidence { platform: Platform::Tdx, problem };
        let report = quote.qe_report().map_err(malformed)?;
        report.binds_key(&quote.qe, self.crypto, checks);
        Ok((certificate, pck, report))
    }

    /// Names everything that must be brought, at once.
    fn missing(
        &self,
        certificate: &Certificate<'_>,
        pck: &PckClaims,
        revocation: Revocation,
    ) -> Result<(), CannotJudge> {
        let mut missing = Vec::new();
        if self.bag.documents(DocumentKind::TcbInfo).next().is_none() {
            missing.push(format!("Intel's TCB info of TDX for FMSPC {}", pck.fmspc));
        }
        if self.bag.documents(DocumentKind::QeIdentity).next().is_none() {
            missing.push("Intel's QE identity for TDX".to_owned());
        }
        if self.bag.signers.is_empty() {
            missing.push(format!("the certificate of {SIGNER}"));
        }
        if revocation == Revocation::Required {
            let roots = self.bag.roots.iter().map(|root| (root.subject(), bag::ROOT));
            let issuers = roots.chain([(certificate.issuer(), certificate.issuer_common_name())]);
            let absent = issuers.filter(|(issuer, _)| self.bag.lists_of(issuer).next().is_none());
            missing.extend(absent.map(|(_, name)| format!("a revocation list of {name}")));
        }
        if missing.is_empty() { Ok(()) } else { Err(CannotJudge::MissingEndorsement(missing.join("; "))) }
    }

    /// Both lists must be current, and must name none of those that the verdict hangs on.
    fn lists(
        &self,
        path: &Path<'s, 'a>,
        signers: &[&Certificate<'_>],
        revocation: Revocation,
        checks: &mut Checks,
    ) -> Result<Option<Lists>, CannotJudge> {
        if revocation == Revocation::InsecureWaived {
            checks.waive(
                "tdx.crl.root.current",
                "current revocation lists",
                "revocation waived by the caller",
            );
            return Ok(None);
        }
        let authority = path.authority;
        let of_root = self.list("root", path.root.subject(), &path.root.key, checks);
        let of_authority = self.list("pck", authority.subject(), &authority.key()?, checks);
        let (Some((of_root, root_dates)), Some((of_authority, dates))) = (of_root, of_authority) else {
            return Ok(None);
        };
        Self::unrevoked("root", of_root, &path.root.certificate, checks)?;
        Self::unrevoked("authority", of_root, authority, checks)?;
        for signer in signers {
            Self::unrevoked("signer", of_root, signer, checks)?;
        }
        Self::unrevoked("pck", of_authority, path.pck, checks)?;
        Ok(Some(Lists { window: root_dates.and(dates), issued: root_dates.from.min(dates.from) }))
    }
}

/// The two lists that were used.
#[derive(Clone, Copy)]
struct Lists {
    window: Window,
    issued: UnixTime,
}
