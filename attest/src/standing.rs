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
use crate::{Crypto, Digest, Machine, Platform, Policy, UnixTime};

/// Knows machines: a verifier's store, or the standing that a record holds.
pub trait Known: fmt::Debug + Sync {
    /// What is known that may concern this one.
    fn standing(&self, whom: &Whom) -> Standing;
}

/// A machine that asks under a policy, by the names that a [`Subject`] may have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Whom {
    /// [`Machine::hardware_name`].
    pub hardware: Option<Digest<32>>,
    /// [`Machine::instance_name`].
    pub instance: Option<Digest<32>>,
    /// What was measured, hex.
    pub measurement: String,
    /// The product line.
    pub product: String,
    /// Which hardware spoke.
    pub platform: Platform,
    /// The policy's name.
    pub policy: String,
    /// Its version.
    pub policy_version: u64,
    /// SHA-256 of its text.
    pub policy_digest: Digest<32>,
}

impl Whom {
    /// This machine, under this policy.
    #[must_use]
    pub fn of(crypto: &dyn Crypto, machine: &Machine, policy: &Policy) -> Self {
        Self {
            hardware: machine.hardware_name(crypto),
            instance: machine.instance_name(crypto),
            measurement: machine.measurement.clone(),
            product: machine.product.clone(),
            platform: machine.platform,
            policy: policy.name().to_owned(),
            policy_version: policy.version(),
            policy_digest: policy.digest(),
        }
    }
}

/// What is known of the one who asks.
#[derive(Clone, Debug, Default, Eq, PartialEq, Encode, Decode)]
pub struct Standing {
    /// Revocations and failures that may concern the machine.
    #[n(0)]
    pub bars: Vec<Bar>,
}

/// One reason not to admit a machine, whatever its evidence says.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bar {
    /// Whom it concerns.
    #[n(0)]
    pub subject: Subject,
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

/// Whom a bar concerns.
#[derive(
    Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Encode, Decode, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Subject {
    /// Everything on this hardware: [`Machine::hardware_name`].
    #[n(0)]
    Chip(#[n(0)] Digest<32>),
    /// This running guest, enclave or enrolled node: [`Machine::instance_name`].
    #[n(1)]
    Node(#[n(0)] Digest<32>),
    /// Everything with this measurement, hex.
    #[n(2)]
    Measurement(#[n(0)] String),
    /// Everything that a policy admits by an edition up to this one.
    #[n(3)]
    Policy {
        /// The policy's name.
        #[n(0)]
        name: String,
        /// The last version that is concerned.
        #[n(1)]
        up_to: u64,
    },
    /// A product line: `milan`, `fmspc 90c06f000000`.
    #[n(4)]
    Product(#[n(0)] String),
    /// A whole platform.
    #[n(5)]
    Platform(#[n(0)] Platform),
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
    pub(crate) fn ask(&self, whom: &Whom, checks: &mut Checks) {
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
    fn standing(&self, _whom: &Whom) -> Standing {
        self.clone()
    }
}

impl Bar {
    /// Whether it bars this machine.
    #[must_use]
    pub fn concerns(&self, whom: &Whom) -> bool {
        self.under.is_none_or(|policy| policy == whom.policy_digest) && self.subject.is(whom)
    }
}

impl Subject {
    /// Whether this machine, asking under this policy, is meant.
    #[must_use]
    pub fn is(&self, whom: &Whom) -> bool {
        match self {
            Self::Chip(name) => whom.hardware.as_ref() == Some(name),
            Self::Node(name) => whom.instance.as_ref() == Some(name),
            Self::Measurement(measurement) => whom.measurement.eq_ignore_ascii_case(measurement),
            Self::Policy { name, up_to } => whom.policy == *name && whom.policy_version <= *up_to,
            Self::Product(product) => whom.product == *product,
            Self::Platform(platform) => whom.platform == *platform,
        }
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

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chip(name) => write!(f, "chip {name}"),
            Self::Node(name) => write!(f, "node {name}"),
            Self::Measurement(measurement) => write!(f, "measurement {measurement}"),
            Self::Policy { name, up_to } => write!(f, "policy {name} up to version {up_to}"),
            Self::Product(product) => write!(f, "product {product}"),
            Self::Platform(platform) => write!(f, "platform {platform}"),
        }
    }
}

const ASKED: [(Cause, &str, &str); 2] = [
    (Cause::Revoked, "standing.revoked", "no revocation of this machine"),
    (Cause::Failed, "standing.failed", "no failure of this machine that nobody has looked at"),
];
