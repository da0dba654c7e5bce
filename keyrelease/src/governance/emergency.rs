//! The emergency path: one approver is enough, for at most a day, and nobody overlooks it.
//!
//! An emergency lies over what was approved and changes nothing of it: when it ends, by its time or by hand, the earlier
//! state holds again, whether or not anybody is there, because its end is asked for whenever the state is used. It is an
//! entry of its own kind in the log, a warning in every answer to an operator and a line in the server's log each minute.
//! Who approves it cannot change.
//!
//! Untrusted: bodies and signatures.

use attest::UnixTime;
use attest::crypto::AwsLcRs;
use attest::governance::{Act, Deed, Emergency, Kind};
use openbao_plugin::{Body, Error, Host, Response, log};
use protocol::release::Base64;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::founding::{digest, ruling};
use super::items::{self, Stored};
use super::steps::{ATTEMPTS, Desk, Outcome, Writes, overtaken, short};
use super::stored::StoredEmergency;
use crate::mount::Mount;
use crate::reply::{self, bad_request};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EmergencyBody {
    content: String,
    /// The version that the approver signed; for a policy its own.
    version: u64,
    until: UnixTime,
    reason: String,
    ticket: String,
    approver: String,
    signature: Base64,
}

/// Answers a write of `emergency/<kind>[/<name>]`.
pub(super) async fn declare(
    desk: &Desk<'_>,
    path: &[&str],
    data: Map<String, Value>,
) -> Result<Response, Error> {
    let body: EmergencyBody = reply::body(data)?;
    let item = items::at(path)?;
    desk.mount.has(item.kind)?;
    is_brief(item.kind)?;
    let now = desk.now();
    if body.until <= now || body.until > now.plus(Emergency::MAX_SECONDS) {
        let (latest, found) = (now.plus(Emergency::MAX_SECONDS), body.until);
        return Err(bad_request(format!("until: expected after {now}, at most {latest}, found {found}")));
    }
    let storage = desk.host.storage();
    let (approvers, ruling) = ruling(storage).await?;
    let base = Stored::read(storage, &item).await?;
    let earlier = StoredEmergency::read(storage, &item).await?;
    let change = desk.change(item.clone(), &body.content, body.version, base.digest()).await?;
    let (reason, ticket) = (short("reason", &body.reason)?, short("ticket", &body.ticket)?);
    let emergency = Emergency { change, until: body.until, reason, ticket };
    if earlier.as_ref().is_some_and(|(earlier, _)| !earlier.ended && earlier.emergency == emergency) {
        return reply::data(&described(
            &earlier.map(|(earlier, _)| earlier).into_iter().collect::<Vec<_>>(),
            now,
        ));
    }
    let text = emergency.to_be_signed(&body.approver);
    let approval = approvers.approval(&AwsLcRs, &body.approver, &text, &body.signature.0);
    let approval = approval.map_err(bad_request)?;
    let version = base.succession(storage, &item, &body.content, now).await?;
    if version != body.version {
        let found = body.version;
        return Err(bad_request(format!("version: expected {version}, found {found}")));
    }
    room(desk, &item).await?;
    let stored = StoredEmergency { emergency, content: body.content, approval, ended: false };
    let key = StoredEmergency::key(&item);
    let mut writes = Writes::default().under(&ruling);
    // The version is used up: what comes afterwards has another.
    writes.puts.push((items::version_key(&item), version.to_string().into_bytes()));
    writes.puts.push((key.clone(), stored.to_cbor()?));
    writes.rests_on.extend(base.ground(&item));
    writes.rests_on.push((key, earlier.map(|(_, bytes)| bytes)));
    match desk.record(&deed(Act::Declared, &stored, desk, &ruling), writes).await? {
        Outcome::Done => reply::data(&described(&[stored], now)),
        Outcome::Overtaken => Err(overtaken()),
    }
}

/// Not everything can change for a day and be as before.
fn is_brief(kind: Kind) -> Result<(), Error> {
    match kind {
        Kind::Approvers => Err(bad_request("emergency: the approvers change by proposal only")),
        Kind::Guard | Kind::Role | Kind::AttestationKeys | Kind::TpmManufacturer => {
            Err(bad_request(format!("emergency: kind {kind} changes by proposal only")))
        }
        Kind::Policy | Kind::Roots | Kind::Auth | Kind::WorkloadIssuer | Kind::Seal | _ => Ok(()),
    }
}

/// There is not room for any number of them.
async fn room(desk: &Desk<'_>, item: &attest::governance::Item) -> Result<(), Error> {
    let all = StoredEmergency::all(desk.host.storage()).await?;
    let others =
        all.iter().filter(|(key, stored)| *key != StoredEmergency::key(item) && stored.holds(desk.now()));
    if others.count() < MOST {
        Ok(())
    } else {
        Err(bad_request(format!("emergency: at most {MOST} at a time")))
    }
}

/// Answers a read of `emergency/<kind>[/<name>]`.
pub(super) async fn show(desk: &Desk<'_>, path: &[&str]) -> Result<Option<Response>, Error> {
    let found = StoredEmergency::read(desk.host.storage(), &items::at(path)?).await?;
    let holding = found.filter(|(stored, _)| stored.holds(desk.now()));
    holding.map(|(stored, _)| reply::data(&described(&[stored], desk.now()))).transpose()
}

/// Answers a delete: the earlier state holds again.
pub(super) async fn end(desk: &Desk<'_>, path: &[&str]) -> Result<(), Error> {
    let item = items::at(path)?;
    let storage = desk.host.storage();
    for _ in 0..ATTEMPTS {
        let found = StoredEmergency::read(storage, &item).await?;
        let Some((mut stored, bytes)) = found.filter(|(stored, _)| stored.holds(desk.now())) else {
            return Ok(());
        };
        let (_, ruling) = ruling(storage).await?;
        stored.ended = true;
        let key = StoredEmergency::key(&item);
        let writes = Writes {
            puts: vec![(key.clone(), stored.to_cbor()?)],
            rests_on: vec![(key, Some(bytes))],
            ..Writes::default()
        };
        if desk.record(&deed(Act::Ended, &stored, desk, &ruling), writes).await? == Outcome::Done {
            return Ok(());
        }
    }
    Err(overtaken())
}

/// The emergencies that hold now.
pub(crate) async fn holding(host: &Host, now: UnixTime) -> Result<Vec<StoredEmergency>, Error> {
    let all = StoredEmergency::all(host.storage()).await?;
    Ok(all.into_iter().map(|(_, stored)| stored).filter(|stored| stored.holds(now)).collect())
}

/// What holds instead of the only item of this kind.
pub(crate) fn instead(holding: &[StoredEmergency], kind: Kind) -> Option<&str> {
    let found = holding.iter().find(|stored| stored.emergency.change.item.kind == kind);
    found.map(|stored| stored.content.as_str())
}

/// Each minute: says what holds, and forgets what is over.
pub(crate) async fn tick(mount: &Mount, host: &Host) -> Result<(), Error> {
    let now = mount.now();
    for (key, stored) in StoredEmergency::all(host.storage()).await? {
        if now >= stored.emergency.until {
            forget_ended(host, &key, now).await?;
            mount.forget();
        } else if stored.holds(now) {
            log::warn(&warning(&stored), &[]);
        }
    }
    super::proposals::forget_expired(host, now).await
}

/// Forgets an emergency that is over, unless another has taken its place meanwhile.
async fn forget_ended(host: &Host, key: &str, now: UnixTime) -> Result<(), Error> {
    let transaction = host.transaction().await?;
    let found = StoredEmergency::at(&transaction, key).await?;
    if found.is_some_and(|(stored, _)| now >= stored.emergency.until) {
        transaction.delete(key).await?;
        transaction.commit().await?;
    }
    Ok(())
}

/// The answer to an operator, with a warning for each emergency that holds.
pub(crate) fn warned(answer: Option<Response>, holding: &[StoredEmergency]) -> Option<Response> {
    // What is not there stays so, and a raw body has no place for words.
    let mut answer = answer?;
    if matches!(answer.body, Body::Data(_)) {
        answer.warnings.extend(holding.iter().map(warning));
    }
    Some(answer)
}

fn warning(stored: &StoredEmergency) -> String {
    let Emergency { change, until, reason, ticket } = &stored.emergency;
    format!(
        "EMERGENCY until {until}: {} is not what was approved, by {}, ticket {ticket}: {reason}",
        change.item, stored.approval.approver
    )
}

/// Emergencies in words.
pub(super) fn described(holding: &[StoredEmergency], now: UnixTime) -> Value {
    let each = holding.iter().filter(|stored| stored.holds(now)).map(|stored| {
        json!({
            "id": stored.emergency.id(&AwsLcRs),
            "emergency": stored.emergency,
            "text": stored.emergency.text(),
            "content": stored.content,
            "approved_by": stored.approval.approver,
        })
    });
    json!({ "emergencies": each.collect::<Vec<_>>() })
}

fn deed(act: Act, stored: &StoredEmergency, desk: &Desk<'_>, ruling: &[u8]) -> Deed {
    Deed {
        emergency: Some(stored.emergency.clone()),
        content: stored.content.clone().into_bytes().into(),
        approvals: vec![stored.approval.clone()],
        ..Deed::of(act, desk.now(), desk.by.clone(), digest(ruling))
    }
}

/// The most that hold at a time.
const MOST: usize = 16;
