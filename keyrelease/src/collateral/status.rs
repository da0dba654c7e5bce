//! `collateral/status`: what there is, what ends soon, what machines asked for in vain, how the last refresh went.
//!
//! Read by operators, by a monitor and by the refresh program, which plans by it. Trusted: the storage.

use attest::UnixTime;
use attest::collateral::Kind;
use openbao_plugin::{Error, Host, Response, Storage};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::config::Settings;
use super::index::{Entry, Index};
use super::plan::most;
use crate::events;
use crate::mount::Mount;
use crate::reply;

/// Answers a read of `collateral/status`.
pub(crate) async fn show(mount: &Mount, host: &Host) -> Result<Response, Error> {
    let settings = Settings::load(host.storage()).await?;
    let index = mount.collateral.index(host).await?;
    let now = mount.now();
    let kinds: Map<String, Value> =
        Kind::ALL.into_iter().map(|kind| (kind.name().to_owned(), of_kind(&index, kind, now))).collect();
    let ending = ending(&index, now.plus(settings.warn_before_seconds));
    let has = |want: &attest::collateral::Want| index.fitting(want).any(|entry| entry.until > now);
    let missing = mount.collateral.missing().still(has);
    let missing: Vec<Value> = missing
        .into_iter()
        .map(|(want, asked)| json!({ "kind": want.kind, "key": want.key, "asked": asked }))
        .collect();
    reply::data(&json!({
        "now": now,
        "warn_before_seconds": settings.warn_before_seconds,
        "kinds": kinds,
        "entries": index.all().filter(|entry| entry.kind != Kind::Vek).map(|entry| shown(entry)).collect::<Vec<_>>(),
        "expiring": ending.iter().take(MOST_SHOWN).map(|entry| shown(entry)).collect::<Vec<_>>(),
        "expiring_count": ending.len(),
        "missing": missing,
        "refresh": Report::load(host.storage()).await?,
    }))
}

/// Answers a read of `collateral/index/<kind>`.
pub(crate) async fn list(mount: &Mount, host: &Host, kind: &str) -> Result<Option<Response>, Error> {
    let Some(kind) = Kind::named(kind) else { return Ok(None) };
    let index = mount.collateral.index(host).await?;
    let entries: Vec<Value> = index.of(kind).map(|entry| shown(entry)).collect();
    reply::data(&json!({ "entries": entries })).map(Some)
}

/// Warns in the log of what ends soon; some of it by name.
pub(crate) async fn warn(mount: &Mount, host: &Host) -> Result<(), Error> {
    let now = mount.now();
    if !mount.collateral.may_warn(now) {
        return Ok(());
    }
    let settings = Settings::load(host.storage()).await?;
    let index = mount.collateral.index(host).await?;
    let ending = ending(&index, now.plus(settings.warn_before_seconds));
    for entry in ending.iter().take(MOST_WARNED) {
        events::collateral_ends(mount.uuid(), entry.kind, &entry.key, entry.until, now);
    }
    if ending.len() > MOST_WARNED {
        events::more_collateral_ends(mount.uuid(), ending.len());
    }
    Ok(())
}

fn of_kind(index: &Index, kind: Kind, now: UnixTime) -> Value {
    let soonest = index.of(kind).min_by_key(|entry| entry.until);
    let ended = index.of(kind).filter(|entry| entry.until <= now).count();
    json!({
        "count": index.of(kind).count(),
        "limit": most(kind),
        "ended": ended,
        "soonest": soonest.map(|entry| json!({ "key": entry.key, "until": entry.until })),
        "seconds_left": soonest.map(|entry| entry.until.since(now)),
    })
}

/// What ends before `by`, the soonest first.
fn ending(index: &Index, by: UnixTime) -> Vec<&Entry> {
    let mut ending: Vec<&Entry> = index.all().map(AsRef::as_ref).filter(|entry| entry.until <= by).collect();
    ending.sort_by_key(|entry| entry.until);
    ending
}

fn shown(entry: &Entry) -> Value {
    let filed = entry.filed();
    json!({
        "kind": entry.kind,
        "key": entry.key,
        "sha256": entry.digest.to_string(),
        "from": filed.window.from,
        "until": entry.until,
        "edition": filed.edition,
        "origin": entry.origin,
        "taken": entry.at,
    })
}

/// What the refresh program told last.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Report {
    /// When, by this server's clock.
    #[serde(default)]
    at: Option<UnixTime>,
    /// How many objects it brought that were new.
    new: u64,
    /// What did not go well.
    errors: Vec<String>,
}

impl Report {
    async fn load(storage: &Storage) -> Result<Option<Self>, Error> {
        let Some(bytes) = storage.get(REPORT).await? else { return Ok(None) };
        let damaged = |error| Error::Internal(format!("stored {REPORT}: {error}"));
        serde_json::from_slice(&bytes).map(Some).map_err(damaged)
    }

    /// Answers a write to `collateral/status`.
    pub(crate) async fn store(
        mount: &Mount,
        host: &Host,
        body: Map<String, Value>,
    ) -> Result<Response, Error> {
        let mut report: Self = reply::body(body)?;
        if report.errors.len() > MOST_ERRORS {
            return Err(Error::BadRequest(format!("errors: at most {MOST_ERRORS}")));
        }
        let short = |text: &String| text.chars().filter(|c| !c.is_control()).take(300).collect();
        report.errors = report.errors.iter().map(short).collect();
        report.at = Some(mount.now());
        let bytes = serde_json::to_vec(&report).map_err(|error| Error::Internal(error.to_string()))?;
        host.storage().put(REPORT, bytes).await?;
        reply::data(&report)
    }
}

const REPORT: &str = "collateral-refresh";
const MOST_SHOWN: usize = 256;
const MOST_WARNED: usize = 8;
const MOST_ERRORS: usize = 32;
