//! The secrets themselves, in OpenBao's barrier.
//!
//! One entry holds a secret with its version and the policy that guards it. There is no way to read the
//! plaintext back: it leaves only sealed.
//!
//! Trusted: the storage.

use std::collections::BTreeMap;
use std::fmt;

use attest::UnixTime;
use attest::protection::Demand;
use minicbor::{Decode, Encode};
use openbao_plugin::{Error, Host, Storage};
use protocol::secret::fields_of;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::mount::Mount;
use crate::standing::LeaseTerms;
use crate::state::random;

/// A stored secret.
#[derive(Decode, Encode)]
pub(crate) struct StoredKey {
    #[n(0)]
    pub(crate) policy: String,
    #[n(1)]
    pub(crate) version: u64,
    #[n(2)]
    pub(crate) written: UnixTime,
    /// [`protocol::secret::encode`].
    #[cbor(n(3), with = "minicbor::bytes")]
    secret: Vec<u8>,
    /// The lease on each release by token, if there is one.
    #[n(4)]
    pub(crate) lease: Option<LeaseTerms>,
    /// Fields that are drawn here, with their lengths: nobody has to be told their values for them to change.
    #[n(5)]
    drawn: Option<Drawn>,
    /// How much protection a release takes; none: nothing is demanded.
    #[n(6)]
    demand: Option<Demand>,
}

/// The names and lengths of drawn fields.
pub(crate) type Drawn = BTreeMap<String, u16>;

impl StoredKey {
    pub(crate) fn new(policy: String, version: u64, written: UnixTime, secret: &[u8]) -> Self {
        Self { policy, version, written, secret: secret.to_vec(), lease: None, drawn: None, demand: None }
    }

    /// With these terms and drawn fields.
    pub(crate) fn with(mut self, lease: Option<LeaseTerms>, drawn: Option<Drawn>) -> Self {
        self.lease = lease;
        self.drawn = drawn;
        self
    }

    /// With this demand.
    pub(crate) fn demanding(mut self, demand: Demand) -> Self {
        self.demand = Some(demand).filter(|demand| !demand.is_none());
        self
    }

    /// How much protection a release takes.
    pub(crate) fn demand(&self) -> Demand {
        self.demand.clone().unwrap_or_default()
    }

    /// The fields that are drawn.
    pub(crate) fn drawn(&self) -> Option<&Drawn> {
        self.drawn.as_ref()
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
        let Self { policy, version, written, secret: _, lease: _, drawn: _, demand: _ } = self;
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

/// The fields of a new version: those that were written, and a new value for each that is drawn.
pub(crate) fn with_drawn(written: &[u8], drawn: &Drawn) -> Result<Zeroizing<Vec<u8>>, Error> {
    let damaged = |_why| Error::Internal("stored key is damaged".to_owned());
    let mut values = Vec::new();
    for (name, length) in drawn {
        values.push((name.as_str(), password(*length)?));
    }
    let kept =
        fields_of(written).map_err(damaged)?.into_iter().filter(|(name, _)| !drawn.contains_key(*name));
    let new = values.iter().map(|(name, value)| (*name, value.as_slice()));
    protocol::secret::encode(kept.chain(new)).map_err(|error| Error::BadRequest(error.to_string()))
}

/// Letters and digits, each as likely as any other.
fn password(length: u16) -> Result<Zeroizing<Vec<u8>>, Error> {
    if !(16..=256).contains(&length) {
        return Err(Error::BadRequest(format!("draw: expected a length of 16 to 256, found {length}")));
    }
    let mut value = Zeroizing::new(Vec::with_capacity(usize::from(length)));
    while value.len() < usize::from(length) {
        let drawn = Zeroizing::new(random::<64>()?);
        // Below 248 = 4 x 62, so that no letter comes more often.
        let fair =
            drawn.iter().filter(|byte| **byte < 248).filter_map(|byte| LETTERS.get(usize::from(byte % 62)));
        let missing = usize::from(length).saturating_sub(value.len());
        value.extend(fair.take(missing));
    }
    Ok(value)
}

/// Whether a key has drawn fields.
pub(crate) async fn is_drawn(host: &Host, name: &str) -> Result<bool, Error> {
    Ok(StoredKey::load(host.storage(), name).await?.is_some_and(|key| key.drawn.is_some()))
}

/// Gives a key with drawn fields a new version; whether it has any.
pub(crate) async fn draw_anew(mount: &Mount, host: &Host, name: &str) -> Result<bool, Error> {
    let transaction = host.transaction().await?;
    let Some(key) = StoredKey::load(&transaction, name).await? else { return Ok(false) };
    let Some(drawn) = key.drawn.clone() else { return Ok(false) };
    let secret = with_drawn(key.secret(), &drawn)?;
    let (policy, version) = (key.policy.clone(), key.version.saturating_add(1));
    let next = StoredKey::new(policy, version, mount.now(), &secret).with(key.lease, Some(drawn));
    let next = next.demanding(key.demand());
    next.store(&transaction, name).await?;
    mount.commit(transaction).await?;
    Ok(true)
}

const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
