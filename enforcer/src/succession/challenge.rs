//! `challenge`: the statement that is to be signed, for this node as it is now.
//!
//! It needs nobody to run: what the enforcer drew lies in the kernel, where this program may read it if it is the enforcer's.

use std::io::{self, Write as _};

use clap::Args;

use sha2::{Digest as _, Sha256};

use crate::succession::glass::{Action, Statement};
use crate::succession::policy;

/// What is told.
#[derive(Args, Debug)]
pub struct Challenge {
    /// What shall be done.
    #[arg(long, value_enum)]
    pub action: Action,
    /// Why, for those who read the record.
    #[arg(long)]
    pub reason: String,
    /// The node's name, as the enforcer was told it; without it, the machine's own.
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// For how many minutes from now it is good.
    #[arg(long, default_value_t = 60)]
    pub minutes: u32,
}

/// Why there is no statement.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing to let go.
    #[error(transparent)]
    Policy(#[from] policy::Error),
    /// The statement would be for nobody.
    #[error(
        "expected the node's name as it was told when something was enforced first, found {0}: say it with --node"
    )]
    Name(String),
    /// Nobody reads it.
    #[error("writing it: {0}")]
    Unwritten(#[from] io::Error),
}

/// Writes it to standard output, one line; `now` is Unix time.
pub fn write(told: &Challenge, now: u64) -> Result<(), Error> {
    let (force, _map) = policy::in_force()?.ok_or(policy::Error::Nothing)?;
    let node = called(told.node.as_deref());
    if Sha256::digest(&node).as_slice() != force.node {
        return Err(Error::Name(node));
    }
    let statement = Statement {
        node,
        challenge: force.challenge,
        action: told.action,
        from: now,
        until: now.saturating_add(u64::from(told.minutes).saturating_mul(60)),
        reason: told.reason.clone(),
    };
    let line = serde_json::to_string(&statement).map_err(io::Error::other)?;
    Ok(writeln!(io::stdout(), "{line}")?)
}

/// What a node is called, if nobody says it.
pub(crate) fn called(told: Option<&str>) -> String {
    let own = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    told.map_or_else(own, str::to_owned)
}
