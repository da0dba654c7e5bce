//! Why a request is not answered, and what status a caller gets for it.
//!
//! Each variant is one row of OpenBao's own table from plugin errors to HTTP. Messages travel to
//! the caller and to the log of the server: never put secret bytes in them.

use serde_json::{Map, Value};

/// A refusal or a fault.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// 400 with a message.
    #[error("{0}")]
    BadRequest(String),
    /// 400 with a message and a `data` object that gives the reason in a structured form.
    #[error("{message}")]
    Refused {
        /// The message in `errors`.
        message: String,
        /// The object in `data`.
        data: Map<String, Value>,
    },
    /// 403 with a message.
    #[error("{0}")]
    PermissionDenied(String),
    /// 404.
    #[error("unsupported path")]
    UnsupportedPath,
    /// 405.
    #[error("unsupported operation")]
    UnsupportedOperation,
    /// Any status from 401 to 507 with a message.
    #[error("{message}")]
    Coded {
        /// The HTTP status.
        status: u16,
        /// The message in `errors`.
        message: String,
    },
    /// 500 with a message.
    #[error("{0}")]
    Internal(String),
    /// This node must not write. OpenBao then sends the whole request to the active node, where
    /// the handler runs again; so never turn it into something else.
    #[error("cannot write to readonly storage")]
    ReadOnly,
}

impl Error {
    /// 503: the work queue is full.
    #[must_use]
    pub fn busy() -> Self {
        Self::Coded { status: 503, message: "too many requests at work, try again".to_owned() }
    }
}

/// Why a call to the host had no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// This node is a standby and must not write.
    #[error("cannot write to readonly storage")]
    ReadOnly,
    /// The host answered with an error.
    #[error("host refused {call}: {message}")]
    Refused {
        /// Which call.
        call: &'static str,
        /// The host's words.
        message: String,
    },
    /// The host did not answer.
    #[error("host unreachable for {call}: {message}")]
    Unreachable {
        /// Which call.
        call: &'static str,
        /// What the transport says.
        message: String,
    },
}

impl HostError {
    /// Whether a commit failed because another writer changed what the transaction had read or
    /// written. None of its writes happened; it may be done again from its beginning.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        // The words of memory and of raft storage; there is no number for it.
        matches!(self, Self::Refused { message, .. } if message == "transaction commit failed")
    }
}

impl From<HostError> for Error {
    fn from(error: HostError) -> Self {
        if error.is_conflict() {
            return Self::Coded { status: 409, message: "another writer was faster".to_owned() };
        }
        match error {
            HostError::ReadOnly => Self::ReadOnly,
            HostError::Refused { .. } | HostError::Unreachable { .. } => Self::Internal(error.to_string()),
        }
    }
}
