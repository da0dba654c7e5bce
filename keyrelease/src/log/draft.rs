//! An entry to be: all of it but its place in the log.

use attest::crypto::AwsLcRs;
use attest::log::{DecisionId as EntryId, Event, Kind, PolicyRef, RecordDigest, SecretRef, Subject, Text};
use attest::{Appraisal, Digest, Machine, UnixTime};

use crate::record::DecisionId;

/// What is to be appended, with all that has to be stored in the same breath.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) event: Event,
    /// If it answers a challenge: when that expires. Without, the id was drawn for this very entry.
    pub(crate) answers: Option<UnixTime>,
    /// The signed record.
    pub(crate) signed: Vec<u8>,
    /// Objects that the record names and that stay with it.
    pub(crate) own: Vec<Vec<u8>>,
    /// Objects that the record names and that others will name too.
    pub(crate) shared: Vec<(Digest<32>, Vec<u8>)>,
    /// Other keys to write.
    pub(crate) puts: Vec<(String, Vec<u8>)>,
}

/// What an entry says.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) kind: Kind,
    pub(crate) at: UnixTime,
    pub(crate) id: DecisionId,
    /// The admission that it rests on.
    pub(crate) under: Option<DecisionId>,
    pub(crate) request: String,
    pub(crate) subject: Subject,
}

impl Draft {
    /// An entry with its record and nothing beside them.
    pub(crate) fn new(facts: Facts, signed: Vec<u8>) -> Self {
        let entry_id = |id: DecisionId| EntryId(Digest(id.0));
        let event = Event {
            kind: facts.kind,
            at: facts.at,
            decision: entry_id(facts.id),
            under: facts.under.map(entry_id),
            request: text(&facts.request),
            record: RecordDigest::of(&AwsLcRs, &signed),
            subject: facts.subject,
        };
        Self { event, answers: None, signed, own: Vec::new(), shared: Vec::new(), puts: Vec::new() }
    }

    /// About how many bytes it writes.
    pub(crate) fn size(&self) -> usize {
        let shared = self.shared.iter().map(|(_, object)| object.len());
        let puts = self.puts.iter().map(|(_, bytes)| bytes.len());
        let own = self.own.iter().map(Vec::len);
        own.chain(shared).chain(puts).fold(self.signed.len(), usize::saturating_add)
    }

    pub(crate) fn id(&self) -> DecisionId {
        DecisionId(self.event.decision.0.0)
    }
}

/// Whom an appraisal concerns.
pub(crate) fn subject(
    appraisal: &Appraisal,
    machine: Option<&Machine>,
    secret: Option<SecretRef>,
) -> Subject {
    let policy = PolicyRef {
        name: text(&appraisal.policy),
        version: appraisal.policy_version,
        digest: appraisal.policy_digest,
    };
    Subject {
        platform: Some(appraisal.platform),
        product_line: machine.map(|machine| text(&machine.product)),
        hardware: machine.and_then(|machine| machine.hardware_name(&AwsLcRs)),
        instance: machine.and_then(|machine| machine.instance_name(&AwsLcRs)),
        measurement: machine.and_then(|machine| machine.measurement.parse().ok()),
        policy: Some(policy),
        secret,
        valid_until: appraisal.admits().then_some(appraisal.valid_until),
    }
}

/// A text as an entry takes it: what is too long or not printable is cut and replaced, because no decision may fail to be
/// recorded for its words.
pub(crate) fn text<const MAX: usize>(words: &str) -> Text<MAX> {
    let printable = words.chars().map(|c| if c.is_control() { '?' } else { c });
    let mut fitting = String::new();
    for c in printable {
        if fitting.len().saturating_add(c.len_utf8()) > MAX {
            break;
        }
        fitting.push(c);
    }
    Text::new(fitting).unwrap_or_default()
}
