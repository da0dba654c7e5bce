//! The ledger of a mount: its log, and what becomes of old refusals.
//!
//! Admissions stay for good. Of refusals, which anybody can cause, the entries stay and the records are forgotten beyond a
//! cap, the oldest first.
//!
//! Trusted: OpenBao's storage.

use std::sync::Arc;

use attest::UnixTime;
use openbao_plugin::{Host, HostError};

use crate::log::{Draft, Log, LogSigner};
use crate::metrics::{Metrics, Step};
use crate::record::{DecisionId, Ledger, LedgerError};

/// The ledger of one mount, for one request.
#[derive(Debug)]
pub(crate) struct StorageLedger<'a> {
    pub(crate) host: &'a Host,
    pub(crate) log: &'a Arc<Log>,
    pub(crate) signer: &'a Arc<LogSigner>,
    pub(crate) metrics: &'a Metrics,
    pub(crate) now: UnixTime,
}

impl Ledger for StorageLedger<'_> {
    async fn append(&self, draft: Draft) -> Result<(), LedgerError> {
        let _committing = self.metrics.time(Step::Commit);
        self.log.append(self.host, self.signer, draft, self.now).await
    }
}

/// The note by which a refusal is found when it is old.
pub(crate) fn refusal_note(id: DecisionId, now: UnixTime) -> (String, Vec<u8>) {
    (format!("refused/{:020}-{id}", now.0), Vec::new())
}

/// Forgets the oldest refusals beyond the cap: an unauthenticated caller must not fill the storage.
/// Admissions are never forgotten.
pub(crate) async fn prune(host: &Host, now: UnixTime) -> Result<(), HostError> {
    let noted = host.storage().list("refused/").await?;
    // Many at a time: one by one they would be forgotten more slowly than they are made.
    for some in surplus(&noted, MOST_REFUSALS, now).chunks(FORGOTTEN_AT_ONCE) {
        let transaction = host.transaction().await?;
        for name in some {
            let (_, id) = name.split_once('-').unwrap_or_default();
            transaction.delete(&format!("record/{id}")).await?;
            transaction.delete(&format!("refused/{name}")).await?;
        }
        transaction.commit().await?;
    }
    Ok(())
}

/// The notes, oldest first, of the refusals to forget. Young ones stay: somebody may be
/// looking for the reasons.
fn surplus(noted: &[String], most: usize, now: UnixTime) -> Vec<&String> {
    let old = |name: &&String| {
        let time = name.split_once('-').and_then(|(time, _)| time.parse().ok()).unwrap_or(0);
        now.since(UnixTime(time)) > crate::challenge::Challenges::LIFETIME
    };
    noted.iter().take(noted.len().saturating_sub(most)).filter(old).collect()
}

/// The most records of refusals that are kept.
const MOST_REFUSALS: usize = 10_000;
/// How many refusals one transaction forgets.
const FORGOTTEN_AT_ONCE: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refusals_beyond_the_cap_whose_challenges_have_expired_are_forgotten() {
        let noted: Vec<String> = [0, 99, 100, 101, 300].map(|time| format!("{time:020}-id{time}")).into();
        assert_eq!(surplus(&noted, 1, UnixTime(220)), [&noted[0], &noted[1]]);
        assert_eq!(surplus(&noted, 4, UnixTime(220)), [&noted[0]]);
        assert!(surplus(&noted, 5, UnixTime(9999)).is_empty());
    }
}
