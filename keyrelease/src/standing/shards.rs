//! The bars of a mount, in storage: 256 lists, so that neither one bar nor ten thousand cost much.
//!
//! Trusted: the storage, and its transactions.

use std::collections::BTreeMap;

use attest::crypto::AwsLcRs;
use attest::log::Selector;
use attest::{Bar, Cause, Crypto};
use openbao_plugin::{Error, Storage};

use super::Bars;

/// A change of standing.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Somebody is barred.
    Bar(Bar),
    /// The bar of this subject and cause is taken back.
    Lift(Selector, Cause),
}

impl Change {
    fn subject(&self) -> &Selector {
        match self {
            Self::Bar(bar) => &bar.subject,
            Self::Lift(subject, _) => subject,
        }
    }

    fn apply(&self, bars: &mut Vec<Bar>) {
        let (subject, cause) = match self {
            Self::Bar(bar) => (&bar.subject, bar.cause),
            Self::Lift(subject, cause) => (subject, *cause),
        };
        bars.retain(|bar| !(bar.subject == *subject && bar.cause == cause));
        if let Self::Bar(bar) = self {
            bars.push(bar.clone());
            forget_oldest(bars);
        }
    }
}

/// Failures, which machines cause, are forgotten beyond a number. Revocations are not.
fn forget_oldest(bars: &mut Vec<Bar>) {
    let failed = bars.iter().filter(|bar| bar.cause == Cause::Failed);
    if failed.clone().count() > MOST_FAILURES {
        let oldest = failed.min_by_key(|bar| bar.since).map(|bar| bar.subject.clone());
        bars.retain(|bar| bar.cause != Cause::Failed || Some(&bar.subject) != oldest.as_ref());
    }
}

/// Reads all bars.
pub(crate) async fn load(storage: &Storage) -> Result<Bars, Error> {
    let mut bars = Vec::new();
    for shard in storage.list(PREFIX).await? {
        bars.extend(read(storage, &format!("{PREFIX}{shard}")).await?);
    }
    Ok(Bars::of(bars))
}

/// What changes write: in a transaction, where somebody else may change the same list.
pub(crate) async fn writes(
    transaction: &Storage,
    changes: &[&Change],
) -> Result<Vec<(String, Option<Vec<u8>>)>, Error> {
    let mut lists: BTreeMap<String, Vec<Bar>> = BTreeMap::new();
    for change in changes {
        let key = key(change.subject());
        if !lists.contains_key(&key) {
            lists.insert(key.clone(), read(transaction, &key).await?);
        }
        lists.entry(key).or_default();
    }
    for change in changes {
        change.apply(lists.entry(key(change.subject())).or_default());
    }
    let put = |(key, bars): (String, Vec<Bar>)| match minicbor::to_vec(&bars) {
        Ok(bytes) => Ok((key, Some(bytes))),
        Err(why) => Err(Error::Internal(format!("bars: {why}"))),
    };
    lists.into_iter().map(put).collect()
}

async fn read(storage: &Storage, key: &str) -> Result<Vec<Bar>, Error> {
    let Some(bytes) = storage.get(key).await? else { return Ok(Vec::new()) };
    // A list that cannot be read could hide a revocation: nothing is judged until it can.
    minicbor::decode(&bytes).map_err(|why| Error::Internal(format!("stored {key}: {why}")))
}

fn key(subject: &Selector) -> String {
    let [first, ..] = AwsLcRs.sha256(&[subject.to_string().as_bytes()]).0;
    format!("{PREFIX}{first:02x}")
}

/// Where the lists are.
const PREFIX: &str = "bars/";
/// The most failures in one list.
const MOST_FAILURES: usize = 64;
