//! The policies of a mount: stored, in which version, and signed by whom.
//!
//! A mount that names signers takes a policy only as a file that one of them signed, under the policy's own name,
//! and believes what is in its storage only if it opens under them still: a key that is taken off the list takes its
//! policies with it. Whoever may write `policy/…` and who holds a signing key are two people. Versions only go up.
//!
//! Trusted: the operator who names the signers (a path that asks for sudo). Untrusted: the file.

use std::collections::BTreeMap;

use attest::crypto::AwsLcRs;
use attest::policy::{PolicySigner, SignedPolicy};
use attest::{Digest, Policy, UnixTime};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openbao_plugin::{Error, Host, Response, Storage};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::mount::Mount;
use crate::reply::{self, bad_request};

/// A policy with the text that it was parsed from.
#[derive(Clone, Debug)]
pub(crate) struct StoredPolicy {
    pub(crate) text: String,
    pub(crate) policy: Policy,
    signer: Option<Digest<32>>,
}

impl StoredPolicy {
    /// What is in storage, as far as it is believed.
    fn read(bytes: Vec<u8>, signers: &[PolicySigner]) -> Result<Self, String> {
        let is_signed = SignedPolicy::looks_signed(&bytes);
        if !signers.is_empty() {
            return if is_signed { Self::signed(&bytes, signers) } else { Err(UNSIGNED.to_owned()) };
        }
        let text = if is_signed {
            SignedPolicy::insecure_peek(&bytes).map_err(|error| error.to_string())?
        } else {
            String::from_utf8(bytes).map_err(|error| error.to_string())?
        };
        Self::unsigned(text)
    }

    fn unsigned(text: String) -> Result<Self, String> {
        let policy = Policy::parse(&AwsLcRs, &text).map_err(|error| error.to_string())?;
        Ok(Self { text, policy, signer: None })
    }

    fn signed(file: &[u8], signers: &[PolicySigner]) -> Result<Self, String> {
        let opened = SignedPolicy::open(file, signers, &AwsLcRs).map_err(|error| error.to_string())?;
        Ok(Self { text: opened.text, policy: opened.policy, signer: Some(opened.signer) })
    }
}

/// Reads all policies. One that is not believed or no longer parses is kept as the reason: it stops those who
/// name it, and nobody else.
pub(crate) async fn load(storage: &Storage) -> Result<BTreeMap<String, Result<StoredPolicy, String>>, Error> {
    let signers = signers(storage).await?;
    let mut policies = BTreeMap::new();
    for name in storage.list("policy/").await? {
        let Some(bytes) = storage.get(&format!("policy/{name}")).await? else { continue };
        policies.insert(name, StoredPolicy::read(bytes, &signers));
    }
    Ok(policies)
}

/// Answers a read of `policy/<name>`.
pub(crate) async fn show(mount: &Mount, host: &Host, name: &str) -> Result<Option<Response>, Error> {
    let state = mount.state(host).await?;
    if !state.policies.contains_key(name) {
        return Ok(None);
    }
    let stored = state.policy(name)?;
    let policy = &stored.policy;
    reply::data(&json!({
        "policy": stored.text,
        "version": policy.version(),
        "digest": policy.digest().to_string(),
        "expires": policy.expires(),
        "signer": stored.signer.map(|signer| signer.to_string()),
    }))
    .map(Some)
}

/// Stores a policy if its version is above every one that this name had, also where that one no longer
/// parses: the version has an entry of its own.
pub(crate) async fn store(
    mount: &Mount,
    host: &Host,
    name: &str,
    body: Map<String, Value>,
) -> Result<Response, Error> {
    let signers = signers(host.storage()).await?;
    let (file, brought) = brought(reply::body(body)?, name, &signers, mount.now())?;
    let version = brought.policy.version();
    let transaction = host.transaction().await?;
    let key = format!("policy-version/{name}");
    let stored = transaction.get(&key).await?.unwrap_or_default();
    let stored = String::from_utf8(stored).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    // The same edition again changes nothing: those who write down what they want write it again and again.
    if version == stored && transaction.get(&format!("policy/{name}")).await?.as_ref() == Some(&file) {
        return stored_answer(version, &brought.policy);
    }
    if version <= stored {
        return Err(Error::BadRequest(format!("policy version: expected above {stored}, found {version}")));
    }
    transaction.put(&key, version.to_string().into_bytes()).await?;
    transaction.put(&format!("policy/{name}"), file).await?;
    transaction.commit().await?;
    mount.forget();
    stored_answer(version, &brought.policy)
}

fn stored_answer(version: u64, policy: &Policy) -> Result<Response, Error> {
    reply::data(&json!({ "version": version, "digest": policy.digest().to_string() }))
}

/// The bytes to store, and the policy in them.
fn brought(
    body: PolicyBody,
    name: &str,
    signers: &[PolicySigner],
    now: UnixTime,
) -> Result<(Vec<u8>, StoredPolicy), Error> {
    match (body.policy, body.signed, signers.is_empty()) {
        (Some(text), None, true) => {
            let stored = StoredPolicy::unsigned(text).map_err(bad_request)?;
            Ok((stored.text.clone().into_bytes(), stored))
        }
        (None, Some(signed), false) => {
            let file = STANDARD.decode(signed.trim()).map_err(bad_request)?;
            let stored = StoredPolicy::signed(&file, signers).map_err(bad_request)?;
            fits(&stored.policy, name, now).map_err(bad_request)?;
            Ok((file, stored))
        }
        (Some(_), None, false) => Err(bad_request(UNSIGNED)),
        (None, Some(_), true) => {
            Err(bad_request("signed: this mount names no signers (config/policy-signers)"))
        }
        _ => Err(bad_request("expected either policy, a text, or signed, a file as base64")),
    }
}

/// What an author signed as one policy is not stored as another, nor when it has ended.
fn fits(policy: &Policy, name: &str, now: UnixTime) -> Result<(), String> {
    if policy.name() != name {
        return Err(format!("policy name: expected {name:?}, found {:?}", policy.name()));
    }
    policy.succeeds(None, now).map_err(|error| error.to_string())
}

/// Answers a read of `config/policy-signers`.
pub(crate) async fn show_signers(host: &Host) -> Result<Response, Error> {
    let signers = signers(host.storage()).await?;
    let keys: Vec<String> = signers.iter().map(|signer| hex::encode(signer.0)).collect();
    let ids: Vec<String> = signers.iter().map(|signer| signer.id(&AwsLcRs).to_string()).collect();
    reply::data(&json!({ "policy_signers": keys, "key_ids": ids }))
}

/// Names the keys whose policies this mount takes. Policies that none of them signed are not believed from now on.
pub(crate) async fn store_signers(mount: &Mount, host: &Host, body: Map<String, Value>) -> Result<(), Error> {
    let body: SignersBody = reply::body(body)?;
    if body.policy_signers.len() > MOST_SIGNERS {
        return Err(Error::BadRequest(format!("policy_signers: at most {MOST_SIGNERS} keys")));
    }
    let keys = body.policy_signers.iter().map(|text| key(text).map(|signer| signer.0));
    let keys: Vec<u8> = keys.collect::<Result<Vec<_>, _>>()?.concat();
    host.storage().put(SIGNERS, keys).await?;
    mount.forget();
    Ok(())
}

async fn signers(storage: &Storage) -> Result<Vec<PolicySigner>, Error> {
    let bytes = storage.get(SIGNERS).await?.unwrap_or_default();
    let (keys, rest) = bytes.as_chunks::<32>();
    if rest.is_empty() {
        Ok(keys.iter().map(|key| PolicySigner(*key)).collect())
    } else {
        Err(Error::Internal(format!("{SIGNERS}: expected keys of 32 bytes, found {} more", rest.len())))
    }
}

fn key(text: &str) -> Result<PolicySigner, Error> {
    let mut key = [0; 32];
    let odd =
        |error| Error::BadRequest(format!("policy_signers: expected Ed25519 keys of 64 hex digits: {error}"));
    hex::decode_to_slice(text, &mut key).map_err(odd)?;
    Ok(PolicySigner(key))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyBody {
    policy: Option<String>,
    signed: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignersBody {
    policy_signers: Vec<String>,
}

const SIGNERS: &str = "config/policy-signers";
const UNSIGNED: &str = "policy is not signed: this mount takes signed ones only (config/policy-signers)";
const MOST_SIGNERS: usize = 16;
