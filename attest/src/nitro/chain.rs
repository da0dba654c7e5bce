//! The leaf that signs documents: verified once, used for every document of the next hours.
//!
//! The certificates stand in the document itself. The path is found by [`super::path`]; here its certificates
//! are asked what they may do and when (RFC 5280, section 6.1, as far as this hierarchy uses it). AWS publishes
//! no list that a verifier should ask for ("we do not use CRL"): leaves live three hours. A list that is brought
//! all the same, and names a certificate of the path, is believed if that certificate's issuer signed it.
//!
//! Trusted: the roots. Untrusted: the document and the lists.

use super::document::Document;
use super::path::{Path, Search};
use super::root::Root;
use crate::check::{Check, Checks};
use crate::crypto::PublicKey;
use crate::verified::Rejected;
use crate::x509::{Certificate, RevocationList, Revoked};
use crate::{CannotJudge, Crypto, Endorsements, Roots, TrustAnchors, UnixTime, Unverified, Window};

/// A verified leaf. Made by [`crate::Endorsements::prepare`].
#[derive(Clone, Debug)]
pub struct Chain {
    /// The certificates that were verified, as [`Document::endorsement_id`] writes them.
    pub(super) id: Vec<u8>,
    pub(super) key: PublicKey,
    pub(super) signer: Signer,
    pub(super) checks: Vec<Check>,
    pub(super) roots: Roots,
}

/// Who signed a document.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Signer {
    /// The leaf's common name: the module's id, the region, and `aws`.
    pub name: String,
    /// The region in that name.
    pub region: Option<String>,
    /// The common names of the certificates above the leaf, without the root.
    pub issuers: Vec<String>,
    /// When every certificate of the path holds.
    pub window: Window,
}

impl Chain {
    pub(crate) fn window(&self) -> Window {
        self.signer.window
    }
}

/// Verifies the certificates in `document`. All checks run; one that fails refuses.
pub(crate) fn prepare(
    document: &Document<'_>,
    endorsements: &Endorsements,
    crypto: &dyn Crypto,
    anchors: &TrustAnchors,
    now: UnixTime,
) -> Result<Chain, Unverified> {
    let roots: Vec<Root> = anchors.aws.iter().map(Root::open).collect::<Result<_, _>>()?;
    let leaf = Certificate::parse(document.certificate)?;
    let bundle = document.bundle.iter().map(|der| Certificate::parse(der));
    let bundle: Vec<Certificate<'_>> = bundle.collect::<Result<_, _>>()?;
    let lists = endorsements.revocation_lists.iter().map(|der| RevocationList::parse(der));
    let lists: Vec<RevocationList<'_>> = lists.collect::<Result<_, _>>()?;
    let mut checks = Checks::default();
    let anchored = anchors.roots();
    let (roots, budget) = (roots.as_slice(), Search::BUDGET);
    let search = Search { crypto, bundle: &bundle, roots, anchored, budget };
    let signer = match search.from(&leaf, &mut checks)? {
        Some(path) => {
            let signer = judge(&path, now, &mut checks);
            revocation(&path, &lists, crypto, &mut checks)?;
            Some(signer)
        }
        None => None,
    };
    match signer {
        Some(signer) if checks.hold() => {
            let (id, key) = (document.endorsement_id(), leaf.key()?);
            Ok(Chain { id, key, signer, checks: checks.into_vec(), roots: anchored })
        }
        _ => Err(Unverified::Rejected(Rejected::new(document.platform(), checks, anchored))),
    }
}

/// What is asked of the certificates of a path, beside their signatures.
fn judge(path: &Path<'_, '_>, now: UnixTime, checks: &mut Checks) -> Signer {
    let (leaf, authorities) = match path.certificates.split_first() {
        Some((leaf, authorities)) => (Some(*leaf), authorities),
        None => (None, &[][..]),
    };
    authority(authorities, path.root, checks);
    usage(leaf, checks);
    let unknown: Vec<String> = path.certificates.iter().flat_map(|found| found.unknown_critical()).collect();
    let found = if unknown.is_empty() { "none".to_owned() } else { unknown.join(", ") };
    checks.ask("nitro.chain.critical_extensions", unknown.is_empty(), "none that is not understood", found);
    let odd = path.certificates.iter().find(|found| found.spells_out_defaults());
    let found =
        odd.map_or("nothing more".to_owned(), |odd| format!("defaults spelled out in {}", odd.common_name()));
    checks.ask("nitro.chain.encoding", odd.is_none(), "DER, which leaves defaults out", found);
    let window = path.certificates.iter().fold(path.root.window, |all, found| all.and(found.window()));
    let inside = window.contains(now);
    checks.ask("nitro.chain.dates", inside, "the instant of the judgement inside", window.to_string());
    let name = leaf.map_or("", |leaf| leaf.common_name()).to_owned();
    let region = match name.split('.').collect::<Vec<_>>().as_slice() {
        [_, region, "aws"] => Some((*region).to_owned()),
        _ => None,
    };
    let issuers = authorities.iter().map(|found| found.common_name().to_owned()).collect();
    Signer { name, region, issuers, window }
}

/// Everyone above the leaf may sign certificates, and no path is longer than its certificates allow.
fn authority(authorities: &[&Certificate<'_>], root: &Root, checks: &mut Checks) {
    let not = |found: &&&Certificate<'_>| !(found.is_authority() && found.signs_certificates());
    let found =
        authorities.iter().find(not).map_or(ALL.to_owned(), |bad| format!("not {}", bad.common_name()));
    let expected = "certificate authorities with the key usage keyCertSign";
    checks.ask("nitro.chain.authorities", found == ALL, expected, found);
    // The first authority has none below it, the root has all.
    let limits = authorities.iter().map(|found| (found.path_limit(), found.common_name()));
    let limits = limits.chain([(root.path_limit, "the root")]).enumerate();
    let over = |(below, (limit, name)): (usize, (Option<usize>, &str))| {
        let limit = limit?;
        (below > limit).then(|| format!("{below} below {name}, which allows {limit}"))
    };
    let over = limits.into_iter().find_map(over);
    let good = over.is_none();
    let found = over.unwrap_or_else(|| format!("{} below the root", authorities.len()));
    checks.ask("nitro.chain.path_length", good, "no path longer than its certificates allow", found);
}

/// The leaf signs documents and nothing else.
fn usage(leaf: Option<&Certificate<'_>>, checks: &mut Checks) {
    let (signs, issues) = leaf
        .map_or((false, true), |leaf| (leaf.signs_data(), leaf.is_authority() || leaf.signs_certificates()));
    let found = match (signs, issues) {
        (true, false) => "digitalSignature",
        (false, false) => "no digitalSignature",
        (_, true) => "a certificate authority",
    };
    let expected = "the key usage digitalSignature, and no authority";
    checks.ask("nitro.leaf.usage", signs && !issues, expected, found);
}

/// No list that was brought names a certificate of the path.
fn revocation(
    path: &Path<'_, '_>,
    lists: &[RevocationList<'_>],
    crypto: &dyn Crypto,
    checks: &mut Checks,
) -> Result<(), CannotJudge> {
    let mut revoked = None;
    let mut issuers =
        path.certificates.iter().skip(1).map(|issuer| issuer.key()).collect::<Result<Vec<_>, _>>()?;
    issuers.push(path.root.key.clone());
    for (certificate, issuer) in path.certificates.iter().zip(&issuers) {
        let named = lists.iter().filter(|list| list.issuer() == certificate.issuer()).take(Search::BUDGET);
        for list in named {
            if list.names(certificate)? == Revoked::Yes && list.signed_by(crypto, issuer).is_ok() {
                revoked = Some(certificate.common_name());
            }
        }
    }
    let found =
        revoked.map_or("not listed; AWS asks for no list".to_owned(), |name| format!("revoked: {name}"));
    checks.ask(
        "nitro.chain.revocation",
        revoked.is_none(),
        "no list brought that names a certificate of the path",
        found,
    );
    Ok(())
}

const ALL: &str = "all of them";
