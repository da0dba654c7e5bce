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
use super::documents::DocumentKind;
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
    fn issued(&self) -> Window;
}

impl Dated for TcbInfo {
    const KIND: DocumentKind = DocumentKind::TcbInfo;
    const NAME: &'static str = "tcb_info";
    fn issued(&self) -> Window {
        self.window()
    }
}

impl Dated for QeIdentity {
    const KIND: DocumentKind = DocumentKind::QeIdentity;
    const NAME: &'static str = "qe_identity";
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
        let signers: Vec<(&Certificate<'_>, PublicKey)> = keyed.collect();
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
                genuine.push(Signed { document: document.read::<T>()?, signer });
            }
        }
        let id = format!("tdx.{}.signature", T::NAME);
        let found = verifies(!genuine.is_empty());
        checks.ask(&id, !genuine.is_empty(), format!("a signature by the {SIGNER}"), found);
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

impl TcbInfo {
    /// Whether this is for TDs on platforms of this model.
    pub(super) fn fits(&self, pck: &PckClaims) -> bool {
        self.id == "TDX" && self.fmspc == pck.fmspc && self.pce_id == pck.pce_id
    }

    /// What must be so whatever the levels say.
    pub(super) fn ask(&self, pck: &PckClaims, checks: &mut Checks) {
        checks.ask("tdx.tcb_info.id", self.id == "TDX", "TDX", &self.id);
        let known = self.version == 3 && self.tcb_type == 0;
        let found = format!("version {}, type {}", self.version, self.tcb_type);
        checks.ask("tdx.tcb_info.version", known, "version 3, type 0", found);
        let (expected, found) = (pck.fmspc, self.fmspc);
        checks.ask("tdx.tcb_info.fmspc", expected == found, expected.to_string(), found.to_string());
        let (expected, found) = (pck.pce_id, self.pce_id);
        checks.ask("tdx.tcb_info.pceid", expected == found, expected.to_string(), found.to_string());
    }
}

impl QeIdentity {
    /// Whether this is for the quoting enclave of TDs.
    pub(super) fn fits(&self) -> bool {
        self.id == "TD_QE"
    }

    pub(super) fn ask(&self, checks: &mut Checks) {
        checks.ask("tdx.qe_identity.id", self.fits(), "TD_QE", &self.id);
        checks.ask("tdx.qe_identity.version", self.version == 2, "2", self.version.to_string());
    }
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
