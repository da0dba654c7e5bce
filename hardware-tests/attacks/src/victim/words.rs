//! What is said on the line between a victim and who started it: numbered orders and reports, one JSON packet each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Outcome;

/// What a victim is told to do.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case")]
pub enum Order {
    /// Protect yourself (or not), and take hold of your secrets. Answered by [`Report::Held`] or [`Report::Refused`].
    Settle {
        /// Where the enforcer listens; none: stay bare.
        socket: Option<String>,
        /// Whether to be executed anew in between, as the wrapper is.
        anew: bool,
    },
    /// Take hold of your secrets now, before settling.
    Hold {},
    /// Say what was written into your memory. Answered by [`Report::Seen`].
    Look {},
    /// Send a descriptor along with the answer.
    Pass {
        /// `secret` or `memfd`.
        which: String,
    },
    /// Make a system call with these numbers. Answered by [`Report::Done`] or [`Report::Failed`].
    Call {
        /// Its number.
        number: i64,
        /// Its arguments.
        words: Vec<i64>,
    },
    /// Ask to be traced by your parent, and stop.
    TraceMe {},
    /// Send yourself this signal, as a crash does.
    Crash {
        /// Its number.
        signal: i32,
    },
    /// Do what the module `inside` knows by this name. Answered by [`Report::Done`], [`Report::Told`] or [`Report::Failed`].
    Inside {
        /// What.
        name: String,
        /// With what.
        argument: String,
    },
}

/// What it answers.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "kebab-case")]
pub enum Report {
    /// Started, and waiting for orders.
    Ready {},
    /// Holds its secrets.
    Held(Box<Held>),
    /// The enforcer did not protect it: why.
    Refused {
        /// Its words.
        why: String,
    },
    /// What is in its scratch memory, as text up to the first zero.
    Seen {
        /// The text.
        scratch: String,
    },
    /// Done; what the call answered.
    Done {
        /// The number.
        value: i64,
    },
    /// Done; what came of it.
    Told {
        /// In words.
        what: String,
    },
    /// A call failed.
    Failed {
        /// The error's number.
        errno: i32,
    },
}

impl Report {
    /// What was done, in words; a call that failed, or any other answer, ends the attempt.
    pub fn done(self) -> Result<String, Outcome> {
        if let Self::Failed { errno } = self {
            return Err(Outcome::Denied(errno));
        }
        if let Self::Done { value } = self {
            return Ok(value.to_string());
        }
        if let Self::Told { what } = self {
            return Ok(what);
        }
        Err(Outcome::nothing(format!("the victim said {self:?}")))
    }
}

/// What a victim holds, and where.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// The process.
    pub pid: i32,
    /// A thread beside its first one.
    pub thread: i32,
    /// A child of its.
    pub child: i32,
    /// In `memfd_secret`; none where the kernel has none.
    pub secret: Option<Place>,
    /// In ordinary memory.
    pub memory: Place,
    /// In an ordinary memfd.
    pub memfd: Place,
    /// In System V shared memory; the descriptor is its number.
    pub shared: Option<Place>,
    /// In its environment, as the value of [`super::CANARY`].
    pub environment: String,
    /// The name spaces it has of its own, as `/proc/self/ns` links to them.
    pub spaces: BTreeMap<String, String>,
    /// The address of a page of zeros for others to write to.
    pub scratch: u64,
}

/// One canary.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Its value.
    pub canary: String,
    /// Where it begins in the victim's memory.
    pub address: u64,
    /// The descriptor's number in the victim, or -1.
    pub descriptor: i32,
}

/// A packet: the number of the order, and the words.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Packet<T> {
    pub(super) number: u32,
    pub(super) words: T,
}
