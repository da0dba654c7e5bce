//! The governed items: where each lies, what it has to be, and which version it has.
//!
//! A version never goes back and none stands for two contents, also across emergencies: the highest that an item ever had
//! is kept beside it. A policy brings its own; the others are counted.
//!
//! Trusted: the storage. Untrusted: new content.

use attest::crypto::AwsLcRs;
use attest::governance::{Approvers, Item, Kind};
use attest::{Crypto, Digest, Policy, UnixTime};
use openbao_plugin::{Error, Host, Response, Storage};
use serde_json::json;

use super::roots::certificates;
use super::steps::{Desk, Writes};
use super::{enrolment, ungoverned};
use crate::collateral::pack_signers;
use crate::mount::Mount;
use crate::nodes::manufacturers;
use crate::policies::fits;
use crate::reply::{self, bad_request};
use crate::{forward, guard, role, workload};

/// Where the approvers are.
pub(super) const APPROVERS: &str = "config/approvers";
/// Where the accessor of the trusted auth mount is.
pub(crate) const AUTH_ACCESSOR: &str = "config/auth-accessor";
/// Where the additional authorities are.
pub(crate) const ROOTS: &str = "config/roots";
/// Where the policies are under which a login may have values sealed.
pub(crate) const SEAL: &str = "config/seal";
/// Where the keys are whose packs of collateral are taken.
pub(crate) const COLLATERAL_SIGNERS: &str = "config/collateral-signers";

/// The item that a path or a body names.
pub(super) fn named(kind: &str, name: &str) -> Result<Item, Error> {
    let unknown = || {
        let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        let found: String = kind.chars().take(40).collect();
        bad_request(format!("kind: expected one of {}, found {found:?}", known.join(", ")))
    };
    let kind = Kind::named(kind).ok_or_else(unknown)?;
    match (kind.has_names(), name.is_empty()) {
        (true, _) => Item::new(kind, reply::name(name)?).map_err(bad_request),
        (false, true) => Item::new(kind, "").map_err(bad_request),
        (false, false) => Err(bad_request(format!("name: a mount has only one {kind}, found {name:?}"))),
    }
}

/// The item that the rest of a path names.
pub(super) fn at(path: &[&str]) -> Result<Item, Error> {
    match path {
        [kind] => named(kind, ""),
        [kind, name] => named(kind, name),
        _ => Err(Error::UnsupportedPath),
    }
}

/// Where an item's content is stored.
pub(super) fn key(item: &Item) -> String {
    match item.kind {
        Kind::Approvers => APPROVERS.to_owned(),
        Kind::Roots => ROOTS.to_owned(),
        Kind::Auth => AUTH_ACCESSOR.to_owned(),
        Kind::Seal => SEAL.to_owned(),
        Kind::CollateralSigners => COLLATERAL_SIGNERS.to_owned(),
        Kind::Policy
        | Kind::WorkloadIssuer
        | Kind::Guard
        | Kind::Role
        | Kind::AttestationKeys
        | Kind::TpmManufacturer
        | _ => {
            format!("{}/{}", item.kind, item.name)
        }
    }
}

/// Where the highest version that an item had is stored.
pub(crate) fn version_key(item: &Item) -> String {
    format!("version/{}/{}", item.kind, leaf(item))
}

/// The last part of a key: no name of a policy begins with a dot.
pub(super) fn leaf(item: &Item) -> &str {
    if item.kind.has_names() { item.name.as_str() } else { ".only" }
}

/// An item as it is stored.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) content: Option<Vec<u8>>,
    version: Option<Vec<u8>>,
}

impl Stored {
    pub(super) async fn read(storage: &Storage, item: &Item) -> Result<Self, Error> {
        let content = storage.get(&key(item)).await?;
        Ok(Self { content, version: storage.get(&version_key(item)).await? })
    }

    /// The highest version so far.
    pub(super) fn version(&self) -> u64 {
        number(self.version.as_deref())
    }

    pub(super) fn digest(&self) -> Option<Digest<32>> {
        self.content.as_ref().map(|content| AwsLcRs.sha256(&[content]))
    }

    /// What somebody who judged by this rests on.
    pub(super) fn ground(&self, item: &Item) -> [(String, Option<Vec<u8>>); 2] {
        [(key(item), self.content.clone()), (version_key(item), self.version.clone())]
    }

    /// The version that this content is to have, if the item may have it beside what else is stored.
    pub(super) async fn succession(
        &self,
        storage: &Storage,
        item: &Item,
        content: &str,
        now: UnixTime,
    ) -> Result<u64, Error> {
        let next = self.version().checked_add(1).ok_or_else(|| bad_request("no version is left"))?;
        match item.kind {
            Kind::Policy => {
                let policy = Policy::parse(&AwsLcRs, content).map_err(bad_request)?;
                fits(&policy, item.name.as_str(), now).map_err(bad_request)?;
                newer(policy.version(), self.version())
            }
            Kind::Approvers => Approvers::parse(content).map(|_| next).map_err(bad_request),
            Kind::Roots => certificates(content).map(|_| next),
            Kind::WorkloadIssuer => {
                workload::store::fits(storage, item.name.as_str(), content).await.map(|()| next)
            }
            Kind::Seal => forward::fits(storage, content).await.map(|()| next),
            Kind::Guard => guard::fits(storage, content).await.map(|()| next),
            Kind::Role => role::fits(storage, content).await.map(|()| next),
            Kind::AttestationKeys => {
                enrolment::fits(storage, item.name.as_str(), content).await.map(|()| next)
            }
            Kind::TpmManufacturer => {
                manufacturers::fits(storage, item.name.as_str(), content).await.map(|()| next)
            }
            Kind::CollateralSigners => pack_signers(content).map(|_| next),
            Kind::Auth | _ => accessor(content).map(|()| next),
        }
    }
}

/// Versions only go up, and not so far that none is left: that would end all changes of the policy for good.
pub(crate) fn newer(version: u64, stored: u64) -> Result<u64, Error> {
    let latest = stored.saturating_add(MOST_AHEAD);
    if version <= stored {
        Err(bad_request(format!("policy version: expected above {stored}, found {version}")))
    } else if version > latest {
        Err(bad_request(format!("policy version: expected at most {latest}, found {version}")))
    } else {
        Ok(version)
    }
}

/// How far a version may be ahead of the last one: enough for an instant, written as 14 digits, to be the first.
const MOST_AHEAD: u64 = 100_000_000_000_000;

/// A stored version; 0 if there is none.
pub(crate) fn number(stored: Option<&[u8]>) -> u64 {
    stored.and_then(|bytes| std::str::from_utf8(bytes).ok()).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The accessor of an auth mount; empty trusts none.
pub(crate) fn accessor(text: &str) -> Result<(), Error> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.len() <= 128 && text.chars().all(allowed) {
        Ok(())
    } else {
        Err(bad_request("accessor: expected at most 128 of A-Z a-z 0-9 - _ ."))
    }
}

/// Writes an item, where nobody has to approve it.
pub(crate) async fn write(
    mount: &Mount,
    host: &Host,
    kind: Kind,
    name: &str,
    content: &str,
) -> Result<(), Error> {
    let item = Item::new(kind, name).map_err(bad_request)?;
    let transaction = host.transaction().await?;
    ungoverned(&transaction).await?;
    let stored = Stored::read(&transaction, &item).await?;
    let version = stored.succession(&transaction, &item, content, mount.now()).await?;
    let Writes { puts, deletes, rests_on: _ } = Writes::of(&item, content, version);
    for (key, bytes) in puts {
        transaction.put(&key, bytes).await?;
    }
    for key in deletes {
        transaction.delete(&key).await?;
    }
    mount.commit(transaction).await
}

/// Answers `in-force/<kind>[/<name>]`: the content as it was approved, without emergencies.
pub(super) async fn show(desk: &Desk<'_>, path: &[&str]) -> Result<Response, Error> {
    let item = at(path)?;
    let stored = Stored::read(desk.host.storage(), &item).await?;
    let content = stored.content.as_deref().map(String::from_utf8_lossy);
    reply::data(&json!({ "content": content, "digest": stored.digest(), "version": stored.version() }))
}
