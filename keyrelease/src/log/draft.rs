//! An entry to be: all of it but its place in the log.

use attest::crypto::AwsLcRs;
use attest::log::{DecisionId as EntryId, Event, Kind, RecordDigest, SecretRef, Subject, Text};
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
            request: Text::fitting(&facts.request),
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
    let subject = machine.map(|machine| appraisal.subject(&AwsLcRs, machine)).unwrap_or_default();
    let valid_until = appraisal.admits().then_some(appraisal.valid_until);
    Subject { platform: Some(appraisal.platform), secret, valid_until, ..subject }
}
