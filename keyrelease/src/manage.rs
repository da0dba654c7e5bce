//! What operators keep in a mount: policies, collateral, records, the verifier's public key.
//!
//! These paths are ordinary OpenBao paths: whoever may write them is decided by OpenBao's own policies.
//! Trusted: the operator. Everything is parsed before it is stored, and versions only go up.

use attest::crypto::AwsLcRs;
use attest::governance::Deed;
use attest::{Bundle, Cause};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openbao_plugin::{Error, Host, Operation, Request, Response};
use serde_json::json;

use crate::collateral;
use crate::governance::{self, emergency};
use crate::limits;
use crate::log::{self, StoredRecord};
use crate::metrics;
use crate::mount::Mount;
use crate::policies;
use crate::reply;
use crate::standing;
use crate::workload;

/// Answers `policy/…`, `collateral/…`, `record/…` or `verdict/…`, `config/verifier-key` and what [`governance`] does.
pub(crate) async fn manage(
    mount: &Mount,
    mut request: Request,
    host: &Host,
    records: &str,
) -> Result<Option<Response>, Error> {
    let answer = match governance::answer(mount, &mut request, host).await {
        Some(answer) => answer?,
        None => keep(mount, request, host, records).await?,
    };
    Ok(emergency::warned(answer, &mount.state(host).await?.emergencies))
}

async fn keep(
    mount: &Mount,
    request: Request,
    host: &Host,
    records: &str,
) -> Result<Option<Response>, Error> {
    if let Some(answer) = collateral::manage(mount, host, &request).await {
        return answer;
    }
    let path = request.path.clone();
    let parts: Vec<&str> = path.split('/').collect();
    let storage = host.storage();
    match (request.operation, parts.as_slice()) {
        (Operation::List, ["policy", ""]) => Ok(Some(Response::keys(storage.list("policy/").await?))),
        (Operation::Read, ["policy", name]) => policies::show(mount, host, name).await,
        // There is no delete: it would let a lower version be stored again.
        (Operation::Update, ["policy", name]) => {
            policies::store(mount, host, reply::name(name)?, request.data).await.map(Some)
        }
        (operation, ["config", "workload-issuers", name]) => {
            workload::store::manage(mount, operation, name, request.data, host).await
        }
        (operation, ["config", "limits"]) => limits::configure(mount, host, operation, request.data).await,
        (Operation::Read, ["metrics"]) => metrics::read(mount, host).await.map(Some),
        (Operation::Read, ["config", "verifier-key"]) => {
            let key = mount.state(host).await?.signer.public();
            let (public, id) = (hex::encode(key.0), key.id(&AwsLcRs).to_string());
            reply::data(&json!({ "algorithm": "Ed25519", "public_key": public, "key_id": id })).map(Some)
        }
        (Operation::List, [kind, ""]) if *kind == records => {
            Ok(Some(Response::keys(storage.list("record/").await?)))
        }
        (Operation::Update, ["revoke"]) => standing::revoke(mount, host, request.data).await.map(Some),
        (Operation::Update, ["recall"]) => standing::recall_only(mount, host, request.data).await.map(Some),
        (Operation::Update, ["reinstate"]) => standing::reinstate(mount, host, request.data).await.map(Some),
        (operation, ["revocation", name]) => {
            standing::show(mount, host, Cause::Revoked, operation, name).await
        }
        (operation, ["failure", name]) => standing::show(mount, host, Cause::Failed, operation, name).await,
        (operation, ["log", ..]) => {
            let state = mount.state(host).await?;
            log::read(&state.log_signer, host, operation, path.split_once('/').unwrap_or_default().1).await
        }
        (Operation::Read, [kind, id]) if *kind == records => show_record(host, reply::name(id)?).await,
        _ => Err(Error::UnsupportedPath),
    }
}

async fn show_record(host: &Host, id: &str) -> Result<Option<Response>, Error> {
    let Some(record) = StoredRecord::load(host.storage(), id).await? else { return Ok(None) };
    let index = record.index;
    let deed = Deed::signer(&record.signed);
    let file = record.file(host.storage()).await?;
    let signer = match deed {
        Ok(signer) => signer,
        Err(_not_a_deed) => Bundle::signer(&file).map_err(|error| Error::Internal(error.to_string()))?,
    };
    let data =
        json!({ "bundle": STANDARD.encode(&file), "verifier_key_id": signer.to_string(), "index": index });
    reply::data(&data).map(Some)
}
