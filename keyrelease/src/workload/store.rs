//! The issuers of a mount, under `config/workload-issuers/<name>`.
//!
//! Whoever writes them decides who is believed to be which workload: the path asks for sudo. Everything is parsed before it
//! is stored.
//!
//! Trusted: the operator.

use std::collections::BTreeMap;

use openbao_plugin::{Error, Host, Operation, Response, Storage};
use serde_json::{Map, Value, json};

use super::Issuers;
use super::issuer::{Entry, Issuer};
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
    if name.is_empty() && operation == Operation::List {
        return Ok(Some(Response::keys(host.storage().list(FOLDER).await?)));
    }
    let key = format!("{FOLDER}{}", reply::name(name)?);
    match operation {
        Operation::Read => read(host.storage(), &key).await?.as_ref().map(show).transpose(),
        Operation::Update => {
            write(mount, host, name, reply::body(body)?).await?;
            Ok(None)
        }
        Operation::Delete => {
            host.storage().delete(&key).await?;
            mount.forget();
            Ok(None)
        }
        _ => Err(Error::UnsupportedOperation),
    }
}

/// Reads all issuers.
pub(crate) async fn load(storage: &Storage) -> Result<Issuers, Error> {
    let mut issuers = BTreeMap::new();
    for name in storage.list(FOLDER).await? {
        let entry = read(storage, &format!("{FOLDER}{name}")).await;
        let issuer = match entry {
            Ok(None) => continue,
            Ok(Some(entry)) => Issuer::try_from(entry).map_err(|error| error.to_string()),
            Err(Error::Internal(why)) => Err(why),
            Err(error) => return Err(error),
        };
        issuers.insert(name, issuer);
    }
    Ok(Issuers(issuers))
}

async fn write(mount: &Mount, host: &Host, name: &str, entry: Entry) -> Result<(), Error> {
    let issuer = Issuer::try_from(entry).map_err(bad_request)?;
    let Issuers(others) = load(host.storage()).await?;
    if others.len() >= MOST_ISSUERS && !others.contains_key(name) {
        return Err(Error::BadRequest(format!("config/workload-issuers: at most {MOST_ISSUERS} entries")));
    }
    let same = |other: &Issuer| other.entry().issuer == issuer.entry().issuer;
    let taken = others.iter().find(|(other, held)| *other != name && held.as_ref().is_ok_and(same));
    if let Some((other, _)) = taken {
        return Err(Error::BadRequest(format!("issuer: config/workload-issuers/{other} is for it already")));
    }
    let bytes = serde_json::to_vec(issuer.entry()).map_err(|error| Error::Internal(error.to_string()))?;
    host.storage().put(&format!("{FOLDER}{name}"), bytes).await?;
    mount.forget();
    Ok(())
}

async fn read(storage: &Storage, key: &str) -> Result<Option<Entry>, Error> {
    let Some(bytes) = storage.get(key).await? else { return Ok(None) };
    let damaged = |error: serde_json::Error| Error::Internal(format!("stored entry is damaged: {error}"));
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

fn show(entry: &Entry) -> Result<Response, Error> {
    reply::data(&json!(entry))
}

const FOLDER: &str = "workload-issuer/";
/// A token names its issuer, and one that is not known costs a look at each.
const MOST_ISSUERS: usize = 16;
