//! What was seen of a server, as types: the answers of OpenBao's API, and what could not be had.
//!
//! Fields that a judgement needs have no default: an answer without them is malformed, and what hangs on it
//! is unknown. Fields that nobody judges are not read, because OpenBao's answers grow.
//!
//! Untrusted: all of it; a server describes itself.

use std::collections::BTreeMap;

use attest::UnixTime;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::openbao::Seen;

/// Everything that is judged.
#[derive(Debug)]
pub(crate) struct Facts {
    /// The name in which the questions were asked; none is the root namespace.
    pub(crate) namespace: Option<String>,
    pub(crate) now: UnixTime,
    pub(crate) health: Seen<Health>,
    /// Seconds by which the server's clock is ahead of ours, or behind.
    pub(crate) skew: Seen<i64>,
    pub(crate) tls: Tls,
    pub(crate) seal: Seen<Seal>,
    pub(crate) config: Seen<ServerConfig>,
    pub(crate) audit: Seen<BTreeMap<String, AuditDevice>>,
    pub(crate) tokens: Seen<Tokens>,
    /// By path, without a slash at the end; auth mounts have `auth/` in front.
    pub(crate) mounts: Seen<BTreeMap<String, Mount>>,
    pub(crate) plugins: Seen<Vec<Plugin>>,
    /// SHA-256 of the files of the plugin directory, if one was named.
    pub(crate) files: Seen<BTreeMap<String, String>>,
    /// The text of each policy, by name; `root` has none.
    pub(crate) policies: Seen<BTreeMap<String, String>>,
    pub(crate) quotas: Seen<Quotas>,
    pub(crate) raft: Seen<Vec<RaftServer>>,
    pub(crate) autopilot: Seen<Autopilot>,
    /// Bytes of swap that the machine has.
    pub(crate) swap: Seen<u64>,
}

/// `sys/health`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
pub(crate) struct Health {
    pub(crate) initialized: bool,
    pub(crate) sealed: bool,
    pub(crate) version: String,
    pub(crate) server_time_utc: u64,
}

/// `sys/seal-status`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[expect(clippy::struct_field_names, reason = "OpenBao's own names")]
pub(crate) struct Seal {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// How many shares open it, or give a recovery key.
    pub(crate) t: u64,
    /// How many there are.
    pub(crate) n: u64,
    pub(crate) recovery_seal: bool,
    /// Missing while the server is sealed in older versions.
    #[serde(default)]
    pub(crate) storage_type: Option<String>,
}

/// How the server speaks TLS.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Tls {
    /// Not at all.
    Plain,
    /// With a certificate, verified or not, and older versions refused or not.
    Encrypted {
        /// The verified certificate, or why it is not.
        certificate: Result<Certificate, String>,
        /// What it answers to a client that knows TLS 1.1 at best.
        old: OldTls,
    },
}

/// A certificate that was verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Certificate {
    pub(crate) not_after: UnixTime,
    /// The version that was spoken: `TLSv1_3`.
    pub(crate) version: String,
    /// Whether it was verified because nobody asked for less.
    pub(crate) skipped: bool,
}

/// The answer to a client that knows TLS 1.1 at best.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum OldTls {
    /// An alert: no such version.
    Refused,
    /// A server hello of this version.
    Accepted(&'static str),
    /// Something else.
    Unclear(String),
}

/// `sys/config/state/sanitized`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ServerConfig {
    pub(crate) listeners: Vec<Listener>,
    /// 0 is OpenBao's default, 768 hours.
    pub(crate) max_lease_ttl: u64,
    pub(crate) raw_storage_endpoint: bool,
    /// The other settings; which there are depends on the version.
    #[serde(flatten)]
    pub(crate) others: Map<String, Value>,
}

/// A listener, as it is configured.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Listener {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) config: Map<String, Value>,
}

/// An audit device.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct AuditDevice {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) options: Option<BTreeMap<String, String>>,
}

impl AuditDevice {
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.options.as_ref()?.get(name).map(String::as_str)
    }
}

/// The tokens of the server, by their accessors.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tokens {
    /// How many there are.
    pub(crate) all: usize,
    /// How many were looked at.
    pub(crate) looked_at: usize,
    /// Shortened accessors of those with the policy `root`.
    pub(crate) root: Vec<String>,
}

/// A mounted engine or auth method.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Mount {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) config: MountConfig,
    pub(crate) plugin_version: String,
    pub(crate) running_sha256: String,
}

/// How a mount is tuned.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct MountConfig {
    /// Seconds; 0 is the server's.
    pub(crate) max_lease_ttl: u64,
    #[serde(default)]
    pub(crate) audit_non_hmac_request_keys: Vec<String>,
    #[serde(default)]
    pub(crate) audit_non_hmac_response_keys: Vec<String>,
}

/// A plugin of the catalogue that OpenBao did not bring itself.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Plugin {
    /// `auth`, `secret` or `database`; the catalogue's list says it, its entries do not.
    #[serde(skip)]
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) sha256: String,
    pub(crate) command: String,
    #[serde(default)]
    pub(crate) args: Option<Vec<String>>,
    /// It stands in the server's configuration; missing in older versions.
    #[serde(default)]
    pub(crate) declarative: bool,
}

/// Rate limits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quotas {
    pub(crate) limits: Vec<RateLimit>,
    pub(crate) exempt: Vec<String>,
}

/// A rate limit.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RateLimit {
    pub(crate) name: String,
    /// None is everything.
    pub(crate) path: String,
    /// Only for logins with this role.
    #[serde(default)]
    pub(crate) role: String,
    pub(crate) rate: f64,
    pub(crate) interval: u64,
}

/// `sys/quotas/config`.
#[derive(Debug, Deserialize)]
pub(crate) struct QuotaConfig {
    #[serde(default)]
    pub(crate) rate_limit_exempt_paths: Option<Vec<String>>,
}

/// A node of the raft cluster.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RaftServer {
    pub(crate) voter: bool,
}

/// `sys/storage/raft/autopilot/state`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Autopilot {
    pub(crate) healthy: bool,
    pub(crate) failure_tolerance: u64,
    pub(crate) servers: BTreeMap<String, AutopilotServer>,
}

/// A node as autopilot sees it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct AutopilotServer {
    pub(crate) healthy: bool,
    pub(crate) version: String,
}
