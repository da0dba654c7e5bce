//! What operators keep in a mount: policies, collateral, records, the verifier's public key.
//!
//! These paths are ordinary OpenBao paths: whoever may write them is decided by OpenBao's own policies.
//! Trusted: the operator. Everything is parsed before it is stored, and versions only go up.

use attest::crypto::AwsLcRs;
use attest::governance::Deed;
use attest::{Bundle, Cause, Endorsements};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openbao_plugin::{Error, Host, Operation, Request, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::governance::{self, emergency};
use crate::limits;
use crate::log::{self, StoredRecord};
use crate::metrics;
use crate::mount::Mount;
use crate::policies;
use crate::reply::{self, bad_request};
use crate::standing;

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
        (
            operation,
            ["collateral", kind @ ("certificate" | "crl" | "document" | "attestation-key"), name],
        ) => collateral(mount, host, operation, (kind, name), request.data).await,
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

/// Answers `collateral/<kind>/<name>`.
async fn collateral(
    mount: &Mount,
    host: &Host,
    operation: Operation,
    (kind, name): (&str, &str),
    data: Map<String, Value>,
) -> Result<Option<Response>, Error> {
    let key = format!("collateral/{kind}/{name}");
    match operation {
        Operation::List => return Ok(Some(Response::keys(host.storage().list(&key).await?))),
        Operation::Read => {
            let bytes = host.storage().get(&key).await?;
            return bytes.map(|bytes| reply::data(&json!({ "value": shown(kind, &bytes) }))).transpose();
        }
        Operation::Delete => {
            host.storage().delete(&key).await?;
            mount.forget();
        }
        Operation::Update => {
            store_collateral(mount, host, kind, reply::name(name)?, reply::body(data)?).await?;
        }
        Operation::Scan
        | Operation::Patch
        | Operation::Renew
        | Operation::Revoke
        | Operation::ResolveRole
        | Operation::AliasLookahead
        | _ => return Err(Error::UnsupportedOperation),
    }
    Ok(None)
}

async fn store_collateral(
    mount: &Mount,
    host: &Host,
    kind: &str,
    name: &str,
    body: CollateralBody,
) -> Result<(), Error> {
    let bytes = parsed(kind, &body.value)?;
    let others = host.storage().list(&format!("collateral/{kind}/")).await?;
    let most = if kind == "attestation-key" { MOST_KEYS } else { MOST_ITEMS };
    if others.len() >= most && !others.iter().any(|other| other == name) {
        return Err(Error::BadRequest(format!("collateral/{kind}: at most {most} entries")));
    }
    host.storage().put(&format!("collateral/{kind}/{name}"), bytes).await?;
    mount.forget();
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CollateralBody {
    value: String,
}

/// Certificates and lists in PEM or base64 DER; signed documents as they are; names of attestation keys in hex.
fn parsed(kind: &str, value: &str) -> Result<Vec<u8>, Error> {
    if kind == "attestation-key" {
        let bytes =
            hex::decode(value.trim()).map_err(|error| bad_request(format!("attestation key: {error}")))?;
        return attest::tpm::Name::from_bytes(&bytes).map(|_| bytes).map_err(bad_request);
    }
    if kind == "document" {
        readable(kind, value.as_bytes()).map_err(bad_request)?;
        return Ok(value.as_bytes().to_vec());
    }
    let lines = value.lines().filter(|line| !line.starts_with("-----"));
    let der = STANDARD.decode(lines.map(str::trim).collect::<String>()).map_err(bad_request)?;
    readable(kind, &der).map_err(bad_request)?;
    Ok(der)
}

/// Whether a judgement could read it; what it is worth is decided there.
fn readable(kind: &str, der: &[u8]) -> Result<(), attest::CannotJudge> {
    let mut endorsements = Endorsements::default();
    let place = match kind {
        "crl" => &mut endorsements.revocation_lists,
        "document" => &mut endorsements.documents,
        _ => &mut endorsements.certificates,
    };
    place.push(der.to_vec());
    endorsements.readable()
}

fn shown(kind: &str, bytes: &[u8]) -> String {
    match kind {
        "attestation-key" => hex::encode(bytes),
        "document" => String::from_utf8_lossy(bytes).into_owned(),
        _ => STANDARD.encode(bytes),
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

/// Every judgement looks at all of them, so their number is small.
const MOST_ITEMS: usize = 8;
/// Enrolled attestation keys are looked up by name.
const MOST_KEYS: usize = 10_000;
