//! The ledger in a mount's storage: one entry a decision, named after its challenge.
//!
//! Taking the name and storing the record are one transaction, so that of all answers to a challenge one is
//! recorded, on whichever node, before or after a restart. Admissions stay for good. Refusals, which
//! anybody can cause, are forgotten beyond a cap, the oldest first.
//!
//! Trusted: OpenBao's storage.

use attest::UnixTime;
use openbao_plugin::{Host, HostError};

use crate::record::{DecisionId, Ledger, LedgerError};

/// The ledger in the mount's storage.
#[derive(Debug)]
pub(crate) struct StorageLedger<'a> {
    pub(crate) host: &'a Host,
}

impl Ledger for StorageLedger<'_> {
    async fn insert(&self, id: DecisionId, file: Vec<u8>) -> Result<(), LedgerError> {
        self.insert_with(id, file, None).await
    }
}

impl StorageLedger<'_> {
    /// Stores a refusal, and when it was made, so that old refusals can be forgotten. Both or neither: a
    /// caller that goes away in between would leave a record that nobody ever forgets.
    pub(crate) async fn insert_refusal(
        &self,
        id: DecisionId,
        file: Vec<u8>,
        now: UnixTime,
    ) -> Result<(), LedgerError> {
        self.insert_with(id, file, Some(format!("refused/{:020}-{id}", now.0))).await
    }

    async fn insert_with(
        &self,
        id: DecisionId,
        file: Vec<u8>,
        note: Option<String>,
    ) -> Result<(), LedgerError> {
        let transaction = self.host.transaction().await.map_err(LedgerError::Storage)?;
        if transaction.get(&record_key(id)).await.map_err(LedgerError::Storage)?.is_some() {
            return Err(LedgerError::Taken);
        }
        transaction.put(&record_key(id), file).await.map_err(LedgerError::Storage)?;
        if let Some(note) = note {
            transaction.put(&note, Vec::new()).await.map_err(LedgerError::Storage)?;
        }
        match transaction.commit().await {
            // Another transaction wrote what this one read: the same id.
            Err(error) if error.is_conflict() => Err(LedgerError::Taken),
            other => other.map_err(LedgerError::Storage),
        }
    }

    /// Forgets the oldest refusals beyond the cap: an unauthenticated caller must not fill the storage.
    /// Admissions are never forgotten.
    pub(crate) async fn prune(&self, now: UnixTime) -> Result<(), HostError> {
        let storage = self.host.storage();
        let noted = storage.list("refused/").await?;
        // Many at a time: one by one they would be forgotten more slowly than they are made.
        for some in surplus(&noted, MOST_REFUSALS, now).chunks(FORGOTTEN_AT_ONCE) {
            let transaction = self.host.transaction().await?;
            for name in some {
                let (_, id) = name.split_once('-').unwrap_or_default();
                transaction.delete(&format!("record/{id}")).await?;
                transaction.delete(&format!("refused/{name}")).await?;
            }
            transaction.commit().await?;
        }
        Ok(())
    }
}

/// The notes, oldest first, of the refusals to forget. A young one still keeps its challenge from being
/// answered again.
fn surplus(noted: &[String], most: usize, now: UnixTime) -> Vec<&String> {
    let old = |name: &&String| {
        let time = name.split_once('-').and_then(|(time, _)| time.parse().ok()).unwrap_or(0);
        now.since(UnixTime(time)) > crate::challenge::Challenges::LIFETIME
    };
    noted.iter().take(noted.len().saturating_sub(most)).filter(old).collect()
}

fn record_key(id: DecisionId) -> String {
    format!("record/{id}")
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
