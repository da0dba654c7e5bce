//! `revoke`, `reinstate`, `recall`, `revocation/…` and `failure/…`: what operators do about machines.
//!
//! A revocation names chips, nodes, measurements, product lines, platforms or the machines of a policy. It is an entry of the
//! log, and holds from that entry on. What it touches is reported first, and secrets that this mount can draw anew are
//! drawn anew; the others are named, for somebody to change them where they are used.
//!
//! Trusted: the operator, whom OpenBao's policies let in.

use attest::log::{Kind, Selector, Subject};
use attest::{Bar, Cause, UnixTime};
use openbao_plugin::{Error, Host, Operation, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::recall::Touched;
use super::shards::Change;
use crate::keys;
use crate::mount::Mount;
use crate::reply::{self, bad_request};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RevokeBody {
    selector: Selector,
    reason: String,
    /// Report only.
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecallBody {
    selector: Selector,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReinstateBody {
    selector: Selector,
    /// What is taken back: that it was `revoked`, or that it `failed`.
    cause: Cause,
    reason: String,
}

/// Answers `revoke`.
pub(crate) async fn revoke(mount: &Mount, host: &Host, data: Map<String, Value>) -> Result<Response, Error> {
    let RevokeBody { selector, reason, dry_run } = reply::body(data)?;
    let reason = reason_of(&reason)?;
    let now = mount.now();
    let mut answer = Map::new();
    if !dry_run {
        // First the bar, then the report: what is released in between is on record before the bar.
        let bar = Bar {
            subject: selector.clone(),
            cause: Cause::Revoked,
            reason: reason.clone(),
            since: now,
            under: None,
        };
        let request = format!("revocation of {selector}: {reason}");
        let decision = mount.change_standing(host, Change::Bar(bar), Kind::Revocation, &request).await?;
        answer.insert("decision".to_owned(), decision.to_string().into());
    }
    let state = mount.state(host).await?;
    let touched = Touched::by(host, &state, selector).await?;
    let (mut drawn, mut by_hand) = (Vec::new(), Vec::new());
    for name in touched.secrets() {
        let is_drawn = if dry_run {
            keys::is_drawn(host, name).await?
        } else {
            keys::draw_anew(mount, host, name).await?
        };
        if is_drawn { drawn.push(name) } else { by_hand.push(name) }
    }
    let word = if dry_run { "would_draw_anew" } else { "drawn_anew" };
    answer.insert(word.to_owned(), drawn.into());
    answer.insert("change_by_hand".to_owned(), by_hand.into());
    answer.insert("touched".to_owned(), touched.to_json());
    Ok(Response::data(answer))
}

/// Answers `recall`: the report, and nothing is done.
pub(crate) async fn recall_only(
    mount: &Mount,
    host: &Host,
    data: Map<String, Value>,
) -> Result<Response, Error> {
    let RecallBody { selector } = reply::body(data)?;
    let state = mount.state(host).await?;
    reply::data(&Touched::by(host, &state, selector).await?.to_json())
}

/// Answers `reinstate`.
pub(crate) async fn reinstate(
    mount: &Mount,
    host: &Host,
    data: Map<String, Value>,
) -> Result<Response, Error> {
    let ReinstateBody { selector, cause, reason } = reply::body(data)?;
    let reason = reason_of(&reason)?;
    if !mount.bars(host).await?.all(cause).iter().any(|bar| bar.subject == selector) {
        return Err(Error::BadRequest(format!("selector: expected one that is barred, found {selector}")));
    }
    let request = format!("reinstatement of {selector}: {reason}");
    let change = Change::Lift(selector, cause);
    let decision = mount.change_standing(host, change, Kind::Reinstatement, &request).await?;
    reply::data(&json!({ "decision": decision.to_string() }))
}

/// Answers reads of `revocation/<selector>` and `failure/<selector>`.
pub(crate) async fn show(
    mount: &Mount,
    host: &Host,
    cause: Cause,
    operation: Operation,
    name: &str,
) -> Result<Option<Response>, Error> {
    let bars = mount.bars(host).await?.all(cause);
    match (operation, name) {
        (Operation::List, "") => {
            Ok(Some(Response::keys(bars.iter().map(|bar| bar.subject.to_string()).collect())))
        }
        (Operation::Read, _) => {
            let selector = name.parse::<Selector>().map_err(bad_request)?;
            let bar = bars.into_iter().find(|bar| bar.subject == selector);
            bar.map(|bar| reply::data(&bar)).transpose()
        }
        _ => Err(Error::UnsupportedOperation),
    }
}

/// Nobody is revoked or reinstated without words.
fn reason_of(words: &str) -> Result<String, Error> {
    let words = words.trim();
    let found = words.len();
    if words.is_empty() || found > MOST_WORDS || words.contains(char::is_control) {
        let expected = format!("reason: expected 1 to {MOST_WORDS} printable bytes, found {found}");
        return Err(Error::BadRequest(expected));
    }
    Ok(words.to_owned())
}

/// The failure of a machine that showed itself that it is not what the policy wants.
pub(crate) fn failure(refused: &attest::Refused, now: UnixTime) -> Option<Change> {
    let machine = refused.failed()?;
    let appraisal = refused.appraisal();
    if appraisal.failing().any(|check| check.id == "standing.failed") {
        // The first failure is the one to look at.
        return None;
    }
    let whom: Subject = appraisal.subject(&attest::crypto::AwsLcRs, machine);
    let failing: Vec<&str> = appraisal.failing().map(|check| check.id.as_str()).take(8).collect();
    Some(Change::Bar(Bar {
        subject: Selector::Instance(whom.instance?),
        cause: Cause::Failed,
        reason: failing.join(", "),
        since: now,
        under: Some(appraisal.policy_digest),
    }))
}

/// The longest reason, in bytes.
const MOST_WORDS: usize = 200;
