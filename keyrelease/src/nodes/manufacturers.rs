//! Manufacturers of TPMs: whose endorsement keys are believed.
//!
//! Each is a text of PEM blocks under a name: `CERTIFICATE`, of roots, and `X509 CRL`. Where a manufacturer's text has lists,
//! its certificates are asked whether they are on one. Nothing is pinned: there are dozens, and to believe one is to
//! believe every TPM that it ever made. Where several rule the mount they change by proposal; to delete one only takes away, because
//! a root stands in one text alone: nobody believes it under another, without the lists beside it.
//!
//! Trusted: the operator, or those who approved. Untrusted: the text, until then.

use attest::crypto::AwsLcRs;
use attest::governance::Kind;
use attest::tpm::{Ek, EkRoots};
use attest::{Crypto, Digest, Endorsements, Revocation, Roots, TrustAnchors, UnixTime, Unverified};
use openbao_plugin::{Error, Host, Operation, Response, Storage};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::governance::items;
use crate::governance::pem::{Block, blocks};
use crate::mount::Mount;
use crate::reply::{self, bad_request};

/// The manufacturers that a mount believes.
#[derive(Debug, Default)]
pub(crate) struct Manufacturers {
    believed: Vec<Manufacturer>,
}

#[derive(Debug, Default)]
struct Manufacturer {
    /// DER, each with its SHA-256.
    roots: Vec<(Digest<32>, Vec<u8>)>,
    lists: Vec<Vec<u8>>,
}

/// A verified endorsement key, and the root that it was verified under.
#[derive(Debug)]
pub(super) struct Vouched {
    pub(super) ek: Ek,
    pub(super) root: Digest<32>,
}

impl Manufacturers {
    pub(crate) async fn load(storage: &Storage) -> Result<Self, Error> {
        let mut believed = Vec::new();
        for name in storage.list(FOLDER).await? {
            let content = storage.get(&format!("{FOLDER}{name}")).await?.unwrap_or_default();
            let damaged =
                |why: &dyn std::fmt::Display| Error::Internal(format!("stored {FOLDER}{name}: {why}"));
            let text = String::from_utf8(content).map_err(|why| damaged(&why))?;
            believed.push(Manufacturer::parse(&text).map_err(|why| damaged(&why))?);
        }
        Ok(Self { believed })
    }

    /// Whether this root is believed still.
    pub(crate) fn has(&self, root: Digest<32>) -> bool {
        self.believed.iter().flat_map(|one| &one.roots).any(|(digest, _)| *digest == root)
    }

    /// With the roots of a simulator, if that is what the mount believes.
    #[must_use]
    pub(crate) fn under(mut self, anchors: &TrustAnchors) -> Self {
        if anchors.roots() == Roots::Simulated {
            let roots = anchors.certificates().map(|der| (AwsLcRs.sha256(&[der]), der.to_vec()));
            self.believed.push(Manufacturer { roots: roots.collect(), lists: Vec::new() });
        }
        self
    }

    /// Verifies an endorsement key under whichever root vouches for it; where none does, the answer is that of the last.
    pub(super) fn verify(
        &self,
        area: &[u8],
        certificates: &[Vec<u8>],
        whose: Roots,
        now: UnixTime,
    ) -> Result<Vouched, NotVouched> {
        let mut refusal = NotVouched::Nobody;
        for manufacturer in &self.believed {
            let endorsements = Endorsements {
                certificates: certificates.to_vec(),
                revocation_lists: manufacturer.lists.clone(),
                documents: Vec::new(),
            };
            for (root, der) in &manufacturer.roots {
                match one(area, &endorsements, der, whose, now) {
                    Ok(ek) => return Ok(Vouched { ek, root: *root }),
                    // Somebody whose path leads to a root says more than one whose does not.
                    Err(why) => refusal = refusal.or(why),
                }
            }
        }
        Err(refusal)
    }
}

/// Why no manufacturer vouches for a key.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotVouched {
    /// There is nobody to ask.
    #[error("no manufacturer of TPMs is believed: collateral/tpm-manufacturer is empty")]
    Nobody,
    /// Refused, or not judged.
    #[error(transparent)]
    Unverified(#[from] Unverified),
}

impl NotVouched {
    fn or(self, other: Unverified) -> Self {
        let leads_to_a_root = |why: &Unverified| match why {
            Unverified::Rejected(rejected) => {
                let mut failing = rejected.checks().iter();
                !failing.any(|check| check.id == "tpm.ek.chain" && check.verdict == attest::Answer::Fail)
            }
            Unverified::CannotJudge(_) | _ => false,
        };
        match self {
            Self::Unverified(earlier) if leads_to_a_root(&earlier) => Self::Unverified(earlier),
            Self::Nobody | Self::Unverified(_) => Self::Unverified(other),
        }
    }
}

fn one(
    area: &[u8],
    endorsements: &Endorsements,
    root: &[u8],
    whose: Roots,
    now: UnixTime,
) -> Result<Ek, Unverified> {
    let root = [root.to_vec()];
    let roots = match whose {
        Roots::Vendor => EkRoots::of_manufacturers(&root)?,
        Roots::Simulated => EkRoots::insecure_simulated(&root)?,
    };
    // Whatever lists the manufacturer's text has are asked; many have none.
    Ek::verify(area, endorsements, &roots, &AwsLcRs, Revocation::Required, now)
}

impl Manufacturer {
    fn parse(text: &str) -> Result<Self, Error> {
        let found =
            blocks(text).filter(|found| found.len() <= MOST_BLOCKS).ok_or_else(|| bad_request(FORM))?;
        let mut manufacturer = Self::default();
        for Block { label, bytes } in found {
            match label.as_str() {
                "CERTIFICATE" => manufacturer.roots.push((AwsLcRs.sha256(&[&bytes]), bytes)),
                "X509 CRL" => manufacturer.lists.push(bytes),
                _ => return Err(bad_request(FORM)),
            }
        }
        if manufacturer.roots.is_empty() {
            return Err(bad_request(FORM));
        }
        let roots: Vec<Vec<u8>> = manufacturer.roots.iter().map(|(_, der)| der.clone()).collect();
        TrustAnchors::vendor().with_tpm_authorities(&roots).map_err(bad_request)?;
        EkRoots::of_manufacturers(&roots).map_err(bad_request)?;
        Ok(manufacturer)
    }
}

/// Whether this content may be stored under this name, beside the others; nothing takes one away.
pub(crate) async fn fits(storage: &Storage, name: &str, content: &str) -> Result<(), Error> {
    if content.is_empty() {
        return Ok(());
    }
    let new = Manufacturer::parse(content)?;
    let others = storage.list(FOLDER).await?;
    for other in others.iter().filter(|other| *other != name) {
        let text = storage.get(&format!("{FOLDER}{other}")).await?.unwrap_or_default();
        let known = Manufacturer::parse(&String::from_utf8_lossy(&text))?;
        if new.roots.iter().any(|(root, _)| known.roots.iter().any(|(other, _)| other == root)) {
            return Err(bad_request(format!(
                "tpm-manufacturer: a root of this text is in {other:?} already"
            )));
        }
    }
    if others.len() >= MOST && !others.iter().any(|other| other == name) {
        return Err(bad_request(format!("tpm-manufacturer: at most {MOST} entries")));
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    value: String,
}

/// Answers `collateral/tpm-manufacturer/<name>`.
pub(crate) async fn answer(
    mount: &Mount,
    host: &Host,
    operation: Operation,
    name: &str,
    body: Map<String, Value>,
) -> Result<Option<Response>, Error> {
    mount.has(Kind::TpmManufacturer)?;
    let storage = host.storage();
    match (operation, name) {
        (Operation::List, "") => Ok(Some(Response::keys(storage.list(FOLDER).await?))),
        (Operation::Read, name) => {
            let content = storage.get(&format!("{FOLDER}{name}")).await?;
            let shown = content.map(|content| json!({ "value": String::from_utf8_lossy(&content) }));
            shown.map(|shown| reply::data(&shown)).transpose()
        }
        (Operation::Update, name) => {
            let Body { value } = reply::body(body)?;
            if value.is_empty() {
                return Err(bad_request(FORM));
            }
            items::write(mount, host, Kind::TpmManufacturer, reply::name(name)?, &value).await?;
            Ok(None)
        }
        (Operation::Delete, name) => {
            let transaction = host.transaction().await?;
            transaction.delete(&format!("{FOLDER}{name}")).await?;
            mount.commit(transaction).await?;
            Ok(None)
        }
        _ => Err(Error::UnsupportedOperation),
    }
}

const FOLDER: &str = "tpm-manufacturer/";
const FORM: &str =
    "tpm-manufacturer: expected 1 to 16 PEM blocks CERTIFICATE (roots) and X509 CRL, and nothing else";
/// Every enrolment is held against all of them.
const MOST: usize = 32;
const MOST_BLOCKS: usize = 16;
