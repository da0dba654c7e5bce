//! What a recall found, in one order for one log.

use std::collections::BTreeSet;

use super::entry::{Kind, PolicyRef, SecretRef, Subject};
use super::names::{DecisionId, Measurement, SaltedName, Text};
use crate::{Digest, Platform, UnixTime};

/// What a recall found: who was given what, until when.
#[derive(Clone, Debug, Default, Eq, PartialEq, serde::Serialize)]
pub struct Report {
    /// What was recalled.
    pub selector: String,
    /// How many entries were looked at.
    pub entries: u64,
    /// How many admissions were selected.
    pub admissions: u64,
    /// How many releases of secrets.
    pub releases: u64,
    /// How many renewals.
    pub renewals: u64,
    /// How many refusals, which released nothing.
    pub refusals: u64,
    /// The first second at which nothing of it holds any more.
    pub valid_until: Option<UnixTime>,
    /// To whom, in the order of their facts.
    pub recipients: Vec<Released>,
    /// What, in the order of the salted names.
    pub secrets: Vec<Secret>,
    /// Every decision that was selected, in the order of the log.
    pub decisions: Vec<Selected>,
}

/// A machine, as far as the log knows it.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd, serde::Serialize)]
pub struct Recipient {
    /// The platform.
    pub platform: Option<Platform>,
    /// The product line.
    pub product_line: Option<Text<64>>,
    /// SHA-256 of the hardware's stable id.
    pub hardware: Option<Digest<32>>,
    /// SHA-256 of the instance's id.
    pub instance: Option<Digest<32>>,
    /// What was measured.
    pub measurement: Option<Measurement>,
}

impl Recipient {
    pub(super) fn of(subject: &Subject) -> Self {
        Self {
            platform: subject.platform,
            product_line: subject.product_line.clone(),
            hardware: subject.hardware,
            instance: subject.instance,
            measurement: subject.measurement.clone(),
        }
    }
}

/// A machine and what it was given.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Released {
    /// Which machine.
    #[serde(flatten)]
    pub recipient: Recipient,
    /// What it was given.
    #[serde(flatten)]
    pub granted: Granted,
}

/// What one machine was given.
#[derive(Clone, Debug, Default, Eq, PartialEq, serde::Serialize)]
pub struct Granted {
    /// How many releases of secrets.
    pub releases: u64,
    /// Which secrets, in which versions.
    pub secrets: BTreeSet<SecretRef>,
    /// Which policies admitted it.
    pub policies: BTreeSet<PolicyRef>,
    /// When it was first given something.
    pub first: Option<UnixTime>,
    /// When it was last given something.
    pub last: Option<UnixTime>,
    /// The first second at which nothing of it holds any more.
    pub valid_until: Option<UnixTime>,
}

/// A secret and how far it went.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Secret {
    /// The salted hash of its name.
    pub name: SaltedName,
    /// How far it went.
    #[serde(flatten)]
    pub exposed: Exposed,
}

/// How far one secret went.
#[derive(Clone, Debug, Default, Eq, PartialEq, serde::Serialize)]
pub struct Exposed {
    /// How often it was released.
    pub releases: u64,
    /// In which versions.
    pub versions: BTreeSet<u64>,
    /// The first second at which no release of it holds any more.
    pub valid_until: Option<UnixTime>,
}

/// One decision that a recall concerns.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Selected {
    /// The entry.
    pub index: u64,
    /// When it was decided.
    pub at: UnixTime,
    /// What kind.
    pub kind: Kind,
    /// Its id.
    pub decision: DecisionId,
    /// What was asked for.
    pub request: Text<512>,
    /// Which secret.
    pub secret: Option<SecretRef>,
    /// The first second at which it no longer holds.
    pub valid_until: Option<UnixTime>,
}
