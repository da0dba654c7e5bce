//! Proposals and emergencies in storage.
//!
//! Trusted: the storage.

use attest::governance::{Approval, Emergency, Item, Proposal};
use attest::{Digest, UnixTime};
use minicbor::{Decode, Encode};
use openbao_plugin::{Error, Storage};

use super::items::leaf;

/// A proposal with the approvals that it has.
#[derive(Clone, Debug, Encode, Decode)]
pub(super) struct StoredProposal {
    #[n(0)]
    pub(super) proposal: Proposal,
    #[n(1)]
    pub(super) content: String,
    #[n(2)]
    pub(super) approvals: Vec<Approval>,
    /// When it was applied, if it was.
    #[n(3)]
    pub(super) applied: Option<UnixTime>,
}

/// An emergency that holds, or was ended before its time.
#[derive(Clone, Debug, Encode, Decode)]
pub(crate) struct StoredEmergency {
    #[n(0)]
    pub(crate) emergency: Emergency,
    #[n(1)]
    pub(crate) content: String,
    #[n(2)]
    pub(crate) approval: Approval,
    /// Whether it was ended. It stays until its time, so that its signature does not begin it again.
    #[n(3)]
    pub(crate) ended: bool,
}

impl StoredProposal {
    pub(super) const FOLDER: &'static str = "proposal/";
    /// Those that were applied, until they expire.
    pub(super) const APPLIED: &'static str = "applied/";
    /// When those that were withdrawn expire: until then they are not proposed again.
    pub(super) const WITHDRAWN: &'static str = "withdrawn/";

    /// The open one of this name, as its bytes too.
    pub(super) async fn open(
        storage: &Storage,
        id: Digest<32>,
        now: UnixTime,
    ) -> Result<Option<(Self, Vec<u8>)>, Error> {
        let found = read::<Self>(storage, &format!("{}{id}", Self::FOLDER)).await?;
        Ok(found.filter(|(stored, _)| now < stored.proposal.expires))
    }

    /// The applied one of this name.
    pub(super) async fn applied(storage: &Storage, id: Digest<32>) -> Result<Option<Self>, Error> {
        let found = read::<Self>(storage, &format!("{}{id}", Self::APPLIED)).await?;
        Ok(found.map(|(stored, _)| stored))
    }

    pub(super) async fn all(storage: &Storage) -> Result<Vec<(String, Self)>, Error> {
        let mut all = Vec::new();
        for name in storage.list(Self::FOLDER).await? {
            if let Some((stored, _)) = read(storage, &format!("{}{name}", Self::FOLDER)).await? {
                all.push((name, stored));
            }
        }
        Ok(all)
    }

    pub(super) fn to_cbor(&self) -> Result<Vec<u8>, Error> {
        encode(self)
    }
}

impl StoredEmergency {
    pub(super) fn key(item: &Item) -> String {
        format!("emergency/{}/{}", item.kind, leaf(item))
    }

    /// The one about this item, as its bytes too.
    pub(super) async fn read(storage: &Storage, item: &Item) -> Result<Option<(Self, Vec<u8>)>, Error> {
        Self::at(storage, &Self::key(item)).await
    }

    /// The one under this key.
    pub(super) async fn at(storage: &Storage, key: &str) -> Result<Option<(Self, Vec<u8>)>, Error> {
        read(storage, key).await
    }

    /// All that are stored, whether they hold or not, with their keys.
    pub(super) async fn all(storage: &Storage) -> Result<Vec<(String, Self)>, Error> {
        let mut all = Vec::new();
        for kind in storage.list("emergency/").await? {
            for name in storage.list(&format!("emergency/{kind}")).await? {
                let key = format!("emergency/{kind}{name}");
                if let Some((stored, _)) = read(storage, &key).await? {
                    all.push((key, stored));
                }
            }
        }
        Ok(all)
    }

    pub(crate) fn holds(&self, now: UnixTime) -> bool {
        !self.ended && now < self.emergency.until
    }

    pub(super) fn to_cbor(&self) -> Result<Vec<u8>, Error> {
        encode(self)
    }
}

async fn read<T: for<'b> Decode<'b, ()>>(
    storage: &Storage,
    key: &str,
) -> Result<Option<(T, Vec<u8>)>, Error> {
    let Some(bytes) = storage.get(key).await? else { return Ok(None) };
    match minicbor::decode(&bytes) {
        Ok(value) => Ok(Some((value, bytes))),
        Err(why) => Err(Error::Internal(format!("stored {key}: {why}"))),
    }
}

fn encode(value: &impl Encode<()>) -> Result<Vec<u8>, Error> {
    minicbor::to_vec(value).map_err(|why| Error::Internal(format!("cannot be stored: {why}")))
}
