//! Why nothing is loaded.

use std::io;

use super::{TYPES, causes, hooks, pins};
use crate::btf;

/// Why nothing runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that has to be there.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The kernel's types cannot be read.
    #[error("{TYPES}: {0}")]
    Types(#[from] btf::Error),
    /// The maps do not load.
    #[error("loading {what}: {why}")]
    Load {
        /// Which.
        what: String,
        /// The kernel's answer.
        why: String,
    },
    /// The programs cannot be read, or identity cannot be kept.
    #[error(transparent)]
    Hooks(#[from] hooks::Error),
    /// Nothing can be pinned.
    #[error(transparent)]
    Pins(#[from] pins::Error),
    /// A map is not as the programs and we agreed.
    #[error("map {0} is not in the object")]
    Map(&'static str),
    /// A pinned map is another version's.
    #[error(
        "map {name} of an enforcer before this one has {what} {found}, expected {expected}: take that one away first"
    )]
    Version {
        /// Which.
        name: String,
        /// What differs.
        what: &'static str,
        /// As it is pinned.
        found: u32,
        /// As our programs want it.
        expected: u32,
    },
    /// Whose numbers they are is known to the kernel alone.
    #[error(
        "processes have other numbers here than for the kernel: expected the node's own name space (hostPID: true)"
    )]
    Numbers,
    /// What the kernel makes cannot be seen.
    #[error("procfs: {0}")]
    Procfs(io::Error),
    /// An enforcer runs elsewhere: two of them, each with its own.
    #[error(
        "map {0} is the policy of an enforcer whose pins are not where ours are to be: expected it to be taken over there, \
         or to end first"
    )]
    Elsewhere(u32),
    /// The kernel does not let us write a map.
    #[error("writing map {name}: {source}")]
    Write {
        /// Which.
        name: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    /// Whether another kernel, or more rights, would do; nothing that was said to us is wrong.
    pub(crate) const fn is_the_kernels(&self) -> bool {
        match self {
            Self::Types(_)
            | Self::Load { .. }
            | Self::Hooks(_)
            | Self::Write { .. }
            | Self::Numbers
            | Self::Procfs(_) => true,
            // Who waited would keep its own maps for as long, and who comes next from taking over.
            Self::Elsewhere(_) | Self::File { .. } | Self::Pins(_) | Self::Map(_) | Self::Version { .. } => {
                false
            }
        }
    }
}

/// What the kernel, or aya, does not do.
pub(crate) fn refused(what: &str, error: &dyn std::error::Error) -> Error {
    Error::Load { what: what.to_owned(), why: causes::line(error) }
}
