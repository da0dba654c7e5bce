//! Why nothing was brought, and what an operator is told about it.
//!
//! Never says anything of a value or a token.

use protocol::release::Refusal;
use protocol::secret::BadSecret;
use release_client::json::BadJson;
use release_client::{OpenBaoError, printable};

use crate::errand::Setback;
use crate::{keeper, say};

/// Why nothing was brought.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A sealed release, or a login by evidence.
    #[error(transparent)]
    Ask(#[from] release_client::Error),
    /// A login by a token of Kubernetes.
    #[error("logging in at {mount} as role {role}: {source}")]
    Login {
        /// The auth method.
        mount: String,
        /// The role.
        role: String,
        /// OpenBao's answer.
        source: OpenBaoError,
    },
    /// The token of Kubernetes.
    #[error(transparent)]
    Workload(#[from] release_client::WorkloadError),
    /// The environment brought no token.
    #[error("VAULT_TOKEN: not set, and VAULT_AUTH_METHOD is token")]
    NoToken,
    /// A token that cannot be renewed, and no way to another.
    #[error("the token has come to its end, and VAULT_AUTH_METHOD token has no other")]
    TokenEnds,
    /// A question with a token.
    #[error("{what}: {source}")]
    Path {
        /// What was asked for.
        what: String,
        /// OpenBao's answer.
        source: OpenBaoError,
    },
    /// It is not JSON as OpenBao writes it.
    #[error("{what}: malformed answer of OpenBao: {source}")]
    Malformed {
        /// What was asked for.
        what: String,
        /// What is wrong.
        source: BadJson,
    },
    /// Nothing that could be a secret.
    #[error("secret {0}: the answer has no data")]
    NoData(String),
    /// It was there.
    #[error("secret {path}: version {version} was deleted")]
    Deleted {
        /// The secret.
        path: String,
        /// Its last version.
        version: u64,
    },
    /// A secret without a field that the map names.
    #[error("secret {key} has no field {field}")]
    NoField {
        /// The secret.
        key: String,
        /// The field.
        field: String,
    },
    /// A C string ends at its first NUL byte.
    #[error("the value for {0} contains a NUL byte, an environment variable cannot hold it")]
    Nul(String),
    /// `MAX_ARG_STRLEN` of the kernel.
    #[error(
        "the value for {variable} has {found} bytes, an environment variable holds {most}: use FIELD=@{variable} for a file"
    )]
    TooLong {
        /// The variable.
        variable: String,
        /// The value's bytes.
        found: usize,
        /// What fits.
        most: usize,
    },
    /// More than a message can point to.
    #[error("more values than fit into 4 GiB")]
    TooMuch,
    /// A sealed secret that does not open.
    #[error(transparent)]
    Open(#[from] release_client::OpenError),
    /// Too little secret memory.
    #[error(transparent)]
    Memory(#[from] secretmem::Error),
    /// What opened is not in the format of secrets.
    #[error("released secret: {0}")]
    Secret(#[from] BadSecret),
}

/// What an outcome means to whoever waits for it.
enum Meaning {
    Refused,
    Configuration,
    Away,
    Unfit,
    NoMemory,
    Trouble,
}

impl Error {
    /// The judgement, where there was one.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        if let Self::Ask(error) = self { error.refusal() } else { None }
    }

    /// Whether asking again later may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.meaning(), Meaning::Away)
    }

    /// For the keeper.
    #[must_use]
    pub fn setback(&self) -> Setback {
        let meaning = self.meaning();
        let gone = matches!(
            self,
            Self::Deleted { .. } | Self::TokenEnds | Self::NoData(_) | Self::NoField { .. }
        ) || matches!(self, Self::Path { source, .. } | Self::Ask(release_client::Error::OpenBao(source)) if is_absent(source));
        let code = match meaning {
            Meaning::Refused => keeper::REFUSED,
            Meaning::Configuration => keeper::BAD_CONFIGURATION,
            Meaning::Away => keeper::NOT_REACHED,
            Meaning::Unfit => keeper::UNFIT,
            Meaning::NoMemory => keeper::UNPROTECTED,
            Meaning::Trouble => keeper::OUR_TROUBLE,
        };
        let refused = gone || matches!(meaning, Meaning::Refused);
        Setback { transient: matches!(meaning, Meaning::Away), refused, code }
    }

    fn meaning(&self) -> Meaning {
        match self {
            Self::Ask(error) if error.is_transient() => Meaning::Away,
            // Only a judgement refuses a release: whatever else is answered, nobody looked at the evidence.
            Self::Ask(error) if error.refusal().is_some() => Meaning::Refused,
            Self::Ask(release_client::Error::OpenBao(source)) if is_absent(source) => Meaning::Unfit,
            Self::Ask(release_client::Error::OpenBao(
                source @ (OpenBaoError::Authority(_) | OpenBaoError::Memory(_)),
            ))
            | Self::Login { source, .. }
            | Self::Path { source, .. } => openbao(source),
            Self::NoToken => Meaning::Configuration,
            Self::TokenEnds => Meaning::Refused,
            Self::NoData(_)
            | Self::Deleted { .. }
            | Self::NoField { .. }
            | Self::Nul(_)
            | Self::TooLong { .. }
            | Self::Secret(_) => Meaning::Unfit,
            Self::Memory(_) | Self::Open(release_client::OpenError::Memory(_)) => Meaning::NoMemory,
            Self::Ask(_) | Self::Workload(_) | Self::Malformed { .. } | Self::TooMuch | Self::Open(_) => {
                Meaning::Trouble
            }
        }
    }

    /// Tells everything that an operator needs, line by line.
    pub fn tell(&self) {
        say(self);
        for check in self.refusal().into_iter().flat_map(|refusal| &refusal.failing) {
            let [id, expected, found] =
                [&check.id, &check.expected, &check.found].map(|text| printable(text));
            say(format_args!("  {id}: expected {expected}, found {found}"));
        }
    }
}

/// There is no such secret, or not any more.
const fn is_absent(error: &OpenBaoError) -> bool {
    matches!(error, OpenBaoError::Answered { status: 404, .. })
}

fn openbao(error: &OpenBaoError) -> Meaning {
    match error {
        error if error.is_transient() => Meaning::Away,
        error if is_absent(error) => Meaning::Unfit,
        // KV is being moved to its second version, or an index is not yet where we asked (400 and 412): it passes.
        OpenBaoError::Answered { status: 412, .. } => Meaning::Away,
        OpenBaoError::Refused(_) | OpenBaoError::Answered { status: 400..=499, .. } => Meaning::Refused,
        OpenBaoError::Authority(_) => Meaning::Configuration,
        OpenBaoError::Memory(_) => Meaning::NoMemory,
        OpenBaoError::Unreachable(_)
        | OpenBaoError::Lacks(_)
        | OpenBaoError::Answered { .. }
        | OpenBaoError::Malformed(_)
        | OpenBaoError::TooLong { .. }
        | _ => Meaning::Trouble,
    }
}
