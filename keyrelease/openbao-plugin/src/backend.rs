//! What a plugin author writes: one [`Backend`] per mount.
//!
//! OpenBao runs one process for all mounts of the same plugin and version; each mount is an
//! instance, made by the factory from its [`Config`] and dropped after [`Backend::cleanup`].
//! During a reload the old and the new instance of a mount live at the same time.
//!
//! Trusted: OpenBao, which is the only peer (mutual TLS). Untrusted: what a caller put in a request.

use std::collections::BTreeMap;
use std::future::Future;

use crate::{Error, Host, Request, Response};

/// A secrets engine or an auth method.
pub trait Backend: Send + Sync + 'static {
    /// Which of the two catalogues this plugin belongs to.
    fn kind(&self) -> Kind;

    /// Paths with rules of their own. Read once per mount or reload.
    fn special_paths(&self) -> SpecialPaths;

    /// Answers one request.
    ///
    /// Each node of a cluster has instances of its own and any of them may be asked, so what must be
    /// remembered belongs into storage, and a challenge must not need to be remembered.
    /// A call may run twice for one call of a client (the host retries when a process died, and a
    /// standby forwards what it could not write), so handlers must be idempotent. Creations arrive as
    /// [`Operation::Update`](crate::Operation::Update). `None` is 404 for a read and 204 for a write.
    /// The future is dropped when the caller goes away. A panic is answered with 500 and the
    /// process lives on.
    fn handle(
        &self,
        request: Request,
        host: &Host,
    ) -> impl Future<Output = Result<Option<Response>, Error>> + Send;

    /// Whether only the active node may answer.
    ///
    /// What a standby has read may be a moment old. A standby that is asked here and hears yes has the active
    /// node answer ([`Error::ReadOnly`]) before [`Backend::handle`] sees the request: so a caller who was just
    /// told that something is stored is not told by another node that it is missing, and no work is done twice.
    /// The default has a handler find out when it writes.
    fn needs_active_node(&self, _request: &Request) -> bool {
        false
    }

    /// The one spelling of `path`, asked before the policy check and before [`Backend::handle`].
    ///
    /// Policy and handler must see the same object, so either refuse all spellings but one here
    /// (an error other than "unsupported path" fails the request) or name the one to use instead.
    /// The default keeps the path: right for a plugin whose paths are case-sensitive and literal.
    fn spelling(&self, _path: &str) -> Result<Spelling, Error> {
        Ok(Spelling::Canonical)
    }

    /// Called once after mount, unseal or reload, on standbys too: a write that fails with
    /// [`Error::ReadOnly`] there must not be fatal. An error fails the mount.
    fn initialize(&self, _host: &Host) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }

    /// The host's rollback tick, about once a minute: a place to collect garbage.
    fn tick(&self, _host: &Host) -> impl Future<Output = Result<(), Error>> + Send {
        async { Ok(()) }
    }

    /// Another node wrote `key`: forget what was cached of it.
    fn invalidate(&self, _key: &str) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// The mount goes away or is reloaded.
    fn cleanup(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// The catalogue a plugin is registered in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A secrets engine.
    Secret,
    /// An auth method.
    Auth,
}

/// Paths with rules of their own: exact, or a prefix (`x/*`), or with `+` for one segment.
#[derive(Clone, Debug, Default)]
pub struct SpecialPaths {
    /// Need a token with the `sudo` capability.
    pub root: Vec<String>,
    /// Need no token. A secrets engine may return data there, never a lease or a token.
    pub unauthenticated: Vec<String>,
    /// Storage prefixes that are not replicated to other clusters.
    pub local_storage: Vec<String>,
}

/// The answer to "is this the one spelling of the path?"
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Spelling {
    /// The path as it came is the one spelling.
    Canonical,
    /// Policy and handler shall both see this path instead.
    Instead(String),
}

/// What OpenBao says about a mount when it makes an instance.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The mount's options (`bao secrets enable -options=k=v`) and the plugin's name and version.
    pub options: BTreeMap<String, String>,
    /// The mount's UUID; empty while the plugin is only being registered.
    pub mount_uuid: String,
}
