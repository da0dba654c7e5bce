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
    /// By which rules it was judged: [`crate::state::State::rules`].
    pub(crate) rules: u64,
    pub(crate) now: UnixTime,
}

impl Ledger for StorageLedger<'_> {
    async fn append(&self, draft: Draft) -> Result<(), LedgerError> {
        let _committing = self.metrics.time(Step::Commit);
        let draft = Draft { rules: Some(self.rules), ..draft };
        self.log.append(self.host, self.signer, draft, self.now).await
    }
}

/// The note by which a refusal is found when it is old, with about how many bytes its record has.
pub(crate) fn refusal_note(id: DecisionId, now: UnixTime, size: usize) -> (String, Vec<u8>) {
    (format!("refused/{:020}-{id}-{size}", now.0), Vec::new())
}

/// Forgets the oldest refusals beyond the cap: an unauthenticated caller must not fill the storage.
/// Admissions are never forgotten.
pub(crate) async fn prune(host: &Host, now: UnixTime) -> Result<(), HostError> {
    let noted = host.storage().list("refused/").await?;
    // Many at a time: one by one they would be forgotten more slowly than they are made.
    for some in surplus(&noted, (MOST_REFUSALS, MOST_REFUSED_BYTES), now).chunks(FORGOTTEN_AT_ONCE) {
        let transaction = host.transaction().await?;
        for name in some {
            let id = name.split('-').nth(1).unwrap_or_default();
            transaction.delete(&format!("record/{id}")).await?;
            transaction.delete(&format!("refused/{name}")).await?;
        }
        transaction.commit().await?;
    }
    Ok(())
}

/// The notes, oldest first, of the refusals to forget: those beyond so many, or beyond so many bytes. Young ones stay:
/// somebody may be looking for the reasons.
fn surplus(noted: &[String], (most, most_bytes): (usize, usize), now: UnixTime) -> Vec<&String> {
    let number = |name: &str, part| name.split('-').nth(part).and_then(|text| text.parse().ok());
    let old = |name: &&String| {
        let time = number(name, 0).unwrap_or(0);
        now.since(UnixTime(time)) > crate::challenge::Challenges::LIFETIME
    };
    let mut bytes = 0_usize;
    let fits = |(place, name): &(usize, &String)| {
        let size = number(name, 2).and_then(|size: u64| usize::try_from(size).ok()).unwrap_or(0);
        bytes = bytes.saturating_add(size);
        *place < most && bytes <= most_bytes
    };
    let kept = noted.iter().rev().enumerate().take_while(fits).count();
    noted.iter().take(noted.len().saturating_sub(kept)).filter(old).collect()
}

/// The most records of refusals that are kept.
const MOST_REFUSALS: usize = 10_000;
/// And about the most bytes of them: an honest one has some 5 KB, the largest 400 KB.
const MOST_REFUSED_BYTES: usize = 256 * 1024 * 1024;
/// How many refusals one transaction forgets.
const FORGOTTEN_AT_ONCE: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refusals_beyond_the_cap_whose_challenges_have_expired_are_forgotten() {
        let noted: Vec<String> = [0, 99, 100, 101, 300].map(|time| format!("{time:020}-id{time}-7")).into();
        assert_eq!(surplus(&noted, (1, 99), UnixTime(220)), [&noted[0], &noted[1]]);
        assert_eq!(surplus(&noted, (4, 99), UnixTime(220)), [&noted[0]]);
        assert!(surplus(&noted, (5, 99), UnixTime(9999)).is_empty());
    }

    /// An attack: few refusals, each with as much evidence and as many certificates as anybody may bring.
    #[test]
    fn large_refusals_are_forgotten_earlier_than_many_small_ones() {
        let sizes = [400, 1, 400, 400, 1];
        let noted: Vec<String> =
            sizes.iter().enumerate().map(|(time, size)| format!("{time:020}-id{time}-{size}")).collect();
        assert_eq!(surplus(&noted, (5, 801), UnixTime(999)), [&noted[0], &noted[1]]);
        assert_eq!(surplus(&noted, (5, 802), UnixTime(999)), [&noted[0]]);
        assert_eq!(surplus(&noted, (5, 1202), UnixTime(999)), Vec::<&String>::new());
    }
}
