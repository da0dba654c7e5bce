//! The chain: PCK ← Platform or Processor CA ← pinned root, its dates, and the lists of both.
//!
//! The PCK is the one that signed the quoting enclave's report; its issuer is looked up by name and proved by
//! signature; the root is one of the caller's, and a root in the bag is only compared with it. Every step
//! leaves a check behind, so that two faults are two.

use crate::check::Checks;
use crate::crypto::{PublicKey, Scheme};
use crate::x509::{Certificate, RevocationList, Revoked};
use crate::{CannotJudge, Crypto, UnixTime, Window};

use super::bag::{Bag, PCK, PLATFORM_CA, PROCESSOR_CA};
use super::quote::QeEvidence;
use super::root::Root;

/// One verification under way.
#[derive(Clone, Copy)]
pub(super) struct Stage<'s, 'a> {
    pub(super) bag: &'s Bag<'a>,
    pub(super) crypto: &'s dyn Crypto,
    pub(super) now: UnixTime,
}

/// A PCK's certificate and those above it.
#[derive(Clone, Copy)]
pub(super) struct Path<'s, 'a> {
    pub(super) pck: &'s Certificate<'a>,
    pub(super) authority: &'s Certificate<'a>,
    pub(super) root: &'s Root<'a>,
}

impl<'s, 'a> Stage<'s, 'a> {
    /// The certificate of the key that signed the quoting enclave's report. Where none did, the first one
    /// goes on, so that its other faults are seen too.
    pub(super) fn pck(
        &self,
        evidence: &QeEvidence<'_>,
        checks: &mut Checks,
    ) -> Result<&'s Certificate<'a>, CannotJudge> {
        let signs = |pck: &&Certificate<'_>| {
            let (report, signature) = (evidence.report, evidence.signature);
            let scheme = Scheme::EcdsaP256Sha256;
            pck.key().is_ok_and(|key| self.crypto.verify(scheme, &key, report, signature).is_ok())
        };
        let signer = self.bag.pcks.iter().find(signs);
        let found = verifies(signer.is_some());
        let first = signer.or(self.bag.pcks.first()).ok_or_else(|| {
            let data = evidence.certification_type;
            let brings = format!("the quote brings certification data of type {data}, no certificate");
            CannotJudge::MissingEndorsement(format!("the platform's certificate ({PCK}): {brings}"))
        })?;
        checks.ask("tdx.qe.signature", signer.is_some(), "a signature by the PCK over the QE report", found);
        Ok(first)
    }

    /// Those above a PCK: its issuer, named by it and proved by signature, and the root.
    pub(super) fn path(
        &self,
        pck: &'s Certificate<'a>,
        checks: &mut Checks,
    ) -> Result<Option<Path<'s, 'a>>, CannotJudge> {
        let named = self.bag.authorities.iter().filter(|found| found.subject() == pck.issuer());
        let mut named = named.peekable();
        let name = pck.issuer_common_name();
        let known = [PLATFORM_CA, PROCESSOR_CA].contains(&name);
        checks.ask("tdx.chain.authority_name", known, format!("{PLATFORM_CA} or {PROCESSOR_CA}"), name);
        if known && named.peek().is_none() {
            return Err(CannotJudge::MissingEndorsement(format!("the certificate of {name}")));
        }
        let signer = named.find(|found| {
            let key = found.is_authority().then(|| found.key().ok()).flatten();
            key.is_some_and(|key| pck.signed_by(self.crypto, &key).is_ok())
        });
        let good = signer.is_some() && !pck.is_authority();
        let expected = format!("a signature by the {name}");
        checks.ask("tdx.chain.pck_signature", good, expected, verifies(signer.is_some()));
        let Some(authority) = signer else { return Ok(None) };
        let Some(root) = self.root(authority, checks) else { return Ok(None) };
        critical_extensions("tdx.chain.critical_extensions", &[pck, authority], checks);
        let path = Path { pck, authority, root };
        self.of_quote(&path, checks)?;
        let dates = path.dates();
        let at = "the instant of the judgement inside";
        checks.ask("tdx.chain.dates", dates.contains(self.now), at, dates.to_string());
        Ok(Some(path))
    }

    /// Every certificate that the quote brings, used or not, is what it says: there is nothing in a quote that
    /// nobody looks at.
    fn of_quote(&self, path: &Path<'_, '_>, checks: &mut Checks) -> Result<(), CannotJudge> {
        let (bag, key) = (self.bag, path.authority.key()?);
        let counts = bag.of_quote;
        let signed = |found: &Certificate<'_>, key: &PublicKey| found.signed_by(self.crypto, key).is_ok();
        // Those on the path were just checked.
        let pcks = bag.pcks.iter().take(counts.pcks).filter(|found| !std::ptr::eq(*found, path.pck));
        let pcks = pcks.filter(|found| !signed(found, &key));
        let authorities = bag.authorities.iter().take(counts.authorities);
        let authorities = authorities.filter(|found| !std::ptr::eq(*found, path.authority));
        let authorities = authorities.filter(|found| !signed(found, &path.root.key));
        let odd = pcks.chain(authorities).count().saturating_add(counts.strangers);
        let expected = "a PCK, its authority and the root in the quote, and no other certificate";
        checks.ask("tdx.chain.of_quote", odd == 0, expected, format!("{odd} others"));
        Ok(())
    }

    /// The caller's root that an authority names, and the authority's signature by it. Roots in the bag must
    /// have its key and be signed by it; nothing else is done with them.
    pub(super) fn root(&self, authority: &Certificate<'_>, checks: &mut Checks) -> Option<&'s Root<'a>> {
        let digest = |spki: &[u8]| self.crypto.sha256(&[spki]).to_string();
        let roots = self.bag.roots.iter().filter(|root| root.subject() == authority.issuer());
        let roots: Vec<&Root<'a>> = roots.collect();
        let signer = roots.iter().find(|root| authority.signed_by(self.crypto, &root.key).is_ok()).copied();
        let brought = &self.bag.brought_roots;
        let same = brought.iter().all(|found| roots.iter().any(|root| root.spki() == found.spki()));
        let anchored = self.bag.anchored;
        let expected: Vec<String> = roots.iter().map(|root| digest(root.spki())).collect();
        let expected = format!("a {anchored} root with key digest {}", expected.join(" or "));
        let found = match brought.as_slice() {
            [] => "none brought".to_owned(),
            all => all.iter().map(|found| digest(found.spki())).collect::<Vec<_>>().join(", "),
        };
        checks.ask("tdx.chain.root", !roots.is_empty() && same, expected, found);
        if let Some(root) = signer.or(roots.first().copied()) {
            let whole = brought.iter().all(|found| found.signed_by(self.crypto, &root.key).is_ok());
            checks.ask("tdx.chain.root_signature", whole, "roots that sign themselves", verifies(whole));
        }
        let expected = "a signature by the pinned root";
        checks.ask("tdx.chain.authority_signature", signer.is_some(), expected, verifies(signer.is_some()));
        signer
    }

    /// The newest list that `key` signed under this name, if it is current. Its signature comes first:
    /// nothing of a list that nobody signed is looked at.
    pub(super) fn list(
        &self,
        which: &str,
        issuer: &'s [u8],
        key: &PublicKey,
        checks: &mut Checks,
    ) -> Option<(&'s RevocationList<'a>, Window)> {
        let signed = self.bag.lists_of(issuer).filter(|list| list.signed_by(self.crypto, key).is_ok());
        let newest = signed.max_by_key(|list| list.window().map(|window| window.from));
        let genuine = newest.is_some();
        let expected = "a signature by the list's issuer";
        checks.ask(&format!("tdx.crl.{which}.signature"), genuine, expected, verifies(genuine));
        let list = newest?;
        let unknown = list.unknown_critical();
        let found = if unknown.is_empty() { "none".to_owned() } else { unknown.join(", ") };
        let id = format!("tdx.crl.{which}.critical_extensions");
        checks.ask(&id, unknown.is_empty(), "none that is not understood", found);
        let window = list.window();
        let current = window.is_some_and(|window| window.contains(self.now));
        let found = window.map_or("a list without nextUpdate".to_owned(), |window| window.to_string());
        let id = format!("tdx.crl.{which}.current");
        checks.ask(&id, current, "the instant of the judgement inside", found);
        window.map(|window| (list, window))
    }

    /// That a list does not name a certificate.
    pub(super) fn unrevoked(
        what: &str,
        list: &RevocationList<'_>,
        certificate: &Certificate<'_>,
        checks: &mut Checks,
    ) -> Result<(), CannotJudge> {
        let revoked = list.names(certificate)? == Revoked::Yes;
        let found = if revoked { "revoked" } else { "not listed" };
        checks.ask(&format!("tdx.revoked.{what}"), !revoked, "not on the revocation list", found);
        Ok(())
    }
}

impl Path<'_, '_> {
    /// When all three hold.
    pub(super) fn dates(&self) -> Window {
        self.pck.window().and(self.authority.window()).and(self.root.certificate.window())
    }
}

pub(super) fn critical_extensions(id: &str, certificates: &[&Certificate<'_>], checks: &mut Checks) {
    let unknown: Vec<String> = certificates.iter().flat_map(|found| found.unknown_critical()).collect();
    let found = if unknown.is_empty() { "none".to_owned() } else { unknown.join(", ") };
    checks.ask(id, unknown.is_empty(), "none that is not understood", found);
}

pub(super) fn verifies(good: bool) -> &'static str {
    if good { "verifies" } else { "does not verify" }
}
