//! The policies of a mount: stored, in which version, and what an emergency put in their place.
//!
//! Where nobody was named to approve ([`crate::governance`]), whoever may write `policy/…` stores a policy. Versions only
//! go up.
//!
//! Trusted: the storage. Untrusted: the text.

use std::collections::BTreeMap;

use attest::crypto::AwsLcRs;
use attest::governance::{Item, Kind};
use attest::{Policy, UnixTime};
use openbao_plugin::{Error, Host, Response, Storage};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::governance::{StoredEmergency, items, ungoverned};
use crate::mount::Mount;
use crate::reply::{self, bad_request};

/// A policy with the text that it was parsed from.
#[derive(Clone, Debug)]
pub(crate) struct StoredPolicy {
    pub(crate) text: String,
    pub(crate) policy: Policy,
    /// The end of the emergency that put it here.
    emergency_until: Option<UnixTime>,
}

impl StoredPolicy {
    fn parse(text: String) -> Result<Self, String> {
        let policy = Policy::parse(&AwsLcRs, &text).map_err(|error| error.to_string())?;
        Ok(Self { text, policy, emergency_until: None })
    }
}

/// Reads all policies, and lays those of emergencies over them. One that no longer parses is kept as the reason: it stops
/// those who name it, and nobody else.
pub(crate) async fn load(
    storage: &Storage,
    emergencies: &[StoredEmergency],
) -> Result<BTreeMap<String, Result<StoredPolicy, String>>, Error> {
    let mut policies = BTreeMap::new();
    for name in storage.list("policy/").await? {
        let Some(bytes) = storage.get(&format!("policy/{name}")).await? else { continue };
        let text = String::from_utf8(bytes).map_err(|error| error.to_string());
        policies.insert(name, text.and_then(StoredPolicy::parse));
    }
    for StoredEmergency { emergency, content, .. } in emergencies {
        if emergency.change.item.kind == Kind::Policy {
            let emergency_until = Some(emergency.until);
            let policy = StoredPolicy::parse(content.clone());
            let policy = policy.map(|policy| StoredPolicy { emergency_until, ..policy });
            policies.insert(emergency.change.item.name.to_string(), policy);
        }
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
        "emergency_until": stored.emergency_until,
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
    let body: PolicyBody = reply::body(body)?;
    let StoredPolicy { text, policy, .. } = StoredPolicy::parse(body.policy).map_err(bad_request)?;
    let transaction = host.transaction().await?;
    ungoverned(&transaction).await?;
    let key = items::version_key(&Item::new(Kind::Policy, name).map_err(bad_request)?);
    let stored = items::number(transaction.get(&key).await?.as_deref());
    // The same edition again changes nothing: those who write down what they want write it again and again.
    let same = transaction.get(&format!("policy/{name}")).await?.as_deref() == Some(text.as_bytes());
    if policy.version() == stored && same {
        return stored_answer(name, &policy);
    }
    let version = items::newer(policy.version(), stored)?;
    transaction.put(&key, version.to_string().into_bytes()).await?;
    transaction.put(&format!("policy/{name}"), text.into_bytes()).await?;
    mount.commit(transaction).await?;
    stored_answer(name, &policy)
}

fn stored_answer(name: &str, policy: &Policy) -> Result<Response, Error> {
    let answer = json!({ "version": policy.version(), "digest": policy.digest().to_string() });
    let answer = reply::data(&answer)?;
    if policy.name() == name {
        return Ok(answer);
    }
    let itself = policy.name();
    Ok(answer.with_warning(format!(
        "stored as {name:?}, calls itself {itself:?}: records and revocations know it as {itself:?}"
    )))
}

/// Whether there is a policy of this name.
pub(crate) async fn is_stored(storage: &Storage, name: &str) -> Result<(), Error> {
    match storage.get(&format!("policy/{}", reply::name(name)?)).await? {
        Some(_) => Ok(()),
        None => Err(bad_request(format!("policy {name:?} is not stored in this mount"))),
    }
}

/// What was approved as one policy is not stored as another, nor when it has ended.
pub(crate) fn fits(policy: &Policy, name: &str, now: UnixTime) -> Result<(), String> {
    if policy.name() != name {
        return Err(format!("policy name: expected {name:?}, found {:?}", policy.name()));
    }
    policy.succeeds(None, now).map_err(|error| error.to_string())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyBody {
    policy: String,
}
