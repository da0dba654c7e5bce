//! The issuers of a mount, under `config/workload-issuers/<name>`.
//!
//! Whoever writes them decides who is believed to be which workload: the path asks for sudo, and where a mount has
//! approvers ([`crate::governance`]) an issuer changes by proposal or emergency alone. Everything is parsed before it is
//! stored. An issuer's content is the body that the path takes, as JSON; none is no issuer.
//!
//! Trusted: the storage. Untrusted: new content.

use std::collections::BTreeMap;

use attest::governance::Kind;
use openbao_plugin::{Error, Host, Operation, Response, Storage};
use serde_json::{Map, Value, json};

use super::Issuers;
use super::issuer::{Entry, Issuer};
use crate::governance::{StoredEmergency, items};
use crate::mount::Mount;
use crate::reply::{self, bad_request};

/// Answers `config/workload-issuers/…`.
pub(crate) async fn manage(
    mount: &Mount,
    operation: Operation,
    name: &str,
    body: Map<String, Value>,
    host: &Host,
) -> Result<Option<Response>, Error> {
    let Issuers(issuers) = &mount.state(host).await?.issuers;
    match (operation, name) {
        (Operation::List, "") => Ok(Some(Response::keys(issuers.keys().cloned().collect()))),
        (Operation::Read, name) => issuers.get(reply::name(name)?).map(show).transpose(),
        (Operation::Update, name) => {
            let entry: Entry = reply::body(body)?;
            let content =
                serde_json::to_string(&entry).map_err(|error| Error::Internal(error.to_string()))?;
            items::write(mount, host, Kind::WorkloadIssuer, reply::name(name)?, &content).await?;
            Ok(None)
        }
        (Operation::Delete, name) => {
            items::write(mount, host, Kind::WorkloadIssuer, reply::name(name)?, "").await?;
            Ok(None)
        }
        _ => Err(Error::UnsupportedOperation),
    }
}

/// Reads all issuers, and lays those of emergencies over them.
pub(crate) async fn load(storage: &Storage, emergencies: &[StoredEmergency]) -> Result<Issuers, Error> {
    let mut issuers = stored(storage).await?;
    for StoredEmergency { emergency, content, .. } in emergencies {
        let item = &emergency.change.item;
        if item.kind == Kind::WorkloadIssuer && content.is_empty() {
            issuers.remove(item.name.as_str());
        } else if item.kind == Kind::WorkloadIssuer {
            issuers.insert(item.name.to_string(), parse(content.as_bytes()));
        }
    }
    Ok(Issuers(issuers))
}

/// Whether this content may be stored under this name, beside the others.
pub(crate) async fn fits(storage: &Storage, name: &str, content: &str) -> Result<(), Error> {
    if content.is_empty() {
        return Ok(());
    }
    let issuer = parse(content.as_bytes()).map_err(bad_request)?;
    let others = stored(storage).await?;
    if others.len() >= MOST_ISSUERS && !others.contains_key(name) {
        return Err(bad_request(format!("config/workload-issuers: at most {MOST_ISSUERS} entries")));
    }
    let same = |other: &Issuer| other.entry().issuer == issuer.entry().issuer;
    match others.iter().find(|(other, held)| *other != name && held.as_ref().is_ok_and(same)) {
        Some((other, _)) => {
            Err(bad_request(format!("issuer: config/workload-issuers/{other} is for it already")))
        }
        None => Ok(()),
    }
}

async fn stored(storage: &Storage) -> Result<BTreeMap<String, Result<Issuer, String>>, Error> {
    let mut issuers = BTreeMap::new();
    for name in storage.list(FOLDER).await? {
        let Some(bytes) = storage.get(&format!("{FOLDER}{name}")).await? else { continue };
        issuers.insert(name, parse(&bytes));
    }
    Ok(issuers)
}

fn parse(content: &[u8]) -> Result<Issuer, String> {
    let entry: Entry = serde_json::from_slice(content).map_err(|error| format!("issuer: {error}"))?;
    Issuer::try_from(entry).map_err(|error| error.to_string())
}

fn show(issuer: &Result<Issuer, String>) -> Result<Response, Error> {
    match issuer {
        Ok(issuer) => reply::data(&json!(issuer.entry())),
        Err(why) => Err(Error::Internal(format!("stored issuer is damaged: {why}"))),
    }
}

/// Where [`items`] keeps them.
const FOLDER: &str = "workload-issuer/";
/// A token names its issuer, and one that is not known costs a look at each.
const MOST_ISSUERS: usize = 16;
