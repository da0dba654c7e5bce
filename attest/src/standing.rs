//! Standing: what the verifier knows of the one who asks, beside the evidence.
//!
//! Evidence says what a machine is now. A verifier may know more: that somebody revoked it, or that it failed under
//! this very policy before and nobody has reinstated it. Each is a [`Bar`]. A verifier may keep thousands: it is asked for
//! those that may concern one machine ([`Known`]); whether one does is decided here, so that a replay decides it again.
//!
//! Trusted: the bars, as much as the policy is. Untrusted: nothing is read here that was not verified before.

use std::fmt;

use minicbor::{Decode, Encode};

use crate::check::Checks;
use crate::log::{Selector, Subject};
use crate::node::{Endorsed, Proven};
use crate::workload::Presented;
use crate::{Digest, Node, UnixTime, protection};

/// Knows machines: a verifier's store, or the standing that a record holds.
pub trait Known: fmt::Debug + Sync {
    /// What is known that may concern this one.
    fn standing(&self, whom: &Subject) -> Standing;

    /// What is known of the name in which it asks. `None`: no register is kept, or none was asked.
    fn node(&self, _proven: &Proven) -> Option<Node> {
        None
    }

    /// An attestation key of a TPM that a manufacturer vouches for: its machine goes by its endorsement key.
    fn endorsed(&self) -> Option<&Endorsed> {
        None
    }
}

/// What is known of the one who asks.
#[derive(Clone, Debug, Default, Eq, PartialEq, Encode, Decode)]
pub struct Standing {
    /// Revocations and failures that may concern the machine.
    #[n(0)]
    pub bars: Vec<Bar>,
    /// The workload's token that came with the evidence.
    #[n(1)]
    pub workload: Option<Presented>,
    /// The register's word on the name in which it asks.
    #[n(2)]
    pub node: Option<Node>,
    /// The protection report that came with the evidence, and what is demanded of it.
    #[n(3)]
    pub protection: Option<protection::Presented>,
}

/// One reason not to admit a machine, whatever its evidence says.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bar {
    /// Whom it concerns.
    #[n(0)]
    pub subject: Selector,
    /// How it came to be.
    #[n(1)]
    pub cause: Cause,
    /// Why, in words: a ticket, or the checks that failed.
    #[n(2)]
    pub reason: String,
    /// Since when.
    #[n(3)]
    pub since: UnixTime,
    /// SHA-256 of the only policy text under which it holds. `None`: under every policy.
    #[n(4)]
    pub under: Option<Digest<32>>,
}

/// How a bar came to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cbor(index_only)]
pub enum Cause {
    /// Somebody revoked it.
    #[n(0)]
    Revoked,
    /// It failed, under an edition of a policy. Good evidence does not undo that: somebody has to look first.
    #[n(1)]
    Failed,
}

impl Standing {
    /// The checks on a machine that asks under `policy`.
    pub(crate) fn ask(&self, whom: &Subject, checks: &mut Checks) {
        for (cause, id, expected) in ASKED {
            let of_cause = self.bars.iter().filter(|bar| bar.cause == cause);
            let against: Vec<String> =
                of_cause.filter(|bar| bar.concerns(whom)).map(Bar::to_string).collect();
            let found = if against.is_empty() { "none is known".to_owned() } else { against.join("; ") };
            checks.ask(id, against.is_empty(), expected, found);
        }
    }
}

impl Known for Standing {
    fn standing(&self, _whom: &Subject) -> Standing {
        self.clone()
    }

    fn node(&self, _proven: &Proven) -> Option<Node> {
        self.node.clone()
    }

    fn endorsed(&self) -> Option<&Endorsed> {
        self.node.as_ref()?.endorsed.as_ref()
    }
}

impl Bar {
    /// Whether it bars this machine.
    #[must_use]
    pub fn concerns(&self, whom: &Subject) -> bool {
        let asked = whom.policy.as_ref().map(|policy| policy.digest);
        (self.under.is_none() || self.under == asked) && self.subject.selects(whom)
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = match self.cause {
            Cause::Revoked => "revoked",
            Cause::Failed => "failed",
        };
        write!(f, "{} {cause} at {}: {}", self.subject, self.since, self.reason)
    }
}

const ASKED: [(Cause, &str, &str); 2] = [
    (Cause::Revoked, "standing.revoked", "no revocation of this machine"),
    (Cause::Failed, "standing.failed", "no failure of this machine that nobody has looked at"),
];
