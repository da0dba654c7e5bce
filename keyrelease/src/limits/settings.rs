//! `config/limits`: the numbers.
//!
//! The defaults let 10 000 nodes live behind one address. Re-attesting every 60 s they ask 10 000 × 2 / 60 = 334 times a
//! second (a challenge and its answer): 400 are allowed. After an outage all come at once, with 20 000 requests: that is
//! the burst. Refusals that go on record take about 450 bytes of the log for ever: 1200 an hour are at most 13 MB a day,
//! and 120 an hour from one address are enough to see what is wrong with a fleet behind it.
//!
//! Trusted: the operator. All the same, what would switch a limit off is refused.

use openbao_plugin::{Error, Host, Operation, Response, Storage};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::bucket::Rate;
use crate::mount::Mount;
use crate::reply;

/// The limits of a mount. What is left out has its default.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// How often one source may ask.
    pub(super) requests_per_second: u64,
    /// How many requests it may save up.
    pub(super) requests_burst: u64,
    /// How many refusals of one source go on record.
    pub(super) refusals_per_hour: u64,
    /// How many it may save up.
    pub(super) refusals_burst: u64,
    /// How many refusals of all sources go on record.
    pub(super) refusals_per_hour_in_all: u64,
    /// How many they may save up.
    pub(super) refusals_burst_in_all: u64,
    /// How many sources are remembered.
    pub(super) sources: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            requests_per_second: 400,
            requests_burst: 20_000,
            refusals_per_hour: 120,
            refusals_burst: 120,
            refusals_per_hour_in_all: 1200,
            refusals_burst_in_all: 1200,
            sources: 10_000,
        }
    }
}

impl Settings {
    /// Those of this mount.
    pub(crate) async fn load(storage: &Storage) -> Result<Self, Error> {
        let Some(bytes) = storage.get(KEY).await? else { return Ok(Self::default()) };
        serde_json::from_slice(&bytes).map_err(|error| Error::Internal(format!("stored limits: {error}")))
    }

    pub(super) fn requests(&self) -> Rate {
        Rate { amount: self.requests_per_second, seconds: 1, burst: self.requests_burst }
    }

    pub(super) fn refusals(&self) -> Rate {
        Rate { amount: self.refusals_per_hour, seconds: HOUR, burst: self.refusals_burst }
    }

    pub(super) fn refusals_in_all(&self) -> Rate {
        Rate { amount: self.refusals_per_hour_in_all, seconds: HOUR, burst: self.refusals_burst_in_all }
    }

    pub(super) fn most_sources(&self) -> usize {
        usize::try_from(self.sources).unwrap_or(usize::MAX)
    }

    /// These settings, if each is within its bounds; or all that are not.
    fn checked(self) -> Result<Self, Error> {
        let all = [
            ("requests_per_second", self.requests_per_second),
            ("requests_burst", self.requests_burst),
            ("refusals_per_hour", self.refusals_per_hour),
            ("refusals_burst", self.refusals_burst),
            ("refusals_per_hour_in_all", self.refusals_per_hour_in_all),
            ("refusals_burst_in_all", self.refusals_burst_in_all),
            ("sources", self.sources),
        ];
        let odd = all.into_iter().filter(|(_, value)| !(1..=MOST).contains(value));
        let problems: Vec<String> =
            odd.map(|(name, value)| format!("{name}: expected 1 to {MOST}, found {value}")).collect();
        if problems.is_empty() { Ok(self) } else { Err(Error::BadRequest(problems.join("; "))) }
    }
}

/// Answers `config/limits`.
pub(crate) async fn configure(
    mount: &Mount,
    host: &Host,
    operation: Operation,
    data: Map<String, Value>,
) -> Result<Option<Response>, Error> {
    match operation {
        Operation::Read => return reply::data(&Settings::load(host.storage()).await?).map(Some),
        Operation::Update => {
            let settings: Settings = reply::body(data)?;
            let bytes = serde_json::to_vec(&settings.checked()?);
            let bytes = bytes.map_err(|error| Error::Internal(error.to_string()))?;
            let transaction = host.transaction().await?;
            transaction.put(KEY, bytes).await?;
            mount.commit(transaction).await?;
        }
        Operation::Delete => {
            let transaction = host.transaction().await?;
            transaction.delete(KEY).await?;
            mount.commit(transaction).await?;
        }
        Operation::List
        | Operation::Scan
        | Operation::Patch
        | Operation::Renew
        | Operation::Revoke
        | Operation::ResolveRole
        | Operation::AliasLookahead
        | _ => return Err(Error::UnsupportedOperation),
    }
    Ok(None)
}

const KEY: &str = "config/limits";
const HOUR: u64 = 3600;
const MOST: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_nodes_behind_one_address_stay_within_the_defaults() {
        let settings = Settings::default();
        assert!(settings.requests_per_second * 60 >= 10_000 * 2);
        assert!(settings.requests_burst >= 10_000 * 2);
        assert_eq!(settings.checked(), Ok(settings));
    }

    #[test]
    fn no_limit_is_switched_off_and_all_problems_are_told_together() {
        let settings = Settings { requests_burst: 0, sources: MOST + 1, ..Settings::default() };
        let problems = settings.checked().unwrap_err().to_string();
        assert_eq!(
            problems,
            "requests_burst: expected 1 to 1000000, found 0; sources: expected 1 to 1000000, found 1000001"
        );
    }
}
