//! A recall: what was released to a chip, a measurement, a policy's machines, and until when does it hold?
//!
//! [`Recall`] is shown every entry in order. An entry is selected by its own facts, or because it rests on a decision
//! that was. The report is the same for the same log, in a fixed order.
//!
//! Trusted: the entries, once [`super::Audit`] is through with their log. What a machine did with a secret that it
//! was given, no log knows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};

use super::entry::{DecisionId, Entry, Kind, Measurement, PolicyRef, SaltedName, SecretRef, Subject, Text};
use crate::{Digest, Platform, UnixTime};

/// What is recalled, or revoked.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Selector {
    /// One chip.
    Hardware(Digest<32>),
    /// One instance.
    Instance(Digest<32>),
    /// Everything that measured this.
    Measurement(Measurement),
    /// What this policy admitted, up to this version.
    Policy {
        /// Its name.
        name: Text<256>,
        /// The last version that is recalled.
        up_to: u64,
    },
    /// A vendor's product line.
    ProductLine(Text<64>),
    /// A platform.
    Platform(Platform),
}

impl Selector {
    /// Whether this subject is meant.
    #[must_use]
    pub fn selects(&self, subject: &Subject) -> bool {
        match self {
            Self::Hardware(id) => subject.hardware.as_ref() == Some(id),
            Self::Instance(id) => subject.instance.as_ref() == Some(id),
            Self::Measurement(measurement) => subject.measurement.as_ref() == Some(measurement),
            Self::Policy { name, up_to } => {
                subject.policy.as_ref().is_some_and(|policy| policy.name == *name && policy.version <= *up_to)
            }
            Self::ProductLine(line) => subject.product_line.as_ref() == Some(line),
            Self::Platform(platform) => subject.platform == Some(*platform),
        }
    }
}

impl FromStr for Selector {
    type Err = BadSelector;

    /// `hardware=HEX`, `instance=HEX`, `measurement=HEX`, `policy=NAME@VERSION`, `product-line=NAME` or
    /// `platform=NAME`.
    fn from_str(text: &str) -> Result<Self, BadSelector> {
        let bad = |expected: &'static str| BadSelector { expected, found: text.chars().take(120).collect() };
        let (what, value) = text.split_once('=').ok_or_else(|| bad(FORMS))?;
        let digest = || value.parse().map_err(|_why| bad("64 hex digits"));
        match what {
            "hardware" => digest().map(Self::Hardware),
            "instance" => digest().map(Self::Instance),
            "measurement" => value
                .parse()
                .map(Self::Measurement)
                .map_err(|_why| bad("a measurement of 1 to 64 bytes in hex")),
            "policy" => {
                let (name, version) = value.rsplit_once('@').ok_or_else(|| bad("policy=NAME@VERSION"))?;
                let up_to = version.parse().map_err(|_why| bad("a version in decimal"))?;
                let name = Text::new(name).map_err(|_why| bad("a name of at most 256 bytes"))?;
                Ok(Self::Policy { name, up_to })
            }
            "product-line" => {
                Text::new(value).map(Self::ProductLine).map_err(|_why| bad("a name of at most 64 bytes"))
            }
            "platform" => Platform::named(value).map(Self::Platform).ok_or_else(|| bad("a platform's name")),
            _ => Err(bad(FORMS)),
        }
    }
}

const FORMS: &str = "hardware=HEX, instance=HEX, measurement=HEX, policy=NAME@VERSION, product-line=NAME or \
                     platform=NAME";

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hardware(id) => write!(f, "hardware={id}"),
            Self::Instance(id) => write!(f, "instance={id}"),
            Self::Measurement(measurement) => write!(f, "measurement={measurement}"),
            Self::Policy { name, up_to } => write!(f, "policy={name}@{up_to}"),
            Self::ProductLine(line) => write!(f, "product-line={line}"),
            Self::Platform(platform) => write!(f, "platform={}", platform.name()),
        }
    }
}

impl<C> Encode<C> for Selector {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut minicbor::Encoder<W>,
        _context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.str(&self.to_string())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Selector {
    fn decode(
        decoder: &mut minicbor::Decoder<'b>,
        _context: &mut C,
    ) -> Result<Self, minicbor::decode::Error> {
        decoder.str()?.parse().map_err(minicbor::decode::Error::custom)
    }
}

impl serde::Serialize for Selector {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Selector {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'_, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that selects nothing.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected {expected}, found {found:?}")]
pub struct BadSelector {
    expected: &'static str,
    found: String,
}

/// A recall on its way.
#[derive(Clone, Debug)]
pub struct Recall {
    selector: Selector,
    /// Which decisions were selected, and for which machine.
    decisions: BTreeMap<DecisionId, Recipient>,
    report: Report,
    recipients: BTreeMap<Recipient, Granted>,
    secrets: BTreeMap<SaltedName, Exposed>,
}

impl Recall {
    /// A recall of what `selector` selects.
    #[must_use]
    pub fn of(selector: Selector) -> Self {
        let report = Report { selector: selector.to_string(), ..Report::default() };
        let (recipients, secrets) = (BTreeMap::new(), BTreeMap::new());
        Self { selector, decisions: BTreeMap::new(), report, recipients, secrets }
    }

    /// Looks at the next entry.
    pub fn see(&mut self, entry: &Entry) {
        let event = &entry.event;
        count(&mut self.report.entries);
        let rests_on = event.under.and_then(|under| self.decisions.get(&under)).cloned();
        if rests_on.is_none() && !self.selector.selects(&event.subject) {
            return;
        }
        match event.kind {
            Kind::Refusal => return count(&mut self.report.refusals),
            Kind::Admission | Kind::TokenRelease | Kind::Seal | Kind::Renewal | Kind::Emergency => {}
            Kind::Revocation | Kind::Reinstatement | Kind::Governance | Kind::CollateralImport => return,
        }
        let own = Recipient::of(&event.subject);
        let machine = if own == Recipient::default() { rests_on.unwrap_or(own) } else { own };
        self.decisions.insert(event.decision, machine.clone());
        self.grant(entry, machine);
    }

    fn grant(&mut self, entry: &Entry, machine: Recipient) {
        let (event, subject) = (&entry.event, &entry.event.subject);
        if event.kind == Kind::Admission {
            count(&mut self.report.admissions);
        }
        if event.kind == Kind::Renewal {
            count(&mut self.report.renewals);
        }
        self.report.valid_until = self.report.valid_until.max(subject.valid_until);
        let granted = self.recipients.entry(machine).or_default();
        granted.valid_until = granted.valid_until.max(subject.valid_until);
        granted.last = Some(event.at);
        granted.first = granted.first.or(Some(event.at));
        granted.policies.extend(subject.policy.clone());
        if let Some(secret) = &subject.secret {
            count(&mut self.report.releases);
            count(&mut granted.releases);
            granted.secrets.insert(secret.clone());
            let exposed = self.secrets.entry(secret.name).or_default();
            count(&mut exposed.releases);
            exposed.versions.insert(secret.version);
            exposed.valid_until = exposed.valid_until.max(subject.valid_until);
        }
        self.report.decisions.push(Selected {
            index: entry.index,
            at: event.at,
            kind: event.kind,
            decision: event.decision,
            request: event.request.clone(),
            secret: subject.secret.clone(),
            valid_until: subject.valid_until,
        });
    }

    /// What came out.
    #[must_use]
    pub fn report(self) -> Report {
        let recipients = self.recipients.into_iter();
        let recipients = recipients.map(|(recipient, granted)| Released { recipient, granted }).collect();
        let secrets = self.secrets.into_iter().map(|(name, exposed)| Secret { name, exposed }).collect();
        Report { recipients, secrets, ..self.report }
    }
}

fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

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
    fn of(subject: &Subject) -> Self {
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
