//! The enforcer's part in our protection: the hand-shake, what it promises, and what becomes of it.
//!
//! Before anything else is read ([`begin`]) we ask the enforcer on this machine to tag us, execute ourselves anew, so that no
//! file of our memory that somebody opened before shows the new one, and ask whether all is well. Whether this is the first
//! life or the second one the enforcer knows; nothing of the environment says so. Every process of ours inherits the tag by
//! `fork(2)`. The line is kept: its end tells that the enforcer has gone, whose hooks go on without it ([`Watch`]).
//!
//! Trusted: who listens on the enforcer's socket; whoever can put another one there is root before there is an enforcer.
//! Untrusted: that it is there, that it answers, and that it enforces: the matrix says what an attack has proved.

mod answer;
mod bond;
mod life;
mod watch;

use std::env;
use std::path::PathBuf;

pub use bond::Bond;
pub(crate) use bond::NOBODY;

#[cfg(test)]
pub(crate) use answer::tests;
pub use answer::{Holes, Shortfall};
pub(crate) use answer::{Strength, find, strength, weakest};
pub use watch::Watch;

use crate::config::Enforcement;

/// How far the enforcer protects us.
#[derive(Debug)]
pub enum Enforcer {
    /// It was not to be asked.
    Off,
    /// It does not, and why.
    Absent(String),
    /// It has tagged us, and looked.
    Bound(Bond),
}

/// Asks the enforcer, and executes this program anew where it has tagged us; comes back in the second life, or in the first
/// where there is no enforcer. To be called first of all, with one thread.
pub fn begin() -> Enforcer {
    match Enforcement::from_word(env::var_os("CLOUDTASER_ENFORCER").as_deref()) {
        // What is no word of ours is told with all other problems, before anything is fetched.
        Some(Enforcement::Off) => Enforcer::Off,
        _ => life::begin(&socket()).map_or_else(Enforcer::Absent, Enforcer::Bound),
    }
}

fn socket() -> PathBuf {
    let named = env::var_os("CLOUDTASER_ENFORCER_SOCKET").filter(|path| !path.is_empty());
    named.map_or_else(|| PathBuf::from(protocol::enforcer::SOCKET), PathBuf::from)
}

impl Enforcer {
    /// What is missing of what `CLOUDTASER_ENFORCER=required` asks for; none where nothing is.
    #[must_use]
    pub fn shortfall(&self) -> Option<Shortfall> {
        match self {
            Self::Off => Some(Shortfall::Absent("switched off".to_owned())),
            Self::Absent(why) => Some(Shortfall::Absent(why.clone())),
            Self::Bound(bond) => answer::shortfall(bond.matrix()),
        }
    }

    /// What it promises, or why there is nothing that it could.
    pub(crate) fn promised(&self) -> Result<&Bond, &str> {
        match self {
            Self::Off => Err("switched off: CLOUDTASER_ENFORCER"),
            Self::Absent(why) => Err(why),
            Self::Bound(bond) => Ok(bond),
        }
    }
}
