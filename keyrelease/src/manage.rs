//! What operators keep in a mount: policies, collateral, records, the verifier's public key.
//!
//! These paths are ordinary OpenBao paths: whoever may write them is decided by OpenBao's own policies.
//! Trusted: the operator. Everything is parsed before it is stored, and versions only go up.

use attest::crypto::AwsLcRs;
use attest::{Bundle, Policy};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openbao_plugin::{Error, Host, Operation, Request, Response};
use serde::Deserialize;
use serde_json::json;

use crate::mount::{Mount, bad_request};
use crate::reply;

/// Answers `policy/…`, `collateral/…`, `record/…` or `verdict/…`, and `config/verifier-key`.
pub(crate) async fn manage(
    mount: &Mount,
    request: Request,
    host: &Host,
    records: &str,
) -> Result<Option<Response>, Error> {
    let path = request.path.clone();
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["policy", name] => policy(mount, request, host, name).await,
        ["collateral", kind @ ("certificate" | "crl" | "attestation-key"), name] => {
            collateral(mount, request, host, kind, name).await
        }
        ["config", "verifier-key"] if request.operation == Operation::Read => {
            let key = mount.state(host).await?.signer.public();
            let (public, id) = (hex::encode(key.0), key.id(&AwsLcRs).to_string());
            reply::data(&json!({ "algorithm": "Ed25519", "public_key": public, "key_id": id })).map(Some)
        }
        [kind, id] if *kind == records => record(request.operation, host, id).await,
        ["config", "verifier-key"] => Err(Error::UnsupportedOperation),
        _ => Err(Error::UnsupportedPath),
    }
}

async fn policy(
    mount: &Mount,
    request: Request,
    host: &Host,
    name: &str,
) -> Result<Option<Response>, Error> {
    match request.operation {
        Operation::List if name.is_empty() => Ok(Some(Response::keys(host.storage().list("policy/").await?))),
        Operation::Read => {
            let state = mount.state(host).await?;
            let Some(stored) = state.policies.get(name) else { return Ok(None) };
            let (version, digest) = (stored.policy.version(), stored.policy.digest().to_string());
            let expires = stored.policy.expires();
            let data = json!({ "policy": stored.text, "version": version, "digest": digest, "expires": expires });
            reply::data(&data).map(Some)
        }
        Operation::Update => {
            let name = reply::name(name)?;
            let body: PolicyBody = reply::body(request.data)?;
            let policy = Policy::parse(&AwsLcRs, &body.policy).map_err(bad_request)?;
            let stored = mount.state(host).await?.policies.get(name).map(|stored| stored.policy.version());
            if stored.is_some_and(|stored| policy.version() <= stored) {
                let (stored, found) = (stored.unwrap_or(0), policy.version());
                return Err(Error::BadRequest(format!("policy version: expected above {stored}, found {found}")));
            }
            host.storage().put(&format!("policy/{name}"), body.policy.into_bytes()).await?;
            mount.forget();
            let (version, digest) = (policy.version(), policy.digest().to_string());
            reply::data(&json!({ "version": version, "digest": digest })).map(Some)
        }
        // Deleting would let a lower version be stored again.
        _ => Err(Error::UnsupportedOperation),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyBody {
    policy: String,
}

async fn collateral(
    mount: &Mount,
    request: Request,
    host: &Host,
    kind: &str,
    name: &str,
) -> Result<Option<Response>, Error> {
    let prefix = format!("collateral/{kind}/");
    let key = format!("{prefix}{name}");
    match request.operation {
        Operation::List if name.is_empty() => Ok(Some(Response::keys(host.storage().list(&prefix).await?))),
        Operation::Read => match host.storage().get(&key).await? {
            Some(bytes) => reply::data(&json!({ "value": shown(kind, &bytes) })).map(Some),
            None => Ok(None),
        },
        Operation::Delete => {
            host.storage().delete(&key).await?;
            mount.forget();
            Ok(None)
        }
        Operation::Update => {
            reply::name(name)?;
            let body: CollateralBody = reply::body(request.data)?;
            let bytes = parsed(kind, &body.value)?;
            let others = host.storage().list(&prefix).await?;
            let most = if kind == "attestation-key" { MOST_KEYS } else { MOST_ITEMS };
            if others.len() >= most && !others.iter().any(|other| other == name) {
                return Err(Error::BadRequest(format!("collateral/{kind}: at most {most} entries")));
            }
            host.storage().put(&key, bytes).await?;
            mount.forget();
            Ok(None)
        }
        _ => Err(Error::UnsupportedOperation),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CollateralBody {
    value: String,
}

/// Certificates and lists in PEM or base64 DER; names of attestation keys in hex.
fn parsed(kind: &str, value: &str) -> Result<Vec<u8>, Error> {
    if kind == "attestation-key" {
        let bytes = hex::decode(value.trim()).map_err(|error| bad_request(format!("attestation key: {error}")))?;
        return attest::tpm::Name::from_bytes(&bytes).map(|_| bytes).map_err(bad_request);
    }
    let lines = value.lines().filter(|line| !line.starts_with("-----"));
    let der = STANDARD.decode(lines.map(str::trim).collect::<String>()).map_err(bad_request)?;
    readable(kind, &der).map_err(|error| bad_request(format!("{kind}: {error}")))?;
    Ok(der)
}

/// Whether the bytes parse as what they are said to be; what they are worth is decided at use.
fn readable(kind: &str, der: &[u8]) -> Result<(), String> {
    use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};
    let rest = if kind == "crl" {
        CertificateRevocationList::from_der(der).map(|(rest, _)| rest)
    } else {
        X509Certificate::from_der(der).map(|(rest, _)| rest)
    };
    match rest {
        Ok([]) => Ok(()),
        Ok(rest) => Err(format!("{} bytes follow the end", rest.len())),
        Err(error) => Err(error.to_string()),
    }
}

fn shown(kind: &str, bytes: &[u8]) -> String {
    if kind == "attestation-key" { hex::encode(bytes) } else { STANDARD.encode(bytes) }
}

async fn record(operation: Operation, host: &Host, id: &str) -> Result<Option<Response>, Error> {
    match operation {
        Operation::List if id.is_empty() => Ok(Some(Response::keys(host.storage().list("record/").await?))),
        Operation::Read => {
            let wanted = reply::name(id)?;
            let Some(file) = host.storage().get(&format!("record/{wanted}")).await? else { return Ok(None) };
            let signer = Bundle::signer(&file).map_err(|error| Error::Internal(error.to_string()))?;
            let data = json!({ "bundle": STANDARD.encode(&file), "verifier_key_id": signer.to_string() });
            reply::data(&data).map(Some)
        }
        _ => Err(Error::UnsupportedOperation),
    }
}

/// Every judgement looks at all of them, so their number is small.
const MOST_ITEMS: usize = 8;
/// Enrolled attestation keys are looked up by name.
const MOST_KEYS: usize = 10_000;
