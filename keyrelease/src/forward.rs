//! `attest-keys/seal`: a value that the caller holds already, sealed to the key that was attested at login.
//!
//! For workflows: what Transit decrypted or KV keeps goes on to the machine, and never in clear. The mount learns the value
//! for as long as the request lasts; the record says that something was sealed, not what, nor how much.
//!
//! The caller's login has to have been judged under one of the policies of this mount that `config/seal` names: the very
//! text, by its digest. Its grants are asked for the purpose `<mount>/seal`. Without `config/seal` nothing is sealed.
//!
//! Trusted: `config/seal`, which asks for sudo. Untrusted: the request.

use attest::log::Kind;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openbao_plugin::{Error, Host, Request, Response, Storage};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::caller::{self, Asked, Given};
use crate::keys;
use crate::mount::Mount;
use crate::reply;
use crate::secrets::ReleaseBody;

/// Answers `seal`.
pub(crate) async fn seal_on(mount: &Mount, request: Request, host: &Host) -> Result<Response, Error> {
    let mut data = request.data;
    let value = value(&mut data)?;
    let body: ReleaseBody = reply::body(data)?;
    let state = mount.state(host).await?;
    let mut policies = Vec::new();
    for name in named(host.storage()).await? {
        policies.push(&state.policy(&name)?.policy);
    }
    if policies.is_empty() {
        return Err(Error::PermissionDenied(
            "refused: no policy may have values sealed: config/seal is not set".to_owned(),
        ));
    }
    let purpose = format!("{}/seal", request.mount_point.trim_end_matches('/'));
    let (entity, offered, now) = (request.entity_id.as_str(), body.offered()?, mount.now());
    let asked = Asked { entity, offered, purpose: &purpose, policies: &policies };
    let vouched = caller::vouched(mount, host, asked, now).await?;
    let request = "seal".to_owned();
    let given = Given { kind: Kind::Seal, request, secret: None, value: &value, version: 0 };
    reply::data(&caller::give(mount, host, entity, &vouched, &given, now).await?)
}

/// What to seal, encoded: the fields of `data`, or `plaintext` as Transit gives it, under that name. Not parsed by serde,
/// whose messages could quote it.
fn value(body: &mut Map<String, Value>) -> Result<Zeroizing<Vec<u8>>, Error> {
    let encoded = match (body.remove("data"), body.remove("plaintext")) {
        (Some(Value::Object(fields)), None) => keys::encode(&fields)?,
        (None, Some(Value::String(text))) => {
            let text = Zeroizing::new(text);
            let plain = STANDARD.decode(text.as_bytes()).map(Zeroizing::new).map_err(|_why| wanted())?;
            protocol::secret::encode([("plaintext", plain.as_slice())])
                .map_err(|error| Error::BadRequest(error.to_string()))?
        }
        _ => return Err(wanted()),
    };
    if encoded.len() > MAX_BYTES {
        return Err(Error::BadRequest(format!("value: at most {MAX_BYTES} bytes together")));
    }
    Ok(encoded)
}

fn wanted() -> Error {
    Error::BadRequest("expected either data, an object of fields, or plaintext, a text of base64".to_owned())
}

/// Answers a read of `config/seal`.
pub(crate) async fn show(storage: &Storage) -> Result<Response, Error> {
    reply::data(&json!({ "policies": named(storage).await? }))
}

/// Names the policies under which a login may have values sealed.
pub(crate) async fn configure(mount: &Mount, host: &Host, body: Map<String, Value>) -> Result<(), Error> {
    let body: SealBody = reply::body(body)?;
    if body.policies.len() > MOST_POLICIES {
        return Err(Error::BadRequest(format!("policies: at most {MOST_POLICIES} names")));
    }
    let state = mount.state(host).await?;
    body.policies.iter().try_for_each(|name| state.policy(name).map(|_policy| ()))?;
    let names = serde_json::to_vec(&body.policies).map_err(|error| Error::Internal(error.to_string()))?;
    host.storage().put(POLICIES, names).await.map_err(Error::from)
}

async fn named(storage: &Storage) -> Result<Vec<String>, Error> {
    let Some(names) = storage.get(POLICIES).await? else { return Ok(Vec::new()) };
    serde_json::from_slice(&names).map_err(|error| Error::Internal(format!("{POLICIES}: {error}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SealBody {
    policies: Vec<String>,
}

const POLICIES: &str = "config/seal-policies";
const MOST_POLICIES: usize = 16;
/// What a client's secret memory takes in one piece.
const MAX_BYTES: usize = 1024 * 1024;
