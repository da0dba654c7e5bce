//! What is stored of one decision, beside its entry.
//!
//! The signed record, with the objects that only it needs. What many decisions share (policies, certificates and lists of
//! admitted machines) is stored once, under its digest. A refusal's own certificates go with it when it is forgotten.

use attest::crypto::AwsLcRs;
use attest::{Bundle, Crypto, Digest, File};
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use openbao_plugin::{Error, Storage};

use super::position::position;

/// A record in storage.
#[derive(Debug, Encode, Decode)]
pub(crate) struct StoredRecord {
    /// Its place in the log.
    #[n(0)]
    pub(crate) index: u64,
    /// The signed record.
    #[n(1)]
    pub(crate) signed: ByteVec,
    /// Objects that are kept with it.
    #[n(2)]
    pub(crate) own: Vec<ByteVec>,
}

impl StoredRecord {
    pub(crate) async fn load(storage: &Storage, id: &str) -> Result<Option<Self>, Error> {
        let Some(bytes) = storage.get(&key(id)).await? else { return Ok(None) };
        minicbor::decode(&bytes)
            .map(Some)
            .map_err(|why| Error::Internal(format!("stored record {id}: {why}")))
    }

    pub(crate) fn to_cbor(&self) -> Result<Vec<u8>, Error> {
        minicbor::to_vec(self).map_err(|why| Error::Internal(format!("record: {why}")))
    }

    /// The whole file of a bundle: the record with all that it names.
    pub(crate) async fn file(self, storage: &Storage) -> Result<Vec<u8>, Error> {
        let damaged = |why: attest::BadBundle| Error::Internal(why.to_string());
        let mut objects = Vec::new();
        // A record that is no bundle names nothing.
        for name in Bundle::references(&self.signed).unwrap_or_default() {
            let own = self.own.iter().find(|object| AwsLcRs.sha256(&[object]) == name);
            objects.push(match own {
                Some(object) => object.clone(),
                None => shared(storage, name).await?.into(),
            });
        }
        let position = position(storage, self.index).await?;
        File { record: self.signed, objects, position }.to_cbor().map_err(damaged)
    }
}

async fn shared(storage: &Storage, name: Digest<32>) -> Result<Vec<u8>, Error> {
    let object = storage.get(&object_key(name)).await?;
    object.ok_or_else(|| Error::Internal(format!("object {name} is missing in storage")))
}

/// Where the record of a decision is.
pub(crate) fn key(id: &str) -> String {
    format!("record/{id}")
}

/// Where a shared object is.
pub(crate) fn object_key(name: Digest<32>) -> String {
    format!("object/{name}")
}
