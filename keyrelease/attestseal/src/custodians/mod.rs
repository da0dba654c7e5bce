//! The key from custodians: people who hold shares of it, and look at this machine before they send one.
//!
//! There is no second OpenBao. [`quorum`] decides what is collected, when it makes the key and how long the
//! key lives; `door` is the socket where custodians knock. Evidence comes from the node agent, over each
//! custodian's own nonce; this side verifies no one, because a wrong share is known by its digest.
//!
//! Trusted: the document of the set. Untrusted: whoever connects.

mod door;
pub mod quorum;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use custody::{BadSet, Custodians, SetId};
use openbao_plugin::{Blob, Plaintext, SealError, log};
use protocol::agent::EvidenceRequest;
use protocol::unseal::{Demand, Failure, Offer, Reply, Request, Share, context};
use release_client::agent;

use crate::config::CustodiansConfig;
use door::Door;
use quorum::{Error as QuorumError, Quorum};

/// A set of custodians, and the place where they are waited for.
#[derive(Debug)]
pub struct CustodianSeal {
    quorum: Arc<Mutex<Quorum>>,
    config: CustodiansConfig,
    name: String,
    _door: Door,
}

impl CustodianSeal {
    /// Reads the set's document and opens the socket.
    pub fn new(config: CustodiansConfig) -> Result<Self, Error> {
        let set = read(&config.custodians)?;
        let (id, name) = (set.id(), set.name.clone());
        let quorum = Arc::new(Mutex::new(Quorum::new(set, config.terms)?));
        let desk = Desk { quorum: Arc::clone(&quorum), set: id, agent_socket: config.agent_socket.clone() };
        let failed = |source| Error::Socket { path: config.socket.clone(), source };
        let door = Door::open(&config.socket, desk).map_err(failed)?;
        Ok(Self { quorum, config, name, _door: door })
    }

    pub(crate) fn description(&self) -> BTreeMap<String, String> {
        let socket = self.config.socket.display().to_string();
        let words = [("source", "custodians"), ("custodians", self.name.as_str()), ("socket", &socket)];
        words.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    pub(crate) fn key_id(&self) -> String {
        lock(&self.quorum).key_id()
    }

    pub(crate) fn init(&self) -> Result<(), SealError> {
        Ok(lock(&self.quorum).init(Instant::now())?)
    }

    pub(crate) fn encrypt(&self, plaintext: &[u8], aad: &[u8]) -> Result<Blob, SealError> {
        Ok(lock(&self.quorum).encrypt(plaintext, aad, Instant::now())?)
    }

    pub(crate) fn decrypt(&self, blob: &Blob, aad: &[u8]) -> Result<Plaintext, SealError> {
        Ok(lock(&self.quorum).decrypt(blob, aad, Instant::now())?)
    }
}

fn lock(quorum: &Mutex<Quorum>) -> MutexGuard<'_, Quorum> {
    quorum.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(path: &Path) -> Result<Custodians, Error> {
    let unreadable = |source| Error::Document { path: path.to_owned(), source };
    let one_more = u64::try_from(Custodians::MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = Vec::new();
    File::open(path).map_err(unreadable)?.take(one_more).read_to_end(&mut text).map_err(unreadable)?;
    Ok(Custodians::parse(&text)?)
}

/// Answers those who knock.
#[derive(Debug)]
pub(crate) struct Desk {
    quorum: Arc<Mutex<Quorum>>,
    set: SetId,
    agent_socket: PathBuf,
}

impl Desk {
    pub(crate) fn answer(&self, request: &Request) -> Reply {
        let answer = match request {
            Request::Evidence(demand) => self.evidence(demand),
            Request::Share(share) => self.take(share),
        };
        answer.unwrap_or_else(|failure| {
            log::warn("custodian not served", &[("code", &failure.code), ("why", &failure.message)]);
            Reply::Failed(failure)
        })
    }

    /// Forgets what has had its time.
    pub(crate) fn tidy(&self) {
        lock(&self.quorum).tidy(Instant::now());
    }

    fn evidence(&self, demand: &Demand) -> Result<Reply, Failure> {
        // The lock is not held while the hardware signs.
        let key = lock(&self.quorum).offer(Instant::now()).map_err(|error| failure(&error))?;
        let request = EvidenceRequest {
            version: protocol::agent::VERSION,
            nonce: demand.nonce,
            context: context(&self.set.0),
            key: key.clone(),
            platform: None,
        };
        let evidence = agent::evidence(&self.agent_socket, &request)
            .map_err(|error| Failure { code: "unseal.evidence".to_owned(), message: error.to_string() })?;
        Ok(Reply::Evidence(Offer { set: self.set.0, key, evidence }))
    }

    fn take(&self, share: &Share) -> Result<Reply, Failure> {
        let mut quorum = lock(&self.quorum);
        let progress = quorum.take(share, Instant::now()).map_err(|error| failure(&error))?;
        let name = quorum.name_of(share.custodian).to_owned();
        drop(quorum);
        log::info(
            "share taken",
            &[("custodian", &name), ("have", &progress.have), ("needed", &progress.needed)],
        );
        Ok(Reply::Taken(progress))
    }
}

fn failure(error: &QuorumError) -> Failure {
    Failure { code: error.code().to_owned(), message: error.to_string() }
}

/// Why nobody can be waited for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The document cannot be read.
    #[error("custodians: {}: {source}", path.display())]
    Document {
        /// Where it should be.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The document is none.
    #[error(transparent)]
    Set(#[from] BadSet),
    /// No socket.
    #[error("socket: {}: {source}", path.display())]
    Socket {
        /// Where it should be.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// No key to offer.
    #[error(transparent)]
    Quorum(#[from] QuorumError),
}
