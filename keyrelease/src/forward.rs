//! `attest-keys/seal`: a value that the caller holds already, sealed to the key that was attested at login.
//!
//! For workflows: what Transit decrypted or KV keeps goes on to the machine, and never in clear. The mount learns the value
//! for as long as the request lasts; the record says that something was sealed, not what, nor how much.
//!
//! The caller's login has to have been judged under one of the policies of this mount that `config/seal` names: the very
//! text, by its digest. Its grants are asked for the purpose `<mount>/seal`. Without `config/seal` nothing is sealed.
//!
//! Trusted: `config/seal`, which asks for sudo and is governed where the mount has approvers. Untrusted: the request.

use attest::governance::Kind as Governed;
use attest::log::Kind;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openbao_plugin::{Error, Host, Request, Response, Storage};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::caller::{Asked, Caller, Given};
use crate::governance::emergency;
use crate::governance::items::{self, SEAL};
use crate::keys;
use crate::mount::Mount;
use crate::policies;
use crate::reply::{self, bad_request};
use crate::secrets::ReleaseBody;
use crate::state::State;

/// Answers `seal`.
pub(crate) async fn seal_on(mount: &Mount, request: Request, host: &Host) -> Result<Response, Error> {
    let mut data = request.data;
    let value = value(&mut data)?;
    let body: ReleaseBody = reply::body(data)?;
    let state = mount.state(host).await?;
    let mut policies = Vec::new();
    for name in named(&state, host.storage()).await? {
        policies.push(&state.policy(&name)?.policy);
    }
    if policies.is_empty() {
        return Err(Error::PermissionDenied(
            "refused: no policy may have values sealed: config/seal is not set".to_owned(),
        ));
    }
    let purpose = format!("{}/seal", request.mount_point.trim_end_matches('/'));
    let (entity, now) = (request.entity_id.as_str(), mount.now());
    let caller = Caller { mount, host, state: &state, entity, now };
    let asked = Asked { offered: body.offered()?, purpose: &purpose, policies: &policies };
    let vouched = caller.vouched(asked).await?;
    let request = "seal".to_owned();
    let given = Given { kind: Kind::Seal, request, secret: None, value: &value, version: 0 };
    reply::data(&caller.give(&vouched, &given).await?)
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
pub(crate) async fn show(mount: &Mount, host: &Host) -> Result<Response, Error> {
    let state = mount.state(host).await?;
    reply::data(&json!({ "policies": named(&state, host.storage()).await? }))
}

/// Names the policies under which a login may have values sealed, where nobody has to approve it.
pub(crate) async fn configure(mount: &Mount, host: &Host, body: Map<String, Value>) -> Result<(), Error> {
    let body: SealBody = reply::body(body)?;
    let content = serde_json::to_string(&body).map_err(|error| Error::Internal(error.to_string()))?;
    items::write(mount, host, Governed::Seal, "", &content).await
}

/// Whether this content may be stored: names of policies that are.
pub(crate) async fn fits(storage: &Storage, content: &str) -> Result<(), Error> {
    let body: SealBody = serde_json::from_str(content).map_err(|why| bad_request(format!("seal: {why}")))?;
    if body.policies.len() > MOST_POLICIES {
        return Err(bad_request(format!("policies: at most {MOST_POLICIES} names")));
    }
    for name in &body.policies {
        policies::is_stored(storage, name).await?;
    }
    Ok(())
}

/// The names in force.
async fn named(state: &State, storage: &Storage) -> Result<Vec<String>, Error> {
    let stored = match emergency::instead(&state.emergencies, Governed::Seal) {
        Some(content) => Some(content.as_bytes().to_vec()),
        None => storage.get(SEAL).await?,
    };
    let Some(content) = stored else { return Ok(Vec::new()) };
    let body: Result<SealBody, _> = serde_json::from_slice(&content);
    body.map(|body| body.policies).map_err(|error| Error::Internal(format!("stored {SEAL}: {error}")))
}

/// What `config/seal` takes, and what is stored.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SealBody {
    policies: Vec<String>,
}

const MOST_POLICIES: usize = 16;
/// What a client's secret memory takes in one piece.
const MAX_BYTES: usize = 1024 * 1024;
