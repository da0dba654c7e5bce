//! A mount's storage: keys with bytes, below a prefix that only this mount sees.
//!
//! Every write is in OpenBao's encrypted barrier before the call returns. On a standby a write is
//! [`HostError::ReadOnly`], which a handler passes on so that the active node does the work.
//!
//! Trusted: the host's answers.

use std::ops::Deref;

use tokio::runtime::Handle;
use tonic::transport::Channel;

use crate::HostError;
use crate::wire::pb;
use crate::wire::pb::storage_client::StorageClient;

/// Reads and writes, of a mount or of one transaction in it.
#[derive(Clone, Debug)]
pub struct Storage {
    client: StorageClient<Channel>,
    /// Empty outside of a transaction.
    txn: String,
}

impl Storage {
    pub(crate) fn new(channel: Channel) -> Self {
        let client = StorageClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        Self { client, txn: String::new() }
    }

    /// The bytes under `key`, if there are any.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, HostError> {
        let args = pb::StorageGetArgs { key: key.to_owned(), txn: self.txn.clone() };
        let reply = answer("storage get", self.client.clone().get(args).await)?;
        checked("storage get", &reply.err)?;
        Ok(reply.entry.map(|entry| entry.value))
    }

    /// Stores `value` under `key`.
    pub async fn put(&self, key: &str, value: Vec<u8>) -> Result<(), HostError> {
        let entry = pb::StorageEntry { key: key.to_owned(), value, seal_wrap: false };
        let args = pb::StoragePutArgs { entry: Some(entry), txn: self.txn.clone() };
        checked("storage put", &answer("storage put", self.client.clone().put(args).await)?.err)
    }

    /// Deletes `key`; deleting what is not there succeeds.
    pub async fn delete(&self, key: &str) -> Result<(), HostError> {
        let args = pb::StorageDeleteArgs { key: key.to_owned(), txn: self.txn.clone() };
        checked("storage delete", &answer("storage delete", self.client.clone().delete(args).await)?.err)
    }

    /// The names directly below `prefix` (empty, or ending in `/`); a name with children ends in `/`.
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>, HostError> {
        let args = pb::StorageListArgs { prefix: prefix.to_owned(), txn: self.txn.clone() };
        let reply = answer("storage list", self.client.clone().list(args).await)?;
        checked("storage list", &reply.err).map(|()| reply.keys)
    }

    /// At most `limit` names below `prefix` that sort after `after` (empty for the first page).
    pub async fn list_page(&self, prefix: &str, after: &str, limit: u16) -> Result<Vec<String>, HostError> {
        let args = pb::StorageListPageArgs {
            prefix: prefix.to_owned(),
            after: after.to_owned(),
            limit: i32::from(limit),
            txn: self.txn.clone(),
        };
        let reply = answer("storage list", self.client.clone().list_page(args).await)?;
        checked("storage list", &reply.err).map(|()| reply.keys)
    }

    pub(crate) async fn begin(&self) -> Result<Transaction, HostError> {
        let reply = answer("storage begin", self.client.clone().begin_tx(pb::Empty {}).await)?;
        checked("storage begin", &reply.err)?;
        Ok(Transaction { storage: Self { client: self.client.clone(), txn: reply.txn }, open: true })
    }
}

/// Reads and writes that happen together or not at all. Dropped without a commit, it is rolled back.
#[derive(Debug)]
pub struct Transaction {
    storage: Storage,
    open: bool,
}

impl Transaction {
    /// Makes all writes of the transaction real, or none of them, as when another writer was faster
    /// ([`HostError::is_conflict`]).
    pub async fn commit(mut self) -> Result<(), HostError> {
        self.open = false;
        let (mut client, args) = self.end();
        checked("storage commit", &answer("storage commit", client.commit(args).await)?.err)
    }

    /// Forgets all writes of the transaction.
    pub async fn rollback(mut self) -> Result<(), HostError> {
        self.open = false;
        let (mut client, args) = self.end();
        checked("storage rollback", &answer("storage rollback", client.rollback(args).await)?.err)
    }

    fn end(&self) -> (StorageClient<Channel>, pb::StorageTxArgs) {
        (self.storage.client.clone(), pb::StorageTxArgs { txn: self.storage.txn.clone() })
    }
}

impl Deref for Transaction {
    type Target = Storage;

    fn deref(&self) -> &Storage {
        &self.storage
    }
}

impl Drop for Transaction {
    // A transaction that nobody ends stays open in the host, which keeps its memory.
    fn drop(&mut self) {
        if let (true, Ok(runtime)) = (self.open, Handle::try_current()) {
            let (mut client, args) = self.end();
            drop(runtime.spawn(async move { client.rollback(args).await }));
        }
    }
}

/// The transport's answer, or why there is none.
pub(crate) fn answer<T>(
    call: &'static str,
    reply: Result<tonic::Response<T>, tonic::Status>,
) -> Result<T, HostError> {
    match reply {
        Ok(reply) => Ok(reply.into_inner()),
        Err(status) if status.message().contains(READ_ONLY) => Err(HostError::ReadOnly),
        Err(status) => Err(HostError::Unreachable { call, message: status.message().to_owned() }),
    }
}

/// The host's own word in an answer.
pub(crate) fn checked(call: &'static str, error: &str) -> Result<(), HostError> {
    match error {
        "" => Ok(()),
        READ_ONLY => Err(HostError::ReadOnly),
        message => Err(HostError::Refused { call, message: message.to_owned() }),
    }
}

/// `logical.ErrReadOnly`: core compares this text to decide whether to forward a request.
const READ_ONLY: &str = "cannot write to readonly storage";

/// The host allows messages of 2 GiB; tonic's own 4 MiB would refuse large secrets.
pub(crate) const MAX_MESSAGE: usize = 0x7fff_ffff;
