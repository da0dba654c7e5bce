//! The secrets themselves, in OpenBao's barrier.
//!
//! One entry holds a secret with its version and the policy that guards it. There is no way to read the
//! plaintext back: it leaves only sealed.
//!
//! Trusted: the storage.

use std::fmt;

use minicbor::{Decode, Encode};
use openbao_plugin::{Error, Storage};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// A stored secret.
#[derive(Decode, Encode)]
pub(crate) struct StoredKey {
    #[n(0)]
    pub(crate) policy: String,
    #[n(1)]
    pub(crate) version: u64,
    #[n(2)]
    pub(crate) written: attest::UnixTime,
    /// [`protocol::secret::encode`].
    #[cbor(n(3), with = "minicbor::bytes")]
    secret: Vec<u8>,
}

impl StoredKey {
    pub(crate) fn new(policy: String, version: u64, written: attest::UnixTime, secret: &[u8]) -> Self {
        Self { policy, version, written, secret: secret.to_vec() }
    }

    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret
    }

    pub(crate) async fn load(storage: &Storage, name: &str) -> Result<Option<Self>, Error> {
        let Some(bytes) = storage.get(&format!("keys/{name}")).await? else { return Ok(None) };
        let bytes = Zeroizing::new(bytes);
        let damaged = |_why| Error::Internal(format!("stored key {name:?} is damaged"));
        minicbor::decode(&bytes).map(Some).map_err(damaged)
    }

    pub(crate) async fn store(&self, storage: &Storage, name: &str) -> Result<(), Error> {
        let unwritable = |_why| Error::Internal(format!("key {name:?} cannot be encoded"));
        let bytes = minicbor::to_vec(self).map_err(unwritable)?;
        storage.put(&format!("keys/{name}"), bytes).await.map_err(Error::from)
    }
}

impl Drop for StoredKey {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.secret);
    }
}

impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { policy, version, written, secret: _ } = self;
        f.debug_struct("StoredKey")
            .field("policy", policy)
            .field("version", version)
            .field("written", written)
            .finish_non_exhaustive()
    }
}

/// The fields of a request's `data`, encoded: strings as they are, everything else as JSON text.
pub(crate) fn encode(fields: &Map<String, Value>) -> Result<Zeroizing<Vec<u8>>, Error> {
    if fields.is_empty() {
        return Err(Error::BadRequest("data: expected at least one field, found none".to_owned()));
    }
    let texts: Vec<(&String, Zeroizing<String>)> = fields
        .iter()
        .map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (name, Zeroizing::new(text))
        })
        .collect();
    let borrowed = texts.iter().map(|(name, text)| (name.as_str(), text.as_bytes()));
    protocol::secret::encode(borrowed).map_err(|error| Error::BadRequest(error.to_string()))
}
