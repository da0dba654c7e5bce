//! Intel's collateral: who signed TCB info and QE identity, whether they are current, and for which platform.
//!
//! The signer's certificate stands directly under the root and bears the signer's name: a platform's own key
//! has the same root and signs nothing here. Of several genuine documents the newest that is for this
//! platform counts; one that nobody signed is not read.

use serde::Deserialize;

use crate::check::Checks;
use crate::crypto::PublicKey;
use crate::x509::Certificate;
use crate::{CannotJudge, UnixTime, Window};

use super::bag::SIGNER;
use super::chain::{Stage, critical_extensions, verifies};
use super::documents::{Document, DocumentKind, Head};
use super::pck::PckClaims;
use super::qe_identity::QeIdentity;
use super::root::Root;
use super::tcb_info::TcbInfo;

/// A genuine document, and the certificate of who signed it.
pub(super) struct Signed<'s, 'a, T> {
    pub(super) document: T,
    pub(super) signer: &'s Certificate<'a>,
}

/// What Intel signs.
pub(super) trait Dated: for<'de> Deserialize<'de> {
    const KIND: DocumentKind;
    /// The document's part in the ids of its checks.
    const NAME: &'static str;
    /// What a document for TDX calls itself, and the structure that is understood.
    const ID: &'static str;
    const VERSION: u32;
    fn issued(&self) -> Window;
}

impl Dated for TcbInfo {
    const KIND: DocumentKind = DocumentKind::TcbInfo;
    const NAME: &'static str = "tcb_info";
    const ID: &'static str = "TDX";
    const VERSION: u32 = 3;
    fn issued(&self) -> Window {
        self.window()
    }
}

impl Dated for QeIdentity {
    const KIND: DocumentKind = DocumentKind::QeIdentity;
    const NAME: &'static str = "qe_identity";
    const ID: &'static str = "TD_QE";
    const VERSION: u32 = 2;
    fn issued(&self) -> Window {
        self.window()
    }
}

impl<'s, 'a> Stage<'s, 'a> {
    /// The certificates that may sign documents: named so, under the root itself, no authorities.
    pub(super) fn signers(
        &self,
        root: &Root<'_>,
        checks: &mut Checks,
    ) -> Vec<(&'s Certificate<'a>, PublicKey)> {
        let under_root = self.bag.signers.iter().filter(|found| {
            found.issuer() == root.subject()
                && !found.is_authority()
                && found.signed_by(self.crypto, &root.key).is_ok()
        });
        let keyed = under_root.filter_map(|found| found.key().ok().map(|key| (found, key)));
        let mut signers: Vec<(&Certificate<'_>, PublicKey)> = keyed.collect();
        // Intel renews this certificate for the same key: the one that holds longest comes first.
        signers.sort_by_key(|(signer, _)| std::cmp::Reverse(signer.window().until));
        let expected = format!("{SIGNER}, signed by the pinned root");
        let found = verifies(!signers.is_empty());
        checks.ask("tdx.signer.signature", !signers.is_empty(), expected, found);
        signers
    }

    /// The newest document of a kind that one of the signers signed; of those that fit the platform, if any
    /// does.
    pub(super) fn newest<T: Dated>(
        &self,
        signers: &[(&'s Certificate<'a>, PublicKey)],
        fits: impl Fn(&T) -> bool,
        checks: &mut Checks,
    ) -> Result<Option<Signed<'s, 'a, T>>, CannotJudge> {
        let mut genuine = Vec::new();
        for document in self.bag.documents(T::KIND) {
            let signer = signers.iter().find(|(_, key)| document.signed_by(self.crypto, key).is_ok());
            if let Some((signer, _)) = signer {
                genuine.push(Signed { document, signer });
            }
        }
        let id = format!("tdx.{}.signature", T::NAME);
        let found = verifies(!genuine.is_empty());
        checks.ask(&id, !genuine.is_empty(), format!("a signature by the {SIGNER}"), found);
        let genuine = understood::<T>(genuine, checks)?;
        let rank = |found: &Signed<'_, '_, T>| (fits(&found.document), found.document.issued().from);
        let newest = genuine.into_iter().max_by_key(rank);
        if let Some(found) = &newest {
            self.current(T::NAME, found.document.issued(), checks);
        }
        Ok(newest)
    }

    fn current(&self, name: &str, window: Window, checks: &mut Checks) {
        let id = format!("tdx.{name}.current");
        let expected = "the instant of the judgement inside";
        checks.ask(&id, window.contains(self.now), expected, window.to_string());
    }

    /// The dates and extensions of the certificates that signed.
    pub(super) fn signer_dates(&self, signers: &[&Certificate<'_>], checks: &mut Checks) -> Window {
        critical_extensions("tdx.signer.critical_extensions", signers, checks);
        let dates = signers.iter().fold(Window::ALWAYS, |dates, signer| dates.and(signer.window()));
        let expected = "the instant of the judgement inside";
        checks.ask("tdx.signer.dates", dates.contains(self.now), expected, dates.to_string());
        dates
    }
}

/// Reads those documents that are for TDX, in a version that is understood. Intel signs others with the same key:
/// a bag may hold what it says of SGX.
fn understood<'s, 'a, T: Dated>(
    genuine: Vec<Signed<'s, 'a, &Document<'a>>>,
    checks: &mut Checks,
) -> Result<Vec<Signed<'s, 'a, T>>, CannotJudge> {
    let heads = genuine.iter().map(|found| found.document.head()).collect::<Result<Vec<Head>, _>>()?;
    let named = heads.iter().any(|head| head.id == T::ID);
    let known = |head: &Head| head.id == T::ID && head.version == T::VERSION;
    if !heads.is_empty() {
        let found: Vec<&str> = heads.iter().map(|head| head.id.as_str()).collect();
        checks.ask(&format!("tdx.{}.id", T::NAME), named, T::ID, found.join(", "));
        let found: Vec<String> = heads.iter().map(|head| head.version.to_string()).collect();
        let id = format!("tdx.{}.version", T::NAME);
        checks.ask(&id, !named || heads.iter().any(known), T::VERSION.to_string(), found.join(", "));
    }
    let wanted = genuine.into_iter().zip(&heads).filter(|(_, head)| known(head));
    let read =
        wanted.map(|(found, _)| Ok(Signed { document: found.document.read::<T>()?, signer: found.signer }));
    read.collect()
}

impl TcbInfo {
    /// Whether this is for platforms of this model.
    pub(super) fn fits(&self, pck: &PckClaims) -> bool {
        self.fmspc == pck.fmspc && self.pce_id == pck.pce_id
    }

    /// What must be so whatever the levels say.
    pub(super) fn ask(&self, pck: &PckClaims, checks: &mut Checks) {
        // How the components of the TCB are composed: 0 is the only way there is.
        checks.ask("tdx.tcb_info.type", self.tcb_type == 0, "0", self.tcb_type.to_string());
        let (expected, found) = (pck.fmspc, self.fmspc);
        checks.ask("tdx.tcb_info.fmspc", expected == found, expected.to_string(), found.to_string());
        let (expected, found) = (pck.pce_id, self.pce_id);
        checks.ask("tdx.tcb_info.pceid", expected == found, expected.to_string(), found.to_string());
    }
}

/// Whether a document can be read, whoever signed it.
pub(super) fn readable(document: &Document<'_>) -> Result<(), CannotJudge> {
    match document.kind() {
        DocumentKind::TcbInfo => readable_as::<TcbInfo>(document),
        DocumentKind::QeIdentity => readable_as::<QeIdentity>(document),
    }
}

fn readable_as<T: Dated>(document: &Document<'_>) -> Result<(), CannotJudge> {
    let head = document.head()?;
    let ours = head.id == T::ID && head.version == T::VERSION;
    if ours { document.read::<T>().map(drop) } else { Ok(()) }
}

/// When the documents and lists behind a verdict were issued.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Issued {
    /// The older of the two revocation lists; `None` if none was asked for.
    pub revocation_lists: Option<UnixTime>,
    /// The TCB info.
    pub tcb_info: UnixTime,
    /// The QE identity.
    pub qe_identity: UnixTime,
}
