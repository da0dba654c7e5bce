//! Key-encryption keys that nobody has seen: drawn here, kept with their older versions.
//!
//! `POST keys/<name>/rotate` adds a field `kek.<n>` of 32 random bytes in hex. A release carries all of
//! them: the holder encrypts under the newest and still opens what an older one wrote. What others have
//! encrypted dies with its key, so no write drops one; deleting the whole secret is the only way.
//!
//! Trusted: the storage, and its transactions: of two rotations at once, one is refused.

use openbao_plugin::{Error, Host, Response};
use protocol::secret::{fields_of as fields, kek_number as number};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::guard::Guard;
use crate::keys::StoredKey;
use crate::mount::Mount;
use crate::reply::{self, bad_request};
use crate::state::random;

/// Adds a version, or makes the first.
pub(crate) async fn rotate(
    mount: &Mount,
    data: Map<String, Value>,
    host: &Host,
    name: &str,
) -> Result<Response, Error> {
    let body: RotateBody = reply::body(data)?;
    let transaction = host.transaction().await?;
    let existing = StoredKey::load(&transaction, name).await?;
    let guarding = existing.as_ref().map(|key| key.policy.as_str());
    let guard = Guard::of(&transaction, name, guarding).await?;
    let policy = guard.choose(body.policy, guarding)?;
    if let Some(guarding) = guarding.filter(|guarding| *guarding != policy && !guard.is_approved(&policy)) {
        return Err(another_policy(guarding, &policy));
    }
    guard.keep(&transaction, &policy).await?;
    mount.state(host).await?.policy(&policy)?;
    let stored = existing.as_ref().map_or(NONE, StoredKey::secret);
    let newest = newest(name, stored)?.checked_add(1).ok_or_else(|| bad_request("no version is left"))?;
    let secret = with_new(stored, newest)?;
    let version = existing.as_ref().map_or(1, |key| key.version.saturating_add(1));
    let lease = existing.as_ref().and_then(|key| key.lease);
    let demand = existing.as_ref().map(StoredKey::demand).unwrap_or_default();
    let key = StoredKey::new(policy, version, mount.now(), &secret).with(lease, None).demanding(demand);
    key.store(&transaction, name).await?;
    mount.commit(transaction).await?;
    reply::data(&json!({ "version": version, "key": newest }))
}

/// The older keys are released too: who may rotate does not choose anew who gets them.
fn another_policy(guarding: &str, other: &str) -> Error {
    bad_request(format!("policy: {guarding:?} guards this key and its older versions, found {other:?}"))
}

/// Refuses a write of `new` fields that would drop a key of `old`.
pub(crate) fn keep_keys(old: &[u8], new: &[u8]) -> Result<(), Error> {
    let damaged = |_why| Error::Internal("stored key is damaged".to_owned());
    let (old, new) = (fields(old).map_err(damaged)?, fields(new).map_err(bad_request)?);
    match old.iter().find(|field| number(field.0).is_some() && !new.contains(field)) {
        Some((dropped, _)) => Err(Error::BadRequest(format!(
            "data: {dropped} would be lost with all that it encrypts: rotate the key, or delete it first"
        ))),
        None => Ok(()),
    }
}

/// The highest number of a key; 0 where there is none yet.
fn newest(name: &str, stored: &[u8]) -> Result<u32, Error> {
    let fields = fields(stored).map_err(|_why| Error::Internal("stored key is damaged".to_owned()))?;
    let numbers: Option<Vec<u32>> = fields.iter().map(|(field, _)| number(field)).collect();
    let numbers = numbers.ok_or_else(|| {
        Error::BadRequest(format!("key {name:?} has fields other than kek.<n>: it cannot be rotated"))
    })?;
    Ok(numbers.into_iter().max().unwrap_or(0))
}

fn with_new(stored: &[u8], number: u32) -> Result<Zeroizing<Vec<u8>>, Error> {
    let drawn = Zeroizing::new(random::<32>()?);
    let text = Zeroizing::new(hex::encode(drawn.as_slice()));
    let name = format!("kek.{number}");
    let mut fields = fields(stored).map_err(bad_request)?;
    fields.push((&name, text.as_bytes()));
    protocol::secret::encode(fields).map_err(bad_request)
}

/// A secret without fields.
const NONE: &[u8] = &[0, 0];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateBody {
    policy: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_kept_and_the_tenth_is_newer_than_the_ninth() {
        let mut secret = Zeroizing::new(NONE.to_vec());
        for number in 1..=10 {
            assert_eq!(newest("unseal", &secret).unwrap(), number - 1);
            secret = with_new(&secret, number).unwrap();
        }
        assert_eq!(newest("unseal", &secret).unwrap(), 10);
        let found = fields(&secret).unwrap();
        assert_eq!(found.len(), 10);
        assert!(found.iter().all(|(_, value)| value.len() == 64));
    }

    #[test]
    fn a_password_is_not_rotated() {
        let secret = protocol::secret::encode([("password", b"x".as_slice())]).unwrap();
        let error = newest("db", &secret).unwrap_err();
        assert_eq!(error.to_string(), "key \"db\" has fields other than kek.<n>: it cannot be rotated");
    }

    #[test]
    fn a_write_that_drops_or_changes_a_key_is_refused() {
        let old = protocol::secret::encode([("kek.1", b"a".as_slice())]).unwrap();
        let longer = protocol::secret::encode([("kek.1", b"a".as_slice()), ("kek.2", b"b")]).unwrap();
        let changed = protocol::secret::encode([("kek.1", b"b".as_slice())]).unwrap();
        assert_eq!(keep_keys(&old, &longer), Ok(()));
        for new in [&changed[..], NONE] {
            let error = keep_keys(&old, new).unwrap_err().to_string();
            assert!(error.starts_with("data: kek.1 would be lost"), "{error}");
        }
        let password = protocol::secret::encode([("password", b"x".as_slice())]).unwrap();
        assert_eq!(keep_keys(&password, NONE), Ok(()));
    }
}
