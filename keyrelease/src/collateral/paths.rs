//! The paths of the store, as operators see them. Who may use which is decided by OpenBao's policies.

use openbao_plugin::{Error, Host, Operation, Request, Response};
use serde_json::json;

use super::config::{self, Settings};
use super::names::{self, Form};
use super::store::object_key;
use super::{import, status};
use crate::mount::Mount;
use crate::nodes::manufacturers;
use crate::reply;

/// Answers `collateral/…` and `config/collateral…`; `None` where the path is another room's.
pub(crate) async fn manage(
    mount: &Mount,
    host: &Host,
    request: &Request,
) -> Option<Result<Option<Response>, Error>> {
    let parts: Vec<&str> = request.path.split('/').collect();
    let body = || request.data.clone();
    let answer = match (request.operation, parts.as_slice()) {
        (Operation::Update, ["collateral", "import"]) => import::import(mount, host, body()).await.map(Some),
        (Operation::Read, ["collateral", "status"]) => status::show(mount, host).await.map(Some),
        (Operation::Update, ["collateral", "status"]) => {
            status::Report::store(mount, host, body()).await.map(Some)
        }
        (Operation::Read, ["collateral", "index", kind]) => status::list(mount, host, kind).await,
        (Operation::Read, ["collateral", "object", name]) => object(mount, host, name).await,
        (Operation::Read, ["config", "collateral"]) => show_settings(host).await.map(Some),
        (Operation::Update, ["config", "collateral"]) => Settings::store(host, body()).await.map(|()| None),
        (Operation::Read, ["config", "collateral-signers"]) => {
            config::show_signers(mount, host).await.map(Some)
        }
        (Operation::Update, ["config", "collateral-signers"]) => {
            config::store_signers(mount, host, body()).await.map(|()| None)
        }
        (operation, ["collateral", "tpm-manufacturer", name]) => {
            manufacturers::answer(mount, host, operation, name, body()).await
        }
        (operation, ["collateral", form, name]) => match Form::named(form) {
            Some(form) => names::answer(mount, host, operation, form, name, body()).await,
            None => Err(Error::UnsupportedPath),
        },
        (_, ["collateral", ..] | ["config", "collateral" | "collateral-signers"]) => {
            Err(Error::UnsupportedOperation)
        }
        _ => return None,
    };
    Some(answer)
}

async fn show_settings(host: &Host) -> Result<Response, Error> {
    reply::data(&Settings::load(host.storage()).await?)
}

/// The bytes of an object that the index names: a site can make a pack out of what another has.
async fn object(mount: &Mount, host: &Host, name: &str) -> Result<Option<Response>, Error> {
    let digest = name.parse().map_err(|error| Error::BadRequest(format!("sha256: {error}")))?;
    let index = mount.collateral.index(host).await?;
    let Some(entry) = index.named(&digest).filter(|entry| entry.digest == digest) else { return Ok(None) };
    let Some(object) = mount.collateral.object(host, entry).await? else {
        return Err(Error::Internal(format!("{} is missing in storage", object_key(&digest))));
    };
    let value = protocol::release::Base64(object.to_vec());
    reply::data(&json!({ "kind": entry.kind, "key": entry.key, "value": value })).map(Some)
}
