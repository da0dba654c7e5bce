//! The path: leaf ← … ← one of the caller's roots, by name and by signature.
//!
//! The bundle is a bag. Each certificate on the way up is found by the name of the issuer and proved by its
//! signature; the last one must be signed by a root that the caller passed in. A root in the bundle is only
//! compared with that one. What is in the bundle and not on the path is worth nothing and does no harm.
//!
//! Trusted: the roots. Untrusted: the leaf and the bundle.

use super::root::Root;
use crate::check::Checks;
use crate::crypto::PublicKey;
use crate::x509::Certificate;
use crate::{CannotJudge, Crypto, Roots};

/// A search under way.
pub(super) struct Search<'s, 'a> {
    pub(super) crypto: &'s dyn Crypto,
    pub(super) bundle: &'s [Certificate<'a>],
    pub(super) roots: &'s [Root],
    pub(super) anchored: Roots,
    /// How many signatures may still be looked at.
    pub(super) budget: usize,
}

/// The certificates of a path, leaf first, and the root above them.
pub(super) struct Path<'s, 'a> {
    pub(super) certificates: Vec<&'s Certificate<'a>>,
    pub(super) root: &'s Root,
}

impl<'s, 'a> Search<'s, 'a> {
    /// The most signatures of one path that are looked at; a real one has four.
    pub(super) const BUDGET: usize = 12;

    /// Walks up from the leaf. `None` leaves behind the check that says where it ended.
    pub(super) fn from(
        mut self,
        leaf: &'s Certificate<'a>,
        checks: &mut Checks,
    ) -> Result<Option<Path<'s, 'a>>, CannotJudge> {
        let mut certificates = vec![leaf];
        let mut top = leaf;
        let root = loop {
            if let Some(root) = self.roots.iter().find(|root| root.subject == top.issuer()) {
                break root;
            }
            let Some(issuer) = self.issuer(top, &certificates)? else {
                self.ends(top, checks);
                return Ok(None);
            };
            top = issuer;
            certificates.push(top);
        };
        self.anchored(root, checks);
        let signed = self.signed(top, &root.key)?;
        let found = if signed { format!("{} certificates", certificates.len()) } else { UNSIGNED.to_owned() };
        checks.ask("nitro.chain.signatures", signed, "a path of signatures from the root to the leaf", found);
        Ok(Some(Path { certificates, root }))
    }

    /// The certificate in the bundle that is named as the issuer of `subject` and did sign it.
    fn issuer(
        &mut self,
        subject: &Certificate<'_>,
        used: &[&Certificate<'a>],
    ) -> Result<Option<&'s Certificate<'a>>, CannotJudge> {
        let bundle = self.bundle;
        for candidate in bundle.iter().filter(|candidate| candidate.subject() == subject.issuer()) {
            let fresh = !used.iter().any(|used| std::ptr::eq(*used, candidate));
            if fresh && self.signed(subject, &candidate.key()?)? {
                return Ok(Some(candidate));
            }
        }
        Ok(None)
    }

    fn signed(&mut self, subject: &Certificate<'_>, issuer: &PublicKey) -> Result<bool, CannotJudge> {
        let (what, limit) = ("signatures in a Nitro bundle", Self::BUDGET);
        let spent = CannotJudge::TooMuch { what, limit, found: limit.saturating_add(1) };
        self.budget = self.budget.checked_sub(1).ok_or(spent)?;
        Ok(subject.signed_by(self.crypto, issuer).is_ok())
    }

    /// The way up ends below every root.
    fn ends(&self, top: &Certificate<'_>, checks: &mut Checks) {
        let named = self.bundle.iter().any(|found| found.subject() == top.issuer());
        let self_issued = top.subject() == top.issuer();
        let found = match (self_issued, named) {
            (true, _) => format!("the self-issued {}", name(top.common_name())),
            (false, true) => format!("{}, who did not sign", name(top.issuer_common_name())),
            (false, false) => format!("{}, who is not in the bundle", name(top.issuer_common_name())),
        };
        checks.ask("nitro.chain.root", false, format!("a path to a {} root", self.anchored), found);
    }

    /// The root by which the path ends, and that no other one of its name was brought.
    fn anchored(&self, root: &Root, checks: &mut Checks) {
        let digest = |spki: &[u8]| self.crypto.sha256(&[spki]).to_string();
        let brought = self.bundle.iter().filter(|found| found.subject() == root.subject);
        let foreign = brought.map(Certificate::spki).find(|spki| *spki != root.spki);
        let found = digest(foreign.unwrap_or(&root.spki));
        let expected = format!("a {} root with key digest {}", self.anchored, digest(&root.spki));
        checks.ask("nitro.chain.root", foreign.is_none(), expected, found);
    }
}

fn name(common: &str) -> &str {
    if common.is_empty() { "an issuer without a name" } else { common }
}

const UNSIGNED: &str = "the root did not sign the certificate below it";
