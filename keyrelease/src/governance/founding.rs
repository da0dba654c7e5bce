//! The first approvers of a mount: named by whoever rules it until then.
//!
//! What is in force stays in force. From then on the approvers change like everything else, by proposal.
//!
//! Trusted: the operator, whom the path asks for sudo.

use attest::crypto::AwsLcRs;
use attest::governance::{Act, Approvers, Deed, Item, Kind, Proposal};
use attest::{Crypto, Digest};
use openbao_plugin::{Error, Response, Storage};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::GOVERNED;
use super::items::{APPROVERS, Stored};
use super::steps::{Desk, Outcome, Writes, overtaken, short};
use crate::reply::{self, bad_request};

/// The approvers in force, with the bytes of their document.
pub(super) async fn in_force(storage: &Storage) -> Result<Option<(Approvers, Vec<u8>)>, Error> {
    let Some(document) = storage.get(APPROVERS).await? else { return Ok(None) };
    let damaged = |why: &dyn std::fmt::Display| Error::Internal(format!("stored {APPROVERS}: {why}"));
    let text = std::str::from_utf8(&document).map_err(|why| damaged(&why))?;
    let approvers = Approvers::parse(text).map_err(|why| damaged(&why))?;
    Ok(Some((approvers, document)))
}

/// The same, where there have to be some.
pub(super) async fn ruling(storage: &Storage) -> Result<(Approvers, Vec<u8>), Error> {
    let none =
        || bad_request("this mount has no approvers: name them (config/approvers), or write the path itself");
    in_force(storage).await?.ok_or_else(none)
}

/// Answers a read of `config/approvers`.
pub(super) async fn show(desk: &Desk<'_>) -> Result<Option<Response>, Error> {
    let storage = desk.host.storage();
    let Some((approvers, document)) = in_force(storage).await? else { return Ok(None) };
    let item = Item::new(Kind::Approvers, "").map_err(bad_request)?;
    let version = Stored::read(storage, &item).await?.version();
    let mut data = described(&approvers, &document);
    data.insert("version".to_owned(), json!(version));
    Ok(Some(Response::data(data)))
}

/// Approvers in words, with the document that they come from.
pub(super) fn described(approvers: &Approvers, document: &[u8]) -> Map<String, Value> {
    let each = approvers.approvers().iter().map(|approver| {
        let (key, algorithm) = (approver.key.id(&AwsLcRs), approver.key.algorithm());
        json!({ "name": approver.name, "key_id": key, "algorithm": algorithm })
    });
    Map::from_iter([
        ("threshold".to_owned(), json!(approvers.threshold())),
        ("approvers".to_owned(), each.collect()),
        ("document".to_owned(), json!(String::from_utf8_lossy(document))),
        ("digest".to_owned(), json!(AwsLcRs.sha256(&[document]))),
    ])
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    threshold: u64,
    approvers: Vec<Value>,
    reason: Option<String>,
}

/// Names the first approvers.
pub(super) async fn found(desk: &Desk<'_>, data: Map<String, Value>) -> Result<Response, Error> {
    let body: Body = reply::body(data)?;
    let storage = desk.host.storage();
    if in_force(storage).await?.is_some() {
        return Err(bad_request(GOVERNED));
    }
    let document = json!({ "threshold": body.threshold, "approvers": body.approvers }).to_string();
    let approvers = Approvers::parse(&document).map_err(bad_request)?;
    let item = Item::new(Kind::Approvers, "").map_err(bad_request)?;
    let stored = Stored::read(storage, &item).await?;
    let version = stored.succession(storage, &item, &document, desk.now()).await?;
    let change = desk.change(item.clone(), &document, version, stored.digest()).await?;
    let reason = body.reason.as_deref().unwrap_or("the first approvers");
    let (expires, reason) = (desk.now(), short("reason", reason)?);
    let proposal = Proposal { change, expires, proposer: desk.by.clone(), reason };
    let deed = Deed {
        proposal: Some(proposal),
        content: document.clone().into_bytes().into(),
        ..Deed::of(Act::Founded, desk.now(), desk.by.clone(), digest(document.as_bytes()))
    };
    let mut writes = Writes::of(&item, &document, version);
    writes.rests_on.extend(stored.ground(&item));
    match desk.record(&deed, writes).await? {
        Outcome::Done => Ok(Response::data(described(&approvers, document.as_bytes()))),
        Outcome::Overtaken => Err(overtaken()),
    }
}

pub(super) fn digest(document: &[u8]) -> Digest<32> {
    AwsLcRs.sha256(&[document])
}
