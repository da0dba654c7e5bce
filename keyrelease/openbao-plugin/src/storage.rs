//! A mount's storage: keys with bytes, below a prefix that only this mount sees.
//!
//! Every write is in OpenBao's encrypted barrier before the call returns. On a standby a write is
//! [`HostError::ReadOnly`], which a handler passes on so that the active node does the work.
//!
//! Trusted: the host's answers.

use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::HostError;
use crate::transaction::{Calls, Transaction};
use crate::wire::pb;
use crate::wire::pb::storage_client::StorageClient;

/// Reads and writes, of a mount or of one transaction in it.
#[derive(Clone, Debug)]
pub struct Storage {
    pub(crate) client: StorageClient<Channel>,
    /// None outside of a transaction.
    pub(crate) calls: Option<Calls>,
}

impl Storage {
    pub(crate) fn new(channel: Channel) -> Self {
        let client = StorageClient::new(channel)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE);
        Self { client, calls: None }
    }

    /// The bytes under `key`, if there are any.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, HostError> {
        let args = pb::StorageGetArgs { key: key.to_owned(), txn: self.txn() };
        let mut client = self.client.clone();
        let reply = self.ask("storage get", async move { client.get(args).await }).await?;
        checked("storage get", &reply.err)?;
        Ok(reply.entry.map(|entry| entry.value))
    }

    /// Stores `value` under `key`.
    pub async fn put(&self, key: &str, value: Vec<u8>) -> Result<(), HostError> {
        let entry = pb::StorageEntry { key: key.to_owned(), value, seal_wrap: false };
        let args = pb::StoragePutArgs { entry: Some(entry), txn: self.txn() };
        let mut client = self.client.clone();
        let reply = self.ask("storage put", async move { client.put(args).await }).await?;
        checked("storage put", &reply.err)
    }

    /// Deletes `key`; deleting what is not there succeeds.
    pub async fn delete(&self, key: &str) -> Result<(), HostError> {
        let args = pb::StorageDeleteArgs { key: key.to_owned(), txn: self.txn() };
        let mut client = self.client.clone();
        let reply = self.ask("storage delete", async move { client.delete(args).await }).await?;
        checked("storage delete", &reply.err)
    }

    /// The names directly below `prefix` (empty, or ending in `/`); a name with children ends in `/`.
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>, HostError> {
        let args = pb::StorageListArgs { prefix: prefix.to_owned(), txn: self.txn() };
        let mut client = self.client.clone();
        let reply = self.ask("storage list", async move { client.list(args).await }).await?;
        checked("storage list", &reply.err).map(|()| reply.keys)
    }

    /// At most `limit` names below `prefix` that sort after `after` (empty for the first page).
    pub async fn list_page(&self, prefix: &str, after: &str, limit: u16) -> Result<Vec<String>, HostError> {
        let (prefix, after, limit) = (prefix.to_owned(), after.to_owned(), i32::from(limit));
        let args = pb::StorageListPageArgs { prefix, after, limit, txn: self.txn() };
        let mut client = self.client.clone();
        let reply = self.ask("storage list", async move { client.list_page(args).await }).await?;
        checked("storage list", &reply.err).map(|()| reply.keys)
    }

    /// Starts a transaction. It is ended also if the caller goes away before it has begun.
    pub(crate) async fn begin(&self) -> Result<Transaction, HostError> {
        let client = self.client.clone();
        let begun = tokio::spawn(Transaction::begin(client)).await;
        begun.unwrap_or_else(|why| {
            Err(HostError::Unreachable { call: "storage begin", message: why.to_string() })
        })
    }

    /// Makes a call; one of a transaction is finished also if the caller goes away meanwhile.
    async fn ask<T: Send + 'static>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<Response<T>, Status>> + Send + 'static,
    ) -> Result<T, HostError> {
        match &self.calls {
            Some(calls) => calls.make(name, call).await,
            None => answer(name, call.await),
        }
    }

    fn txn(&self) -> String {
        self.calls.as_ref().map(|calls| calls.txn.to_string()).unwrap_or_default()
    }
}

/// The transport's answer, or why there is none.
pub(crate) fn answer<T>(call: &'static str, reply: Result<Response<T>, Status>) -> Result<T, HostError> {
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
