//! What a plugin answers.
//!
//! Trusted: all of it; a plugin decides what a caller sees. [`Auth`] and [`Secret`] also come back
//! in a later [`Request`](crate::Request), for renewal and revocation.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

/// An answer to a request.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Response {
    /// What the caller gets to see.
    pub body: Body,
    /// A token to issue; only from an auth method.
    pub auth: Option<Auth>,
    /// A lease to register; only from a secrets engine, on an authenticated path.
    pub secret: Option<Secret>,
    /// Shown to the caller beside the data.
    pub warnings: Vec<String>,
    /// Wrap the response in a single-use token that lives this long.
    pub wrap_ttl: Option<Duration>,
}

impl Response {
    /// Data as OpenBao's usual JSON envelope.
    #[must_use]
    pub fn data(data: Map<String, Value>) -> Self {
        Self { body: Body::Data(data), ..Self::default() }
    }

    /// A body of any type and status, without the envelope.
    #[must_use]
    pub fn raw(status: u16, content_type: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self { body: Body::Raw { status, content_type: content_type.into(), bytes }, ..Self::default() }
    }

    /// A successful login.
    #[must_use]
    pub fn auth(auth: Auth) -> Self {
        Self { auth: Some(auth), ..Self::default() }
    }

    /// The keys below a prefix, as the answer to a list.
    #[must_use]
    pub fn keys(keys: Vec<String>) -> Self {
        Self::data(Map::from_iter([("keys".to_owned(), Value::from(keys))]))
    }

    /// Adds data to a login's answer, or replaces the body.
    #[must_use]
    pub fn with_data(self, data: Map<String, Value>) -> Self {
        Self { body: Body::Data(data), ..self }
    }

    /// Adds a lease.
    #[must_use]
    pub fn with_secret(self, secret: Secret) -> Self {
        Self { secret: Some(secret), ..self }
    }

    /// Adds a warning.
    #[must_use]
    pub fn with_warning(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    /// Has OpenBao wrap the answer.
    #[must_use]
    pub fn wrapped(self, ttl: Duration) -> Self {
        Self { wrap_ttl: Some(ttl), ..self }
    }
}

/// The two forms of an answer. Its `Debug` form shows sizes only.
#[derive(Clone)]
pub enum Body {
    /// JSON in OpenBao's envelope.
    Data(Map<String, Value>),
    /// Exactly these bytes. OpenBao refuses it together with a token or a lease.
    Raw {
        /// The HTTP status.
        status: u16,
        /// The media type.
        content_type: String,
        /// The body.
        bytes: Vec<u8>,
    },
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(data) => write!(formatter, "Data({} fields)", data.len()),
            Self::Raw { status, bytes, .. } => write!(formatter, "Raw({status}, {} bytes)", bytes.len()),
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::Data(Map::new())
    }
}

/// How long a token or a lease lives. The issue time is filled in on the way out.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Lease {
    /// Time to live; zero is the mount's default.
    pub ttl: Duration,
    /// The longest it may be renewed to; zero is the mount's maximum.
    pub max_ttl: Duration,
    /// Whether it may be renewed.
    pub renewable: bool,
    /// What a renewal asks for; zero in a response.
    pub increment: Duration,
}

/// A token to issue, or the one being renewed. Its `Debug` form leaves out the internal data.
#[derive(Clone, Default, PartialEq)]
pub struct Auth {
    /// How long it lives.
    pub lease: Lease,
    /// The policies it carries.
    pub policies: Vec<String>,
    /// Shown in the clear in the audit log with every request made with the token.
    pub metadata: BTreeMap<String, String>,
    /// Joined to the mount's path to make the token's display name.
    pub display_name: String,
    /// Who logged in. Needed for an entity; the name must be stable.
    pub alias: Option<Alias>,
    /// Groups of an outside directory that the caller belongs to.
    pub group_aliases: Vec<Alias>,
    /// Networks the token may be used from; empty is anywhere.
    pub bound_cidrs: Vec<String>,
    /// How often it may be used; zero is without limit.
    pub num_uses: u32,
    /// A periodic token's period; zero is none.
    pub period: Duration,
    /// A limit no renewal passes; zero is none.
    pub explicit_max_ttl: Duration,
    /// Service or batch.
    pub token_type: TokenType,
    /// The identity of a token that is being renewed; OpenBao fills it in at login.
    pub entity_id: String,
    /// Leaves out the `default` policy.
    pub no_default_policy: bool,
    /// Kept by OpenBao and given back on renewal; callers never see it.
    pub internal_data: Map<String, Value>,
}

impl fmt::Debug for Auth {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Auth")
            .field("lease", &self.lease)
            .field("policies", &self.policies)
            .field("metadata", &self.metadata)
            .field("alias", &self.alias)
            .field("token_type", &self.token_type)
            .finish_non_exhaustive()
    }
}

/// The kind of token.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TokenType {
    /// What the mount is tuned to.
    #[default]
    Default,
    /// Stored, renewable, revocable: several storage writes for each.
    Service,
    /// Not stored, not renewable, works on standbys.
    Batch,
}

/// An identity in a mount.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Alias {
    /// The accessor of the auth mount it belongs to; OpenBao fills it in at login.
    pub mount_accessor: String,
    /// Unique and stable within that mount.
    pub name: String,
    /// Facts about it; usable in policy templates, so no `/`, `+` or `*` in values.
    pub metadata: BTreeMap<String, String>,
}

/// A lease on what was given out. Its `Debug` form leaves out the internal data.
#[derive(Clone, Default)]
pub struct Secret {
    /// How long it lives.
    pub lease: Lease,
    /// Kept by OpenBao and given back on renewal and revocation; callers never see it.
    pub internal_data: Map<String, Value>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Secret").field("lease", &self.lease).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_out_is_not_in_debug_text() {
        let hidden = Map::from_iter([("password".to_owned(), Value::from("hunter2"))]);
        let response = Response::data(hidden.clone())
            .with_secret(Secret { internal_data: hidden.clone(), ..Secret::default() });
        let auth = Auth { internal_data: hidden, ..Auth::default() };
        let text =
            format!("{response:?} {auth:?} {:?}", Response::raw(200, "text/plain", b"hunter2".to_vec()));
        assert!(!text.contains("hunter2") && !text.contains("104, 117"), "{text}");
    }
}
