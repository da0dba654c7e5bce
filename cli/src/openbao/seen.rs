//! What was asked of a server: seen, or why not.

/// Something that was asked for.
pub(crate) type Seen<T> = Result<T, Unseen>;

/// Why it was not seen.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Unseen {
    /// The token may not.
    #[error("not seen: this token may not read {path}")]
    Denied {
        /// What was asked.
        path: String,
    },
    /// The token may not change it, or have it done.
    #[error("not done: this token may not update {path}")]
    Forbidden {
        /// What was told.
        path: String,
    },
    /// The server answered with an error.
    #[error("not seen: {path} answered {status}: {text}")]
    Answered {
        /// What was asked.
        path: String,
        /// The HTTP status.
        status: u16,
        /// The server's words, printable and short.
        text: String,
    },
    /// The server answered with something else than its API promises.
    #[error("not seen: {path}: {why}")]
    Malformed {
        /// What was asked.
        path: String,
        /// What was wrong with the answer.
        why: String,
    },
    /// Nobody asked.
    #[error("not seen: {0}")]
    NotAsked(String),
    /// It was seen, and says neither yes nor no.
    #[error("{0}")]
    Unclear(String),
}
