//! What the author of a seal writes: the holder of the key under which OpenBao keeps its own.
//!
//! A `seal` stanza in the server's configuration names the plugin; its settings come to the factory as
//! words. OpenBao has its root key encrypted when it is initialised and decrypted at each start, and
//! tries both on a few bytes every ten minutes. While decryption fails it stays sealed and asks again
//! every five seconds; the error is in its log.
//!
//! Trusted: OpenBao. Untrusted: a [`Blob`], which comes from storage that others may have written.

use std::collections::BTreeMap;
use std::process::ExitCode;

use tonic::service::Routes;

use crate::environment::Role;
use crate::process::Process;
use crate::seal_service::Service;
use crate::wire::metadata::metadata_server::MetadataServer;
use crate::wire::pb::wrapper_server::WrapperServer;

/// A configured seal. Its methods may wait for others: they run on threads of their own.
pub trait Seal: Send + Sync + 'static {
    /// The name of the seal, as in `seal "NAME"`. OpenBao stores it and refuses another one later.
    fn kind(&self) -> &'static str;

    /// What an operator is shown when the server starts. No secrets.
    fn description(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// Asked once when the server is initialised, before anything of worth is written. A seal that would fail
    /// later says so here. A storage of raft is set up by then, and must be emptied before the next attempt.
    fn init(&self) -> Result<(), SealError> {
        Ok(())
    }

    /// The id of the key that the last [`Seal::encrypt`] used. OpenBao encrypts first and asks then, and
    /// what it finds under another id it has decrypted and encrypted anew.
    fn key_id(&self) -> Result<String, SealError>;

    /// Encrypts. The plaintext is wiped by the caller.
    fn encrypt(&self, plaintext: &[u8], aad: &[u8]) -> Result<Blob, SealError>;

    /// Decrypts what [`Seal::encrypt`] made, under whatever key it says.
    fn decrypt(&self, blob: &Blob, aad: &[u8]) -> Result<Plaintext, SealError>;
}

/// Ciphertext as OpenBao stores it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Blob {
    /// The id of the key; at most a few dozen characters.
    pub key_id: String,
    /// A nonce, or what else the ciphertext needs.
    pub iv: Vec<u8>,
    /// The content's own key, wrapped; empty where there is none.
    pub wrapped_key: Vec<u8>,
    /// The ciphertext with its tag.
    pub ciphertext: Vec<u8>,
}

/// Decrypted bytes on their way to the host. They are not shown, and wiped when dropped.
pub struct Plaintext(pub Vec<u8>);

impl std::fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plaintext({} bytes)", self.0.len())
    }
}

impl Drop for Plaintext {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

/// Why a seal does not do it. The message goes to the server's log and to its standard error: no secrets.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Somebody judged, and said no.
    #[error("{0}")]
    Denied(String),
    /// It may be possible later.
    #[error("{0}")]
    Unavailable(String),
    /// The ciphertext is not ours, or was altered.
    #[error("{0}")]
    Invalid(String),
    /// Something else.
    #[error("{0}")]
    Internal(String),
}

/// What a KMS plugin is made of.
#[derive(Debug)]
pub struct SealPlugin<F> {
    factory: F,
    process: Process,
    sensitive: Vec<String>,
}

impl<F> SealPlugin<F> {
    /// A plugin whose `factory` makes a seal from the settings of its stanza. With an error the server
    /// does not start, and shows it.
    pub fn new(version: &'static str, factory: F) -> Self {
        let process = Process {
            role: Role::Kms,
            version,
            io_threads: 1,
            // OpenBao asks for one thing at a time, but for its tries of a few bytes.
            blocking_threads: 2,
            blocking_queue: 16,
        };
        Self { factory, process, sensitive: Vec::new() }
    }

    /// Names of settings whose values OpenBao shall not show.
    #[must_use]
    pub fn sensitive(self, names: &[&str]) -> Self {
        Self { sensitive: names.iter().map(|name| (*name).to_owned()).collect(), ..self }
    }
}

/// Serves the seal until OpenBao ends it; call it first and last in `main`, as [`serve`](crate::serve).
pub fn serve_seal<F, S>(plugin: SealPlugin<F>) -> ExitCode
where
    F: Fn(BTreeMap<String, String>) -> Result<S, String> + Send + Sync + 'static,
    S: Seal,
{
    let SealPlugin { factory, process, sensitive } = plugin;
    process.serve(|_broker, pool| {
        let service = Service::new(factory, pool, sensitive);
        Routes::new(WrapperServer::from_arc(std::sync::Arc::clone(&service)))
            .add_service(MetadataServer::from_arc(service))
    })
}
