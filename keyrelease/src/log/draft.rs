//! An entry to be: all of it but its place in the log.

use attest::crypto::AwsLcRs;
use attest::log::{DecisionId as EntryId, Event, Kind, RecordDigest, SecretRef, Subject, Text};
use attest::{Appraisal, Digest, Machine, UnixTime};

use openbao_plugin::Error;

use crate::collateral::Index;
use crate::record::DecisionId;
use crate::signer::Signer;
use crate::standing::Change;

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
    /// What it changes of machines' standing.
    pub(crate) change: Option<Change>,
    /// Other keys to write.
    pub(crate) puts: Vec<(String, Vec<u8>)>,
    /// Keys to delete.
    pub(crate) deletes: Vec<String>,
    /// What has to be in storage still, or else nothing is written and the answer is `LedgerError::Changed`.
    pub(crate) rests_on: Vec<(String, Option<Vec<u8>>)>,
    /// The revision of the collateral's index that it stores.
    pub(crate) collateral: Option<u64>,
    /// How many steps of the rule it was judged after. If one more is on record, what gives something is `LedgerError::Changed`.
    pub(crate) rules: Option<u64>,
}

/// The record of what is no decision on evidence.
#[derive(Debug, minicbor::Encode)]
struct Statement<'a> {
    #[n(0)]
    format: &'a str,
    #[n(1)]
    kind: Kind,
    #[n(2)]
    at: UnixTime,
    #[n(3)]
    request: &'a str,
    #[n(4)]
    subject: &'a Subject,
}

impl Statement<'_> {
    const FORMAT: &'static str = "cloudtaser/statement/v1";
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
        Self {
            event,
            answers: None,
            signed,
            own: Vec::new(),
            shared: Vec::new(),
            change: None,
            puts: Vec::new(),
            deletes: Vec::new(),
            rests_on: Vec::new(),
            collateral: None,
            rules: None,
        }
    }

    /// An entry whose record says no more than the entry.
    pub(crate) fn statement(facts: Facts, signer: &Signer) -> Result<Self, Error> {
        let unwritable = |why: &dyn std::fmt::Display| Error::Internal(format!("statement: {why}"));
        let statement = Statement {
            format: Statement::FORMAT,
            kind: facts.kind,
            at: facts.at,
            request: &facts.request,
            subject: &facts.subject,
        };
        let payload = minicbor::to_vec(&statement).map_err(|why| unwritable(&why))?;
        let record = signer.sign_payload(payload).map_err(|why| unwritable(&why))?;
        Ok(Self::new(facts, record))
    }

    /// With collateral that is stored in the same breath, onto the index that it was planned on.
    pub(crate) fn taking(mut self, index: &Index, puts: Vec<(String, Vec<u8>)>) -> Self {
        self.puts.extend(puts);
        self.rests_on.push(index.ground());
        self.collateral = Some(index.revision());
        self
    }

    /// Whether it gives a machine something.
    pub(crate) fn grants(&self) -> bool {
        matches!(self.event.kind, Kind::Admission | Kind::TokenRelease | Kind::Seal | Kind::Renewal)
    }

    /// Whether it may change what others are judged by.
    pub(crate) fn rules(&self) -> bool {
        matches!(self.event.kind, Kind::Governance | Kind::Emergency)
    }

    /// About how many bytes it writes.
    pub(crate) fn size(&self) -> usize {
        let shared = self.shared.iter().map(|(_, object)| object.len());
        let puts = self.puts.iter().map(|(_, bytes)| bytes.len());
        let own = self.own.iter().map(Vec::len);
        own.chain(shared).chain(puts).fold(self.signed.len(), usize::saturating_add)
    }

    /// Whether it writes what `other` rests on.
    pub(crate) fn changes_ground_of(&self, other: &Self) -> bool {
        let mut written = self.puts.iter().map(|(key, _)| key).chain(&self.deletes);
        written.any(|key| other.rests_on.iter().any(|(ground, _)| ground == key))
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
