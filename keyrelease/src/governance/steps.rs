//! One step of the rule over a mount: its deed, its entry in the log, and what it changes, in one commit.
//!
//! Whoever judged by what was in storage says what that was. If it changed before the commit, nothing is written and
//! they judge again.

use attest::crypto::AwsLcRs;
use attest::governance::{Act, BadDeed, Change, Deed, Item, Kind};
use attest::log::{Kind as EventKind, PolicyRef, Subject, Text};
use attest::{Crypto, Digest, UnixTime};
use openbao_plugin::{Error, Host, Request};

use super::items::{self, APPROVERS};
use crate::log::{Draft, Facts};
use crate::mount::Mount;
use crate::record::{DecisionId, Ledger, LedgerError};
use crate::reply::bad_request;
use crate::state::random;

/// Where one request about the rule is worked on.
#[derive(Debug)]
pub(super) struct Desk<'a> {
    pub(super) mount: &'a Mount,
    pub(super) host: &'a Host,
    /// Who asks.
    pub(super) by: Text<256>,
}

/// What a step writes, and what it rests on.
#[derive(Debug, Default)]
pub(super) struct Writes {
    pub(super) puts: Vec<(String, Vec<u8>)>,
    pub(super) deletes: Vec<String>,
    pub(super) rests_on: Vec<(String, Option<Vec<u8>>)>,
}

/// How a step ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// It is on record.
    Done,
    /// What it rests on has changed: judge again.
    Overtaken,
}

impl Desk<'_> {
    pub(super) fn now(&self) -> UnixTime {
        self.mount.now()
    }

    /// The name of this mount in all that is signed for it.
    pub(super) async fn origin(&self) -> Result<Text<128>, Error> {
        let state = self.mount.state(self.host).await?;
        Text::new(state.log_signer.origin().to_string()).map_err(|why| Error::Internal(why.to_string()))
    }

    /// The change of an item to this content.
    pub(super) async fn change(
        &self,
        item: Item,
        content: &str,
        version: u64,
        replaces: Option<Digest<32>>,
    ) -> Result<Change, Error> {
        let content = AwsLcRs.sha256(&[content.as_bytes()]);
        Ok(Change { mount: self.origin().await?, item, content, version, replaces })
    }

    /// Puts a deed on record, with its writes.
    pub(super) async fn record(&self, deed: &Deed, writes: Writes) -> Result<Outcome, Error> {
        let state = self.mount.state(self.host).await?;
        let unsigned = |why: BadDeed| {
            let too_long = matches!(why, BadDeed::TooLong { .. });
            if too_long { bad_request(why) } else { Error::Internal(why.to_string()) }
        };
        let signed = state.signer.sign_deed(deed).map_err(unsigned)?;
        let facts = Facts {
            kind: event(deed.act),
            at: deed.at,
            id: DecisionId(random()?),
            under: None,
            request: words(deed),
            subject: subject(deed),
        };
        let draft = Draft {
            puts: writes.puts,
            deletes: writes.deletes,
            rests_on: writes.rests_on,
            ..Draft::new(facts, signed)
        };
        match self.mount.ledger(self.host, &state, deed.at).append(draft).await {
            Ok(()) => {
                self.mount.forget();
                Ok(Outcome::Done)
            }
            Err(LedgerError::Changed) => Ok(Outcome::Overtaken),
            Err(error) => Err(error.into()),
        }
    }
}

impl Writes {
    /// What takes effect when a change does.
    pub(super) fn of(item: &Item, content: &str, version: u64) -> Self {
        let mut writes = Self::default();
        writes.puts.push((items::version_key(item), version.to_string().into_bytes()));
        if content.is_empty() {
            writes.deletes.push(items::key(item));
        } else {
            writes.puts.push((items::key(item), content.as_bytes().to_vec()));
        }
        writes
    }

    /// Rests on these approvers being in force.
    pub(super) fn under(mut self, approvers: &[u8]) -> Self {
        self.rests_on.push((APPROVERS.to_owned(), Some(approvers.to_vec())));
        self
    }
}

/// Tries a step again until nobody was faster.
pub(super) const ATTEMPTS: u32 = 8;

/// Others were faster, every time.
pub(super) fn overtaken() -> Error {
    Error::Coded { status: 409, message: "another writer was faster".to_owned() }
}

/// Who asks, as OpenBao knows them.
pub(super) fn caller(request: &Request) -> Text<256> {
    let name = if request.display_name.is_empty() { "unnamed token" } else { &request.display_name };
    if request.entity_id.is_empty() {
        return Text::fitting(name);
    }
    Text::fitting(&format!("{name} (entity {})", request.entity_id))
}

/// A text of the caller's.
pub(super) fn short<const MAX: usize>(what: &str, words: &str) -> Result<Text<MAX>, Error> {
    match Text::new(words) {
        Ok(text) if !words.trim().is_empty() => Ok(text),
        Ok(_) => Err(bad_request(format!("{what}: expected some words, found none"))),
        Err(why) => Err(bad_request(format!("{what}: {why}"))),
    }
}

fn event(act: Act) -> EventKind {
    match act {
        Act::Declared | Act::Ended => EventKind::Emergency,
        Act::Founded | Act::Proposed | Act::Approved | Act::Applied | Act::Withdrawn | _ => {
            EventKind::Governance
        }
    }
}

/// The change that a deed is about.
fn change(deed: &Deed) -> Option<&Change> {
    let proposed = deed.proposal.as_ref().map(|proposal| &proposal.change);
    proposed.or_else(|| deed.emergency.as_ref().map(|emergency| &emergency.change))
}

fn words(deed: &Deed) -> String {
    let about = change(deed).map(|change| format!("{} version {}", change.item, change.version));
    let until = deed.emergency.as_ref().map(|emergency| format!(", emergency until {}", emergency.until));
    let names: Vec<&str> = deed.approvals.iter().map(|approval| approval.approver.as_str()).collect();
    let by = if names.is_empty() { String::new() } else { format!(", approved by {}", names.join(", ")) };
    format!("{} {}{}{by}", deed.act.name(), about.unwrap_or_default(), until.unwrap_or_default())
}

fn subject(deed: &Deed) -> Subject {
    let policy = change(deed).filter(|change| change.item.kind == Kind::Policy);
    let policy = policy.map(|change| PolicyRef {
        name: Text::fitting(change.item.name.as_str()),
        version: change.version,
        digest: change.content,
    });
    let valid_until = deed.emergency.as_ref().map(|emergency| emergency.until);
    Subject { policy, valid_until, ..Subject::default() }
}
