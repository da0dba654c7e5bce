//! What operators set: who may bring packs, and how early to warn.
//!
//! How old collateral may be is not set here but in policies (`[freshness]`), where it is part of what a record replays.
//!
//! Trusted: the operator. The signers' path asks for sudo.

use attest::collateral::PackSigner;
use attest::crypto::AwsLcRs;
use openbao_plugin::{Error, Host, Response, Storage};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::reply;

/// `config/collateral`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// How long before its end an object is told of, in seconds.
    pub(crate) warn_before_seconds: u64,
}

impl Settings {
    pub(crate) async fn load(storage: &Storage) -> Result<Self, Error> {
        let Some(bytes) = storage.get(SETTINGS).await? else {
            return Ok(Self { warn_before_seconds: WARN_BEFORE });
        };
        serde_json::from_slice(&bytes).map_err(|error| Error::Internal(format!("stored {SETTINGS}: {error}")))
    }

    pub(crate) async fn store(host: &Host, body: Map<String, Value>) -> Result<(), Error> {
        let settings: Self = reply::body(body)?;
        if !(1..=MOST_WARN_BEFORE).contains(&settings.warn_before_seconds) {
            let found = settings.warn_before_seconds;
            return Err(Error::BadRequest(format!(
                "warn_before_seconds: expected 1 to {MOST_WARN_BEFORE}, found {found}"
            )));
        }
        let bytes = serde_json::to_vec(&settings).map_err(|error| Error::Internal(error.to_string()))?;
        host.storage().put(SETTINGS, bytes).await.map_err(Error::from)
    }
}

/// The keys whose packs are taken; if there are any, nothing else is.
pub(crate) async fn signers(storage: &Storage) -> Result<Vec<PackSigner>, Error> {
    let bytes = storage.get(SIGNERS).await?.unwrap_or_default();
    let (keys, rest) = bytes.as_chunks::<32>();
    if rest.is_empty() {
        Ok(keys.iter().map(|key| PackSigner(*key)).collect())
    } else {
        Err(Error::Internal(format!("{SIGNERS}: expected keys of 32 bytes, found {} more", rest.len())))
    }
}

pub(crate) async fn show_signers(host: &Host) -> Result<Response, Error> {
    let signers = signers(host.storage()).await?;
    let keys: Vec<String> = signers.iter().map(|signer| hex::encode(signer.0)).collect();
    let ids: Vec<String> = signers.iter().map(|signer| signer.id(&AwsLcRs).to_string()).collect();
    reply::data(&json!({ "collateral_signers": keys, "key_ids": ids }))
}

pub(crate) async fn store_signers(host: &Host, body: Map<String, Value>) -> Result<(), Error> {
    let body: SignersBody = reply::body(body)?;
    if body.collateral_signers.len() > MOST_SIGNERS {
        return Err(Error::BadRequest(format!("collateral_signers: at most {MOST_SIGNERS} keys")));
    }
    let keys: Vec<u8> =
        body.collateral_signers.iter().map(|text| key(text)).collect::<Result<Vec<_>, _>>()?.concat();
    host.storage().put(SIGNERS, keys).await.map_err(Error::from)
}

fn key(text: &str) -> Result<[u8; 32], Error> {
    let mut key = [0; 32];
    let odd = |error| {
        Error::BadRequest(format!("collateral_signers: expected Ed25519 keys of 64 hex digits: {error}"))
    };
    hex::decode_to_slice(text, &mut key).map_err(odd)?;
    Ok(key)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignersBody {
    collateral_signers: Vec<String>,
}

const SETTINGS: &str = "config/collateral";
const SIGNERS: &str = "config/collateral-signers";
const MOST_SIGNERS: usize = 16;
/// A week: lists of AMD live for about a year, Intel's documents for thirty days.
const WARN_BEFORE: u64 = 7 * 86_400;
const MOST_WARN_BEFORE: u64 = 366 * 86_400;
