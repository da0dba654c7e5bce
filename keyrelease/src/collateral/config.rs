//! What operators set: who may bring packs, and how early to warn.
//!
//! How old collateral may be is not set here but in policies (`[freshness]`), where it is part of what a record replays.
//!
//! Trusted: the operator. The signers' path asks for sudo.

use std::fmt::Display;

use attest::collateral::PackSigner;
use attest::crypto::AwsLcRs;
use attest::governance::Kind;
use openbao_plugin::{Error, Host, Response, Storage};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::governance::items::{self, COLLATERAL_SIGNERS};
use crate::mount::Mount;
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

/// The keys in a text: 64 hex digits a line.
pub(crate) fn pack_signers(text: &str) -> Result<Vec<PackSigner>, Error> {
    let keys: Vec<PackSigner> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(key).collect::<Result<_, _>>()?;
    if keys.len() <= MOST_SIGNERS {
        Ok(keys)
    } else {
        Err(Error::BadRequest(format!("collateral_signers: at most {MOST_SIGNERS} keys")))
    }
}

/// The keys in force, out of what is stored.
pub(crate) fn stored_signers(stored: Option<&[u8]>) -> Result<Vec<PackSigner>, Error> {
    let damaged = |why: &dyn Display| Error::Internal(format!("stored {COLLATERAL_SIGNERS}: {why}"));
    let text = std::str::from_utf8(stored.unwrap_or_default()).map_err(|why| damaged(&why))?;
    pack_signers(text).map_err(|why| damaged(&why))
}

pub(crate) async fn show_signers(mount: &Mount, host: &Host) -> Result<Response, Error> {
    let state = mount.state(host).await?;
    let keys: Vec<String> = state.pack_signers.iter().map(|signer| hex::encode(signer.0)).collect();
    let ids: Vec<String> = state.pack_signers.iter().map(|signer| signer.id(&AwsLcRs).to_string()).collect();
    reply::data(&json!({ "collateral_signers": keys, "key_ids": ids }))
}

/// Names the keys where nobody has to approve them.
pub(crate) async fn store_signers(mount: &Mount, host: &Host, body: Map<String, Value>) -> Result<(), Error> {
    let body: SignersBody = reply::body(body)?;
    let content = body.collateral_signers.join("\n");
    items::write(mount, host, Kind::CollateralSigners, "", &content).await
}

fn key(text: &str) -> Result<PackSigner, Error> {
    let mut key = [0; 32];
    let odd = |error| {
        Error::BadRequest(format!("collateral_signers: expected Ed25519 keys of 64 hex digits: {error}"))
    };
    hex::decode_to_slice(text, &mut key).map_err(odd)?;
    Ok(PackSigner(key))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignersBody {
    collateral_signers: Vec<String>,
}

const SETTINGS: &str = "config/collateral";
const MOST_SIGNERS: usize = 16;
/// A week: lists of AMD live for about a year, Intel's documents for thirty days.
const WARN_BEFORE: u64 = 7 * 86_400;
const MOST_WARN_BEFORE: u64 = 366 * 86_400;
