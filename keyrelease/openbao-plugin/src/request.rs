//! What a caller asked, as OpenBao passes it on.
//!
//! Trusted: everything that OpenBao itself knows (mount, entity, accessor, addresses).
//! Untrusted: path, data and headers, which the caller chose.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::{Auth, Secret};

/// One request to a mount. Its `Debug` form leaves out data and headers.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Request {
    /// The id that the audit log shows.
    pub id: String,
    /// What to do.
    pub operation: Operation,
    /// The path below the mount, in the spelling that [`Backend::spelling`](crate::Backend::spelling) chose.
    pub path: String,
    /// The JSON body, or the query of a read.
    pub data: Map<String, Value>,
    /// Only those headers that the mount is tuned to pass (`passthrough_request_headers`).
    pub headers: BTreeMap<String, Vec<String>>,
    /// The caller's identity; empty without a token or with one that has no entity.
    pub entity_id: String,
    /// The token's display name, such as `approle` or `attest-node-1`.
    pub display_name: String,
    /// The token's accessor; empty without a token.
    pub client_token_accessor: String,
    /// Whether the call came without a token: the one field to decide that by.
    pub unauthenticated: bool,
    /// Where the mount is, such as `auth/attest/`.
    pub mount_point: String,
    /// The mount's accessor; OpenBao fills it on writes only.
    pub mount_accessor: String,
    /// The caller's address as OpenBao saw it, if it was sent.
    pub remote_addr: String,
    /// The TLS client certificates of the caller (DER, leaf first), as OpenBao's listener saw them.
    pub peer_certificates: Vec<Vec<u8>>,
    /// The time to live of the wrapping token, if the caller asked for response wrapping.
    pub wrap_ttl: Option<Duration>,
    /// The token being renewed.
    pub auth: Option<Auth>,
    /// The lease being renewed or revoked.
    pub secret: Option<Secret>,
}

impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Enough to find the call in the audit log, and nothing that a caller may hold secret.
        formatter
            .debug_struct("Request")
            .field("id", &self.id)
            .field("operation", &self.operation)
            .field("path", &self.path)
            .field("mount_point", &self.mount_point)
            .field("entity_id", &self.entity_id)
            .field("unauthenticated", &self.unauthenticated)
            .finish_non_exhaustive()
    }
}

/// What a request wants done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Operation {
    /// GET.
    #[default]
    Read,
    /// LIST.
    List,
    /// SCAN, a recursive list.
    Scan,
    /// POST or PUT, whether or not the object exists.
    Update,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
    /// Extend a lease (`secret` is set) or a token (`auth` is set, path `login`).
    Renew,
    /// Revoke a lease. It must succeed for what is already gone, or OpenBao repeats it for ever.
    Revoke,
    /// Name the role of a login, for quotas.
    ResolveRole,
    /// Name the alias of a login without logging in.
    AliasLookahead,
}
