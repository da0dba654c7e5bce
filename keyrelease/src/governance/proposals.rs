//! Proposals: made, approved, withdrawn, forgotten when they expire.
//!
//! An approval counts by the approvers in force when it is counted, and a change is applied in the commit that records
//! the approval which was the last one missing, onto the very content that it says it replaces. So an approver who was
//! taken off does not count any more, and what was approved for one base never lands on another.
//!
//! Untrusted: bodies and signatures. Who may propose, approve and withdraw at all, OpenBao's policies on the paths decide.

use attest::crypto::AwsLcRs;
use attest::governance::{Act, Approvers, Counted, Deed, Proposal};
use attest::{Digest, UnixTime};
use openbao_plugin::{Error, Host, Response};
use protocol::release::Base64;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::founding::{digest, in_force, ruling};
use super::items::{self, Stored};
use super::steps::{ATTEMPTS, Desk, Outcome, Writes, overtaken, short};
use super::stored::StoredProposal;
use crate::reply::{self, bad_request};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProposalBody {
    kind: String,
    #[serde(default)]
    name: String,
    content: String,
    expires: UnixTime,
    reason: String,
}

/// Answers `proposal`.
pub(super) async fn propose(desk: &Desk<'_>, data: Map<String, Value>) -> Result<Response, Error> {
    let body: ProposalBody = reply::body(data)?;
    let now = desk.now();
    if body.expires <= now || body.expires > now.plus(Proposal::MAX_SECONDS) {
        let latest = now.plus(Proposal::MAX_SECONDS);
        let found = body.expires;
        return Err(bad_request(format!("expires: expected after {now}, at most {latest}, found {found}")));
    }
    let item = items::named(&body.kind, &body.name)?;
    desk.mount.has(item.kind)?;
    let storage = desk.host.storage();
    let (_, ruling) = ruling(storage).await?;
    forget_expired(desk.host, now).await?;
    let stored = Stored::read(storage, &item).await?;
    let version = stored.succession(storage, &item, &body.content, now).await?;
    let change = desk.change(item, &body.content, version, stored.digest()).await?;
    let (expires, reason) = (body.expires, short("reason", &body.reason)?);
    let proposal = Proposal { change, expires, proposer: desk.by.clone(), reason };
    let id = proposal.id(&AwsLcRs);
    let open = StoredProposal { proposal, content: body.content, approvals: Vec::new(), applied: None };
    let names = storage.list(StoredProposal::FOLDER).await?;
    if names.iter().any(|name| *name == id.to_string()) {
        return view(desk, id).await;
    }
    if names.len() >= MOST_OPEN {
        return Err(bad_request(format!("proposal: at most {MOST_OPEN} are open: withdraw one")));
    }
    let withdrawn = format!("{}{id}", StoredProposal::WITHDRAWN);
    if storage.get(&withdrawn).await?.is_some() {
        // Whoever approved it took that back with it: their signatures are known, and must not count again.
        return Err(bad_request("this very proposal was withdrawn: give another reason, or another end"));
    }
    let key = format!("{}{id}", StoredProposal::FOLDER);
    let mut writes =
        Writes { puts: vec![(key.clone(), open.to_cbor()?)], ..Writes::default() }.under(&ruling);
    writes.rests_on.extend([(key, None), (withdrawn, None)]);
    match desk.record(&deed(Act::Proposed, &open, desk, &ruling), writes).await? {
        Outcome::Done => view(desk, id).await,
        Outcome::Overtaken => Err(overtaken()),
    }
}

/// Answers a list of `proposal/`.
pub(super) async fn list(desk: &Desk<'_>) -> Result<Response, Error> {
    let all = StoredProposal::all(desk.host.storage()).await?;
    let open = all.into_iter().filter(|(_, stored)| desk.now() < stored.proposal.expires);
    Ok(Response::keys(open.map(|(name, _)| name).collect()))
}

/// How many are open.
pub(crate) async fn count(host: &Host, now: UnixTime) -> Result<usize, Error> {
    let all = StoredProposal::all(host.storage()).await?;
    Ok(all.iter().filter(|(_, stored)| now < stored.proposal.expires).count())
}

/// Answers a read of `proposal/<id>`.
pub(super) async fn show(desk: &Desk<'_>, id: &str) -> Result<Option<Response>, Error> {
    let id = id.parse().map_err(bad_request)?;
    match view(desk, id).await {
        Ok(response) => Ok(Some(response)),
        Err(Error::Coded { status: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What there is to see of a proposal.
async fn view(desk: &Desk<'_>, id: Digest<32>) -> Result<Response, Error> {
    let storage = desk.host.storage();
    let open = StoredProposal::open(storage, id, desk.now()).await?.map(|(stored, _)| stored);
    let stored = match open {
        Some(stored) => stored,
        None => StoredProposal::applied(storage, id).await?.ok_or_else(gone)?,
    };
    let counted = in_force(storage).await?.map(|(approvers, _)| tally(&approvers, &stored));
    reply::data(&described(id, &stored, counted.as_ref()))
}

/// A proposal in words.
pub(super) fn described(id: Digest<32>, stored: &StoredProposal, counted: Option<&Counted>) -> Value {
    let approvals: Vec<_> = stored.approvals.iter().map(|approval| &approval.approver).collect();
    json!({
        "id": id,
        "proposal": stored.proposal,
        "text": stored.proposal.text(),
        "content": stored.content,
        "approved_by": approvals,
        "counted": counted.map(|counted| &counted.names),
        "threshold": counted.map(|counted| counted.threshold),
        "applied": stored.applied,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApprovalBody {
    approver: String,
    signature: Base64,
}

/// Answers `proposal/<id>/approve`.
pub(super) async fn approve(desk: &Desk<'_>, id: &str, data: Map<String, Value>) -> Result<Response, Error> {
    let id: Digest<32> = id.parse().map_err(bad_request)?;
    let body: ApprovalBody = reply::body(data)?;
    for _ in 0..ATTEMPTS {
        if approve_once(desk, id, &body).await? == Outcome::Done {
            return view(desk, id).await;
        }
    }
    Err(overtaken())
}

async fn approve_once(desk: &Desk<'_>, id: Digest<32>, body: &ApprovalBody) -> Result<Outcome, Error> {
    let storage = desk.host.storage();
    let (approvers, ruling) = ruling(storage).await?;
    let open = StoredProposal::open(storage, id, desk.now()).await?;
    let Some((mut stored, bytes)) = open else {
        // Said again after it was the last one: it is done.
        let applied = StoredProposal::applied(storage, id).await?.ok_or_else(gone)?;
        let known =
            applied.approvals.iter().any(|approval| approval.signature.as_slice() == body.signature.0);
        return if known { Ok(Outcome::Done) } else { Err(gone()) };
    };
    let text = stored.proposal.to_be_signed(&body.approver);
    let approval = approvers.approval(&AwsLcRs, &body.approver, &text, &body.signature.0);
    let approval = approval.map_err(bad_request)?;
    let is_new = !tally(&approvers, &stored).names.contains(approval.approver.as_str());
    if is_new {
        // Whoever signed with a key that is not theirs any more signs again.
        stored.approvals.retain(|earlier| earlier.approver != approval.approver);
        stored.approvals.push(approval);
    }
    let key = format!("{}{id}", StoredProposal::FOLDER);
    if tally(&approvers, &stored).are_enough() {
        return apply(desk, stored, (key, bytes), &ruling).await;
    }
    if !is_new {
        return Ok(Outcome::Done);
    }
    let mut writes =
        Writes { puts: vec![(key.clone(), stored.to_cbor()?)], ..Writes::default() }.under(&ruling);
    writes.rests_on.push((key, Some(bytes)));
    desk.record(&deed(Act::Approved, &stored, desk, &ruling), writes).await
}

/// Makes an approved change real, if it still fits what is there.
async fn apply(
    desk: &Desk<'_>,
    mut stored: StoredProposal,
    (key, bytes): (String, Vec<u8>),
    ruling: &[u8],
) -> Result<Outcome, Error> {
    let now = desk.now();
    let change = stored.proposal.change.clone();
    let storage = desk.host.storage();
    let base = Stored::read(storage, &change.item).await?;
    if base.digest() != change.replaces {
        let of =
            |digest: Option<Digest<32>>| digest.map_or("nothing".to_owned(), |digest| digest.to_string());
        let (expected, found) = (of(change.replaces), of(base.digest()));
        return Err(bad_request(format!(
            "proposal replaces {expected}, but {found} is in force: propose it anew"
        )));
    }
    let version = base.succession(storage, &change.item, &stored.content, now).await?;
    if version != change.version {
        let expected = change.version;
        return Err(bad_request(format!(
            "proposal is version {expected}, but it would be {version} now: propose it anew"
        )));
    }
    let deed = deed(Act::Applied, &stored, desk, ruling);
    let mut writes = Writes::of(&change.item, &stored.content, version).under(ruling);
    writes.rests_on.extend(base.ground(&change.item));
    writes.rests_on.push((key.clone(), Some(bytes)));
    writes.deletes.push(key.clone());
    stored.applied = Some(now);
    // The content is in force; twice would be too much for one commit.
    stored.content.clear();
    let kept = key.replacen(StoredProposal::FOLDER, StoredProposal::APPLIED, 1);
    writes.puts.push((kept, stored.to_cbor()?));
    desk.record(&deed, writes).await
}

/// Answers a delete of `proposal/<id>`.
pub(super) async fn withdraw(desk: &Desk<'_>, id: &str) -> Result<(), Error> {
    let id: Digest<32> = id.parse().map_err(bad_request)?;
    let storage = desk.host.storage();
    for _ in 0..ATTEMPTS {
        let Some((stored, bytes)) = StoredProposal::open(storage, id, desk.now()).await? else {
            return Ok(());
        };
        let (_, ruling) = ruling(storage).await?;
        let key = format!("{}{id}", StoredProposal::FOLDER);
        let mut writes = Writes { deletes: vec![key.clone()], ..Writes::default() };
        let kept = key.replacen(StoredProposal::FOLDER, StoredProposal::WITHDRAWN, 1);
        writes.puts.push((kept, stored.proposal.expires.0.to_string().into_bytes()));
        writes.rests_on.push((key, Some(bytes)));
        let deed = deed(Act::Withdrawn, &stored, desk, &ruling);
        if desk.record(&deed, writes).await? == Outcome::Done {
            return Ok(());
        }
    }
    Err(overtaken())
}

/// Forgets proposals whose time is over.
pub(super) async fn forget_expired(host: &Host, now: UnixTime) -> Result<(), Error> {
    let storage = host.storage();
    for (name, stored) in StoredProposal::all(storage).await? {
        if now >= stored.proposal.expires {
            storage.delete(&format!("{}{name}", StoredProposal::FOLDER)).await?;
        }
    }
    for name in storage.list(StoredProposal::APPLIED).await? {
        let Ok(id) = name.parse() else { continue };
        let applied = StoredProposal::applied(storage, id).await?;
        if applied.is_some_and(|stored| now >= stored.proposal.expires) {
            storage.delete(&format!("{}{name}", StoredProposal::APPLIED)).await?;
        }
    }
    for name in storage.list(StoredProposal::WITHDRAWN).await? {
        let key = format!("{}{name}", StoredProposal::WITHDRAWN);
        if now.0 >= items::number(storage.get(&key).await?.as_deref()) {
            storage.delete(&key).await?;
        }
    }
    Ok(())
}

/// Who of those who approved counts now.
pub(super) fn tally(approvers: &Approvers, stored: &StoredProposal) -> Counted {
    approvers.tally(&AwsLcRs, &stored.approvals, |name| stored.proposal.to_be_signed(name))
}

fn deed(act: Act, stored: &StoredProposal, desk: &Desk<'_>, ruling: &[u8]) -> Deed {
    Deed {
        proposal: Some(stored.proposal.clone()),
        content: stored.content.clone().into_bytes().into(),
        approvals: stored.approvals.clone(),
        ..Deed::of(act, desk.now(), desk.by.clone(), digest(ruling))
    }
}

fn gone() -> Error {
    let message = "no such proposal: it was applied, withdrawn, or has expired";
    Error::Coded { status: 404, message: message.to_owned() }
}

/// Everybody who reviews looks at all of them.
const MOST_OPEN: usize = 32;
