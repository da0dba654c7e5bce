//! The chain: VEK ← ASK or ASVK ← pinned ARK, dates, revocation.
//!
//! The certificates come as a bag. The VEK is the one that fits the report best; its issuer is looked up
//! by name and proved by signature; the root is one of the caller's, and a root among the endorsements is
//! only compared with them. Every step leaves a check behind.

use crate::check::Checks;
use crate::x509::{Certificate, RevocationList, Revoked};
use crate::{CannotJudge, Crypto, Endorsements, Platform, Revocation, Roots, TrustAnchors, UnixTime};
use crate::{Unverified, Window, verified::Rejected};

use super::root::OpenRoot;
use super::vek::VekExtensions;
use super::{HardwareBinding, Report, SigningKey, Vek, VekClaims};

/// Verifies the key that `report` was signed with, as far as it can be done without the report.
pub(crate) fn prepare(
    report: &Report<'_>,
    endorsements: &Endorsements,
    crypto: &dyn Crypto,
    anchors: &TrustAnchors,
    revocation: Revocation,
    now: UnixTime,
) -> Result<Vek, Unverified> {
    let bag = Bag::sort(endorsements, anchors)?;
    let (certificate, extensions) = bag.vek_for(report)?;
    Stage { bag: &bag, crypto, now }.vek(certificate, extensions, revocation)
}

/// Whether a bag can be sorted, whoever the roots are.
pub(crate) fn readable(endorsements: &Endorsements) -> Result<(), CannotJudge> {
    Bag::sort(endorsements, &TrustAnchors::vendor()).map(drop)
}

/// The endorsements, sorted by what they say they are.
pub(super) struct Bag<'a> {
    veks: Vec<(Certificate<'a>, VekExtensions)>,
    authorities: Vec<Certificate<'a>>,
    self_issued: Vec<Certificate<'a>>,
    lists: Vec<RevocationList<'a>>,
    roots: Vec<OpenRoot>,
    anchored: Roots,
}

impl<'a> Bag<'a> {
    pub(super) fn sort(endorsements: &'a Endorsements, anchors: &TrustAnchors) -> Result<Self, CannotJudge> {
        let roots = anchors.amd.iter().map(super::Root::open).collect::<Result<_, _>>()?;
        let lists = endorsements.revocation_lists.iter().map(|der| RevocationList::parse(der));
        let lists = lists.collect::<Result<_, _>>()?;
        let (veks, authorities, self_issued) = (Vec::new(), Vec::new(), Vec::new());
        let mut bag = Self { veks, authorities, self_issued, lists, roots, anchored: anchors.roots() };
        for der in &endorsements.certificates {
            let certificate = Certificate::parse(der)?;
            if ["SEV-VCEK", "SEV-VLEK"].contains(&certificate.common_name()) {
                let extensions = VekExtensions::read(&certificate)?;
                bag.veks.push((certificate, extensions));
            } else if certificate.subject() == certificate.issuer() {
                bag.self_issued.push(certificate);
            } else {
                bag.authorities.push(certificate);
            }
        }
        Ok(bag)
    }

    /// The VEK that fits the report's key kind, chip and TCB best. A misfit is not hidden here: the later
    /// checks name it.
    fn vek_for(&self, report: &Report<'_>) -> Result<&(Certificate<'a>, VekExtensions), CannotJudge> {
        let fields = report.fields();
        let score = |extensions: &VekExtensions| {
            let kind = extensions.kind == fields.key_info.signing_key();
            let chip = match &extensions.bound_to {
                HardwareBinding::Chip(id) => *id == fields.chip_id,
                HardwareBinding::Provider(_) => kind,
            };
            let product = self.product_named(&extensions.product_name);
            let tcb = product.and_then(|product| extensions.tcb(product).ok()) == Some(fields.reported_tcb);
            (kind, chip, tcb)
        };
        // max_by_key takes the last of equals; the order in the bag must not matter more than that.
        self.veks.iter().max_by_key(|(_, extensions)| score(extensions)).ok_or_else(|| {
            CannotJudge::MissingEndorsement(format!(
                "a {} certificate for chip {} at TCB {}",
                fields.key_info.signing_key(),
                fields.chip_id,
                fields.reported_tcb
            ))
        })
    }

    /// The VEK, where no report says which is meant.
    pub(super) fn only_vek(&self) -> Result<&(Certificate<'a>, VekExtensions), CannotJudge> {
        match self.veks.as_slice() {
            [only] => Ok(only),
            [] => Err(CannotJudge::MissingEndorsement("a VCEK or VLEK certificate".to_owned())),
            several => Err(CannotJudge::TooMuch { what: "VEK certificates", limit: 1, found: several.len() }),
        }
    }

    pub(super) fn authorities(&self) -> &[Certificate<'a>] {
        &self.authorities
    }

    pub(super) fn self_issued(&self) -> &[Certificate<'a>] {
        &self.self_issued
    }

    pub(super) fn lists(&self) -> &[RevocationList<'a>] {
        &self.lists
    }

    fn product_named(&self, name: &str) -> Option<super::Product> {
        self.roots.iter().map(|root| root.product).find(|product| product.owns_name(name))
    }
}

/// One verification under way.
pub(super) struct Stage<'s, 'a> {
    pub(super) bag: &'s Bag<'a>,
    pub(super) crypto: &'s dyn Crypto,
    pub(super) now: UnixTime,
}

type Built = (crate::crypto::PublicKey, VekClaims);

impl<'a> Stage<'_, 'a> {
    /// All that is asked of a VEK and of those above it.
    pub(super) fn vek(
        &self,
        certificate: &Certificate<'a>,
        extensions: &VekExtensions,
        revocation: Revocation,
    ) -> Result<Vek, Unverified> {
        let mut checks = Checks::default();
        let roots = self.bag.anchored;
        match self.build(certificate, extensions, revocation, &mut checks)? {
            Some((key, claims)) if checks.hold() => Ok(Vek { key, claims, checks: checks.into_vec(), roots }),
            _ => Err(Unverified::Rejected(Rejected::new(Platform::SevSnp, checks, roots))),
        }
    }

    fn build(
        &self,
        vek: &Certificate<'a>,
        extensions: &VekExtensions,
        revocation: Revocation,
        checks: &mut Checks,
    ) -> Result<Option<Built>, CannotJudge> {
        let Some(intermediate) = self.intermediate(vek, checks)? else { return Ok(None) };
        let Some(root) = self.root(intermediate, checks) else { return Ok(None) };
        self.authority(intermediate, root, checks);
        let expected = authority_name(extensions.kind, root.product);
        let name = intermediate.common_name();
        checks.ask("snp.chain.intermediate_name", name == expected, expected, name);
        let owns = root.product.owns_name(&extensions.product_name);
        let expected = format!("a product of the {} line", root.product);
        checks.ask("snp.vek.product_name", owns, expected, &extensions.product_name);
        critical_extensions(&[vek, intermediate], checks);

        let dates = vek.window().and(intermediate.window()).and(root.window);
        self.dates(dates, checks);
        let listed = self.revocation(root, intermediate, vek, revocation, checks)?;
        let claims = VekClaims {
            kind: extensions.kind,
            product: root.product,
            product_name: extensions.product_name.clone(),
            tcb: extensions.tcb(root.product)?,
            bound_to: extensions.bound_to.clone(),
            window: listed.map_or(dates, |listed| dates.and(listed)),
            revocation_list_from: listed.map(|listed| listed.from),
        };
        Ok(Some((vek.key()?, claims)))
    }

    /// The root's signature over an intermediate.
    pub(super) fn authority(&self, intermediate: &Certificate<'_>, root: &OpenRoot, checks: &mut Checks) {
        let signed = intermediate.is_authority() && intermediate.signed_by(self.crypto, &root.key).is_ok();
        let expected = format!("a signature by the pinned {}", intermediate.issuer_common_name());
        checks.ask("snp.chain.intermediate_signature", signed, expected, verifies(signed));
    }

    /// The name of an intermediate of which it is not known what it is to issue.
    pub(super) fn either_name(intermediate: &Certificate<'_>, root: &OpenRoot, checks: &mut Checks) {
        let either = [SigningKey::Vcek, SigningKey::Vlek].map(|kind| authority_name(kind, root.product));
        let found = intermediate.common_name();
        let known = either.iter().any(|name| name == found);
        checks.ask("snp.chain.intermediate_name", known, either.join(" or "), found);
    }

    /// A root by itself: one of the anchors, and signed by its own key.
    pub(super) fn brought_root(&self, brought: &Certificate<'_>, checks: &mut Checks) {
        let anchor = self.bag.roots.iter().find(|root| root.spki == brought.spki());
        let signed = anchor.is_some_and(|root| brought.signed_by(self.crypto, &root.key).is_ok());
        let found = self.crypto.sha256(&[brought.spki()]).to_string();
        checks.ask("snp.chain.root", anchor.is_some(), format!("a {} root", self.bag.anchored), found);
        checks.ask("snp.chain.root_signature", signed, "a signature by itself", verifies(signed));
    }

    pub(super) fn dates(&self, dates: Window, checks: &mut Checks) {
        let at = "the instant of the judgement inside";
        checks.ask("snp.chain.dates", dates.contains(self.now), at, dates.to_string());
    }

    /// The issuer of the VEK: named by it, an authority, and proved by signature.
    fn intermediate(
        &self,
        vek: &Certificate<'_>,
        checks: &mut Checks,
    ) -> Result<Option<&Certificate<'a>>, CannotJudge> {
        if self.bag.authorities.is_empty() {
            let name = vek.issuer_common_name();
            return Err(CannotJudge::MissingEndorsement(format!("the certificate of {name}")));
        }
        let named = self.bag.authorities.iter().filter(|found| found.subject() == vek.issuer());
        let mut named = named.peekable();
        let wanted = format!("the authority {}", vek.issuer_common_name());
        if named.peek().is_none() {
            let found: Vec<&str> = self.bag.authorities.iter().map(Certificate::common_name).collect();
            checks.ask("snp.chain.intermediate", false, wanted, found.join(", "));
            return Ok(None);
        }
        let signer = named.find(|found| {
            found.is_authority() && found.key().is_ok_and(|key| vek.signed_by(self.crypto, &key).is_ok())
        });
        let expected = format!("a signature by {wanted}");
        checks.ask("snp.chain.vek_signature", signer.is_some(), expected, verifies(signer.is_some()));
        Ok(signer)
    }

    /// The caller's root that the intermediate names. A root in the bag is looked at only to say what was
    /// found instead.
    pub(super) fn root(&self, intermediate: &Certificate<'_>, checks: &mut Checks) -> Option<&OpenRoot> {
        let digest = |spki: &[u8]| self.crypto.sha256(&[spki]).to_string();
        let named: Vec<&OpenRoot> =
            self.bag.roots.iter().filter(|root| root.subject == intermediate.issuer()).collect();
        let wanted: Vec<String> = named.iter().map(|root| digest(&root.spki)).collect();
        let brought = self.bag.self_issued.iter().filter(|found| found.subject() == intermediate.issuer());
        let brought: Vec<&[u8]> = brought.map(Certificate::spki).collect();
        let found = match brought.as_slice() {
            [] if named.is_empty() => intermediate.issuer_common_name().to_owned(),
            [] => "none brought".to_owned(),
            keys => keys.iter().map(|spki| digest(spki)).collect::<Vec<_>>().join(", "),
        };
        let anchored = self.bag.anchored;
        let expected = if wanted.is_empty() {
            format!("a {anchored} root")
        } else {
            format!("{} root with key digest {}", anchored, wanted.join(" or "))
        };
        let signer = named.iter().find(|root| intermediate.signed_by(self.crypto, &root.key).is_ok());
        let same = brought.iter().all(|spki| named.iter().any(|root| root.spki == *spki));
        checks.ask("snp.chain.root", !named.is_empty() && same, expected, found);
        signer.or(named.first()).copied()
    }

    /// A list of the root must be current and must not name the intermediate or the VEK; a list of the
    /// intermediate, if there is one, must not name the VEK either.
    fn revocation(
        &self,
        root: &OpenRoot,
        intermediate: &Certificate<'_>,
        vek: &Certificate<'_>,
        revocation: Revocation,
        checks: &mut Checks,
    ) -> Result<Option<Window>, CannotJudge> {
        if revocation == Revocation::InsecureWaived {
            checks.waive("snp.crl.current", "a current revocation list", "revocation waived by the caller");
            return Ok(None);
        }
        let by_root = self.newest(&root.subject, &root.key, checks)?;
        let Some((list, window)) = by_root else { return Ok(None) };
        let key = intermediate.key()?;
        let by_intermediate = match self.lists_of(intermediate.subject()).next() {
            Some(_) => self.newest(intermediate.subject(), &key, checks)?,
            None => None,
        };
        let expected = "not on the revocation list";
        let ask = |checks: &mut Checks, id: &str, revoked: bool| {
            checks.ask(id, !revoked, expected, if revoked { "revoked" } else { "not listed" });
        };
        ask(checks, "snp.crl.intermediate", list.names(intermediate)? == Revoked::Yes);
        let mut vek_revoked = list.names(vek)? == Revoked::Yes;
        let mut whole = window;
        if let Some((list, window)) = by_intermediate {
            vek_revoked |= list.names(vek)? == Revoked::Yes;
            whole = whole.and(window);
        }
        ask(checks, "snp.crl.vek", vek_revoked);
        Ok(Some(whole))
    }

    fn lists_of<'n>(&'n self, issuer: &'n [u8]) -> impl Iterator<Item = &'n RevocationList<'a>> {
        self.bag.lists.iter().filter(move |list| list.issuer() == issuer)
    }

    /// The newest list that `key` signed under this name. Its signature comes first: nothing of a list
    /// that nobody signed is looked at.
    fn newest<'n>(
        &'n self,
        issuer: &'n [u8],
        key: &crate::crypto::PublicKey,
        checks: &mut Checks,
    ) -> Result<Option<(&'n RevocationList<'a>, Window)>, CannotJudge> {
        let mut named = self.lists_of(issuer).peekable();
        if named.peek().is_none() {
            return Err(CannotJudge::MissingEndorsement("a revocation list of the root".to_owned()));
        }
        let signed: Vec<_> = named.filter(|list| list.signed_by(self.crypto, key).is_ok()).collect();
        let genuine = !signed.is_empty();
        checks.ask("snp.crl.signature", genuine, "a signature by the list's issuer", verifies(genuine));
        let Some(newest) = signed.into_iter().max_by_key(|list| list.window().map(|window| window.from))
        else {
            return Ok(None);
        };
        Ok(self.currency(newest, checks).map(|window| (newest, window)))
    }

    /// A list by itself: one of the roots signed it, and it is current.
    pub(super) fn list_of_root(&self, list: &RevocationList<'_>, checks: &mut Checks) {
        let mut named = self.bag.roots.iter().filter(|root| root.subject == list.issuer());
        let genuine = named.any(|root| list.signed_by(self.crypto, &root.key).is_ok());
        checks.ask("snp.crl.signature", genuine, "a signature by one of the roots", verifies(genuine));
        if genuine {
            self.currency(list, checks);
        }
    }

    /// What is asked of a list whose signature was checked.
    fn currency(&self, list: &RevocationList<'_>, checks: &mut Checks) -> Option<Window> {
        let unknown = list.unknown_critical();
        let found = if unknown.is_empty() { "none".to_owned() } else { unknown.join(", ") };
        checks.ask("snp.crl.critical_extensions", unknown.is_empty(), "none that is not understood", found);
        let window = list.window();
        let current = window.is_some_and(|window| window.contains(self.now));
        let found = window.map_or("a list without nextUpdate".to_owned(), |window| window.to_string());
        checks.ask("snp.crl.current", current, "the instant of the judgement inside", found);
        window
    }
}

fn critical_extensions(certificates: &[&Certificate<'_>], checks: &mut Checks) {
    let unknown: Vec<String> = certificates.iter().flat_map(|c| c.unknown_critical()).collect();
    let found = if unknown.is_empty() { "none".to_owned() } else { unknown.join(", ") };
    checks.ask("snp.chain.critical_extensions", unknown.is_empty(), "none that is not understood", found);
}

/// Who issues a VEK of this kind, by name.
fn authority_name(kind: SigningKey, product: super::Product) -> String {
    match kind {
        SigningKey::Vlek => format!("SEV-VLEK-{product}"),
        SigningKey::Vcek | SigningKey::None | SigningKey::Unknown => format!("SEV-{product}"),
    }
}

fn verifies(good: bool) -> &'static str {
    if good { "verifies" } else { "does not verify" }
}
