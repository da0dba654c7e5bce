//! A certificate's path: leaf ← authorities ← an anchor of the caller's, dates, revocation.
//!
//! Serves the keys of TPMs: attestation keys that a provider certified and endorsement keys that a
//! manufacturer certified. The certificates come as a bag; an issuer is looked up by name and proved by
//! signature; a root in the bag counts for nothing.
//!
//! Trusted: the anchors. Untrusted: the leaf and the bag.

use crate::anchors::Der;
use crate::check::Checks;
use crate::crypto::{Crypto, PublicKey};
use crate::x509::{Certificate, RevocationList, Revoked};
use crate::{CannotJudge, Endorsements, UnixTime, Window};

/// A root that the caller believes.
#[derive(Debug)]
pub(super) struct Anchor {
    subject: Vec<u8>,
    key: PublicKey,
    window: Window,
    pub(super) common_name: String,
    pub(super) organisation: String,
}

impl Anchor {
    pub(super) fn open(der: &Der) -> Result<Self, CannotJudge> {
        let certificate = Certificate::parse(der)?;
        Ok(Self {
            subject: certificate.subject().to_vec(),
            key: certificate.key()?,
            window: certificate.window(),
            common_name: certificate.common_name().to_owned(),
            organisation: certificate.organisation().to_owned(),
        })
    }
}

/// Certificates and lists of which nothing is known yet.
#[derive(Debug)]
pub(super) struct Bag<'e> {
    pub(super) certificates: Vec<Certificate<'e>>,
    lists: Vec<RevocationList<'e>>,
}

impl<'e> Bag<'e> {
    pub(super) fn open(endorsements: &'e Endorsements) -> Result<Self, CannotJudge> {
        let certificates = endorsements.certificates.iter().map(|der| Certificate::parse(der));
        let lists = endorsements.revocation_lists.iter().map(|der| RevocationList::parse(der));
        Ok(Self {
            certificates: certificates.collect::<Result<_, _>>()?,
            lists: lists.collect::<Result<_, _>>()?,
        })
    }

    /// The one certificate that is of no authority.
    pub(super) fn only_leaf(&self) -> Result<&Certificate<'e>, CannotJudge> {
        let mut leaves = self.certificates.iter().filter(|found| !found.is_authority());
        match (leaves.next(), leaves.count()) {
            (Some(only), 0) => Ok(only),
            (None, _) => Err(CannotJudge::MissingEndorsement("a certificate of a key".to_owned())),
            (Some(_), more) => {
                let (what, found) = ("certificates of keys", more.saturating_add(1));
                Err(CannotJudge::TooMuch { what, limit: 1, found })
            }
        }
    }

    /// Leaves the lists aside: for the inspection of old evidence.
    pub(super) fn waive_revocation(&mut self) {
        self.lists.clear();
    }
}

/// A path whose every signature was checked.
#[derive(Debug)]
pub(super) struct Path<'b, 'e> {
    pub(super) leaf: &'b Certificate<'e>,
    /// Those above it, in order.
    authorities: Vec<&'b Certificate<'e>>,
    pub(super) anchor: &'b Anchor,
}

/// The names of the checks that [`Path::judge`] asks.
#[derive(Debug)]
pub(super) struct Ids {
    pub(super) dates: &'static str,
    pub(super) critical: &'static str,
    pub(super) list_signature: &'static str,
    pub(super) list_current: &'static str,
    pub(super) list_critical: &'static str,
    pub(super) revoked: &'static str,
}

/// When a path holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) window: Window,
    /// When the anchor's revocation list was issued; `None` if none was brought.
    pub(super) list_from: Option<UnixTime>,
}

impl<'b, 'e> Path<'b, 'e> {
    /// The most authorities between a leaf and its anchor: the work is bounded by it and by the bag's size.
    const MAX_AUTHORITIES: usize = 3;

    /// Looks for the authorities above `leaf`, each proved by its signature over the one below.
    pub(super) fn find(
        leaf: &'b Certificate<'e>,
        bag: &'b Bag<'e>,
        anchors: &'b [Anchor],
        crypto: &dyn Crypto,
    ) -> Option<Self> {
        let mut authorities = Vec::new();
        let mut below = leaf;
        loop {
            let signed = |anchor: &&Anchor| {
                anchor.subject == below.issuer() && below.issued_by(crypto, &anchor.key).is_ok()
            };
            if let Some(anchor) = anchors.iter().find(signed) {
                return Some(Self { leaf, authorities, anchor });
            }
            let between = authorities.len();
            if between == Self::MAX_AUTHORITIES {
                return None;
            }
            let mut named = bag.certificates.iter().filter(|found| found.subject() == below.issuer());
            below = named.find(|found| issues(found, below, between, crypto))?;
            authorities.push(below);
        }
    }

    /// Whether a certificate of the path writes out what DER leaves out.
    pub(super) fn spells_out_defaults(&self) -> bool {
        std::iter::once(&self.leaf).chain(&self.authorities).any(|found| found.spells_out_defaults())
    }

    /// Dates, critical extensions and, as far as lists were brought, revocation.
    pub(super) fn judge(
        &self,
        bag: &Bag<'_>,
        crypto: &dyn Crypto,
        now: UnixTime,
        ids: &Ids,
        checks: &mut Checks,
    ) -> Result<Held, CannotJudge> {
        let certificates: Vec<_> = std::iter::once(&self.leaf).chain(&self.authorities).copied().collect();
        let dates = certificates.iter().map(|found| found.window());
        let dates = dates.fold(self.anchor.window, Window::and);
        let at = "the instant of the judgement inside";
        checks.ask(ids.dates, dates.contains(now), at, dates.to_string());
        let unknown: Vec<String> = certificates.iter().flat_map(|found| unknown_critical(found)).collect();
        let found = if unknown.is_empty() { "none".to_owned() } else { unknown.join(", ") };
        checks.ask(ids.critical, unknown.is_empty(), "none that is not understood", found);
        let mut held = Held { window: dates, list_from: None };
        let issuers = self.authorities.iter().map(|found| found.key());
        let issuers: Vec<PublicKey> =
            issuers.chain([Ok(self.anchor.key.clone())]).collect::<Result<_, _>>()?;
        for (certificate, issuer) in certificates.into_iter().zip(&issuers) {
            let lists = Lists { bag, crypto, now, ids };
            let Some(window) = lists.of(certificate, issuer, checks)? else { continue };
            held.window = held.window.and(window);
            if *issuer == self.anchor.key {
                held.list_from = Some(window.from);
            }
        }
        Ok(held)
    }
}

/// Whether `found` is an authority that may and did sign `below`.
fn issues(found: &Certificate<'_>, below: &Certificate<'_>, between: usize, crypto: &dyn Crypto) -> bool {
    found.subject() != found.issuer()
        && found.is_authority()
        && found.path_limit().is_none_or(|limit| limit >= between)
        && found.key().is_ok_and(|key| below.issued_by(crypto, &key).is_ok())
}

/// Critical extensions that are looked at nowhere. An endorsement key has no subject but a critical
/// alternative name (TCG EK Credential Profile 2.5, section 3.2.9); usages and policies only narrow.
fn unknown_critical(certificate: &Certificate<'_>) -> Vec<String> {
    let mut unknown = certificate.unknown_critical();
    unknown.retain(|id| !["2.5.29.17", "2.5.29.37"].contains(&id.as_str()));
    unknown
}

/// The revocation lists, and how they are asked.
struct Lists<'l, 'e> {
    bag: &'l Bag<'e>,
    crypto: &'l dyn Crypto,
    now: UnixTime,
    ids: &'l Ids,
}

impl Lists<'_, '_> {
    /// Asks the newest list of `certificate`'s issuer; `None` if none was brought. The signature comes first:
    /// nothing of a list that nobody signed is looked at.
    fn of(
        &self,
        certificate: &Certificate<'_>,
        issuer: &PublicKey,
        checks: &mut Checks,
    ) -> Result<Option<Window>, CannotJudge> {
        let mut named = self.bag.lists.iter().filter(|list| list.issuer() == certificate.issuer()).peekable();
        if named.peek().is_none() {
            return Ok(None);
        }
        let signed = named.filter(|list| list.issued_by(self.crypto, issuer).is_ok());
        let newest = signed.max_by_key(|list| list.window().map(|window| window.from));
        let found = if newest.is_some() { "verifies" } else { "does not verify" };
        checks.ask(self.ids.list_signature, newest.is_some(), "a signature by the list's issuer", found);
        let Some(list) = newest else { return Ok(None) };
        let unknown = list.unknown_critical();
        let found = if unknown.is_empty() { "none".to_owned() } else { unknown.join(", ") };
        checks.ask(self.ids.list_critical, unknown.is_empty(), "none that is not understood", found);
        let window = list.window();
        let current = window.is_some_and(|window| window.contains(self.now));
        let found = window.map_or("a list without nextUpdate".to_owned(), |window| window.to_string());
        checks.ask(self.ids.list_current, current, "the instant of the judgement inside", found);
        let revoked = list.names(certificate)? == Revoked::Yes;
        let found = if revoked { "revoked" } else { "not listed" };
        checks.ask(self.ids.revoked, !revoked, "not on the revocation list", found);
        Ok(window)
    }
}
