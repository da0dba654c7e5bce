//! What a backend may ask of OpenBao while it works on a request.
//!
//! One [`Host`] belongs to one instance: its storage is that mount's own, encrypted by OpenBao's
//! barrier. Work for the processor goes to [`Host::blocking`], because the thread that speaks with
//! OpenBao must stay free.
//!
//! Trusted: the host's answers.

use std::sync::Arc;

use tonic::transport::Channel;

use crate::pool::{Abandoned, Pool};
use crate::{Error, HostError, Storage, System, Transaction};

/// The host's side of one mount.
#[derive(Clone, Debug)]
pub struct Host {
    storage: Storage,
    system: System,
    pool: Arc<Pool>,
}

impl Host {
    pub(crate) fn new(channel: Channel, pool: Arc<Pool>) -> Self {
        Self { storage: Storage::new(channel.clone()), system: System::new(channel), pool }
    }

    /// The mount's storage.
    #[must_use]
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// What OpenBao knows about callers and about itself.
    #[must_use]
    pub fn system(&self) -> &System {
        &self.system
    }

    /// Starts a transaction on the mount's storage; it is rolled back unless committed.
    pub async fn transaction(&self) -> Result<Transaction, HostError> {
        self.storage.begin().await
    }

    /// Runs `job` on the pool for work that keeps a processor busy.
    ///
    /// A full queue is [`Error::busy`] at once. When the caller goes away, a job still in the queue
    /// never starts, and a running one can ask its [`Abandoned`]. A panic is an internal error.
    pub async fn blocking<T, F>(&self, job: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Abandoned) -> T + Send + 'static,
    {
        self.pool.run(job).await
    }
}
