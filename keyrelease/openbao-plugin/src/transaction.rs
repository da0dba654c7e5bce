//! Transactions, and why none of their writes goes astray.
//!
//! The host takes a write of a transaction that it does not know any more for one outside of any transaction. So a call
//! that was begun is finished, whatever becomes of its caller; a transaction ends only when none of its calls is under
//! way; and nothing is sent for one that has ended. One that was begun is ended in any case: the host keeps its memory,
//! and raft a lock, for as long as it is open.
//!
//! Trusted: the host's answers.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::RwLock;
use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::storage::{answer, checked};
use crate::wire::pb;
use crate::wire::pb::storage_client::StorageClient;
use crate::{HostError, Storage};

/// Reads and writes that happen together or not at all. Dropped without a commit, it is rolled back.
#[derive(Debug)]
pub struct Transaction {
    storage: Storage,
    calls: Calls,
    open: bool,
}

/// The calls of one transaction.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    /// The host's name for the transaction.
    pub(crate) txn: Arc<str>,
    /// Whether it has ended. Calls hold it for reading, its end holds it for writing.
    ended: Arc<RwLock<bool>>,
}

impl Transaction {
    pub(crate) async fn begin(mut client: StorageClient<Channel>) -> Result<Self, HostError> {
        let reply = answer("storage begin", client.begin_tx(pb::Empty {}).await)?;
        checked("storage begin", &reply.err)?;
        let calls = Calls { txn: reply.txn.into(), ended: Arc::default() };
        let storage = Storage { client, calls: Some(calls.clone()) };
        Ok(Self { storage, calls, open: true })
    }

    /// Writes all these keys side by side, which takes as long as one of them; a key without a value is deleted.
    /// Returns when all have an answer.
    pub async fn write(&self, writes: BTreeMap<String, Option<Vec<u8>>>) -> Result<(), HostError> {
        let write = |(key, value): (String, Option<Vec<u8>>)| {
            let storage = self.storage.clone();
            tokio::spawn(async move {
                match value {
                    Some(value) => storage.put(&key, value).await,
                    None => storage.delete(&key).await,
                }
            })
        };
        let under_way: Vec<_> = writes.into_iter().map(write).collect();
        let mut result = Ok(());
        for one in under_way {
            result = result.and(one.await.unwrap_or_else(|why| Err(lost("storage write", &why))));
        }
        result
    }

    /// Makes all writes of the transaction real, or none of them, as when another writer was faster
    /// ([`HostError::is_conflict`]).
    pub async fn commit(mut self) -> Result<(), HostError> {
        self.open = false;
        let (mut client, args) = self.end();
        let committed = self.calls.end("storage commit", async move { client.commit(args).await });
        checked("storage commit", &committed.await?.err)
    }

    /// Forgets all writes of the transaction.
    pub async fn rollback(mut self) -> Result<(), HostError> {
        self.open = false;
        let (mut client, args) = self.end();
        let rolled_back = self.calls.end("storage rollback", async move { client.rollback(args).await });
        checked("storage rollback", &rolled_back.await?.err)
    }

    fn end(&self) -> (StorageClient<Channel>, pb::StorageTxArgs) {
        (self.storage.client.clone(), pb::StorageTxArgs { txn: self.calls.txn.to_string() })
    }
}

impl Calls {
    /// Makes a call, unless the transaction has ended.
    pub(crate) async fn make<T: Send + 'static>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<Response<T>, Status>> + Send + 'static,
    ) -> Result<T, HostError> {
        let ended = Arc::clone(&self.ended);
        let made = tokio::spawn(async move {
            let ended = ended.read().await;
            if *ended { Err(late(name)) } else { answer(name, call.await) }
        });
        made.await.unwrap_or_else(|why| Err(lost(name, &why)))
    }

    /// Ends the transaction by this call, when the others have their answers.
    async fn end<T: Send + 'static>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<Response<T>, Status>> + Send + 'static,
    ) -> Result<T, HostError> {
        let ended = Arc::clone(&self.ended);
        let made = tokio::spawn(async move {
            let mut ended = ended.write().await;
            if *ended {
                return Err(late(name));
            }
            *ended = true;
            answer(name, call.await)
        });
        made.await.unwrap_or_else(|why| Err(lost(name, &why)))
    }
}

impl Deref for Transaction {
    type Target = Storage;

    fn deref(&self) -> &Storage {
        &self.storage
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let (true, Ok(runtime)) = (self.open, Handle::try_current()) {
            let ((mut client, args), calls) = (self.end(), self.calls.clone());
            drop(runtime.spawn(async move {
                calls.end("storage rollback", async move { client.rollback(args).await }).await
            }));
        }
    }
}

fn late(call: &'static str) -> HostError {
    HostError::Refused { call, message: "the transaction has ended".to_owned() }
}

/// The task of a call is gone: the process ends, or it panicked.
fn lost(call: &'static str, why: &tokio::task::JoinError) -> HostError {
    HostError::Unreachable { call, message: why.to_string() }
}
