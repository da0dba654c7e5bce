//! The store of one mount: index and objects, read from storage when they are first needed.
//!
//! One import at a time. What a machine brings is taken in the transaction that records its admission; while another
//! import is at work it is not taken at all, and no release waits for it.
//!
//! Trusted: the storage. Untrusted: what was brought.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use attest::collateral::{Issuers, Kind, Want, is_genuine, wants};
use attest::crypto::AwsLcRs;
use attest::{Crypto, Digest, Evidence, TrustAnchors, UnixTime};
use openbao_plugin::{Error, Host};
use serde_json::{Map, json};

use super::bag::Bag;
use super::cache::Cache;
use super::candidate::Candidate;
use super::index::{Entry, Index, Origin};
use super::missing::{Missing, chip_of};
use super::plan::Plan;
use crate::events;
use crate::log::Draft;
use crate::memory::{Memory, Reading};

/// The store of one mount.
#[derive(Debug)]
pub(crate) struct Store {
    index: Memory<Index>,
    /// The revision of the index that the log stored last: who began that import may have gone before it was told.
    latest: Arc<AtomicU64>,
    reading: tokio::sync::Mutex<()>,
    turn: tokio::sync::Mutex<()>,
    cache: Mutex<Cache>,
    missing: Arc<Missing>,
    warned: Mutex<UnixTime>,
}

/// Leave to change the index.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    _held: tokio::sync::MutexGuard<'a, ()>,
}

/// An import that waits for the record of an admission.
#[derive(Debug)]
pub(crate) struct Taking<'a> {
    store: &'a Store,
    plan: Plan,
    turn: Turn<'a>,
}

impl Taking<'_> {
    /// A draft with what is to be stored with its record; the objects are among those that the record names.
    pub(crate) fn onto(&self, draft: Draft) -> Result<Draft, Error> {
        Ok(draft.taking(&self.plan.index, self.plan.puts()?))
    }

    /// It was stored.
    pub(crate) fn done(self) {
        self.store.done(self.plan, &self.turn);
    }
}

/// What a judgement sees of the store.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    pub(crate) index: Arc<Index>,
    missing: Arc<Missing>,
}

impl Shelf {
    /// Notes what a true machine asked for in vain. Of one whose key is not there it can only be told that its chip is
    /// known at another TCB.
    pub(crate) fn note_missing(
        &self,
        evidence: &Evidence<'_>,
        bag: &Bag,
        anchors: &TrustAnchors,
        now: UnixTime,
    ) {
        let wants = wants(evidence).unwrap_or_default();
        let lacks = |want: &&Want| self.index.fitting(want).all(|entry| entry.until <= now);
        let absent: Vec<Want> = wants.iter().filter(lacks).cloned().collect();
        if absent.is_empty() {
            return;
        }
        let genuine = is_genuine(evidence, bag.endorsements(), &AwsLcRs, anchors, now);
        let known = |want: &Want| chip_of(want).is_some_and(|chip| self.index.knows(want.kind, chip));
        for want in absent.into_iter().filter(|want| genuine || known(want)) {
            self.missing.note(want, now);
        }
    }
}

impl Store {
    /// Nothing was read.
    pub(crate) fn new(latest: Arc<AtomicU64>) -> Self {
        Self {
            index: Memory::new(),
            latest,
            reading: tokio::sync::Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            cache: Mutex::default(),
            missing: Arc::default(),
            warned: Mutex::new(UnixTime(0)),
        }
    }

    /// Another node changed the index.
    pub(crate) fn forget(&self) {
        self.index.forget();
    }

    pub(crate) fn missing(&self) -> &Arc<Missing> {
        &self.missing
    }

    /// Waits until no other import is at work.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        Turn { _held: self.turn.lock().await }
    }

    /// The same for those who do not wait.
    pub(crate) fn turn_if_free(&self) -> Option<Turn<'_>> {
        self.turn.try_lock().ok().map(|held| Turn { _held: held })
    }

    /// What is remembered, unless it is behind.
    fn recall(&self) -> Result<Arc<Index>, Reading> {
        match self.index.recall() {
            Ok(index) if index.revision() < self.latest.load(Ordering::SeqCst) => {
                self.forget();
                self.index.recall()
            }
            other => other,
        }
    }

    pub(crate) async fn index(&self, host: &Host) -> Result<Arc<Index>, Error> {
        if let Ok(index) = self.recall() {
            return Ok(index);
        }
        // One reads, the others wait for what it read.
        let turn = self.reading.lock().await;
        let reading = match self.recall() {
            Ok(index) => return Ok(index),
            Err(reading) => reading,
        };
        let index = Arc::new(Index::load(host.storage()).await?);
        self.index.keep(&reading, &index);
        drop(turn);
        Ok(index)
    }

    /// The plan was stored: its index is the index.
    pub(crate) fn done(&self, plan: Plan, _turn: &Turn<'_>) {
        for (name, object) in plan.objects {
            self.cache().put(name, object.into());
        }
        self.index.forget();
        if let Err(reading) = self.index.recall() {
            self.index.keep(&reading, &Arc::new(plan.index));
        }
    }

    /// Adds what the evidence asks for and the client did not bring, and what it named by digest.
    pub(crate) async fn complete(
        &self,
        host: &Host,
        bag: &mut Bag,
        evidence: &Evidence<'_>,
        named: &[Digest<32>],
    ) -> Result<Shelf, Error> {
        let index = self.index(host).await?;
        let mut unknown = Vec::new();
        for digest in named {
            match index.named(digest) {
                Some(entry) if self.lay(host, entry, bag).await? => {}
                Some(_) | None => unknown.push(*digest),
            }
        }
        if !unknown.is_empty() {
            return Err(ask_for(&unknown));
        }
        // Evidence that does not say what it needs is told so by the judge.
        for want in wants(evidence).unwrap_or_default() {
            for entry in index.fitting(&want) {
                self.lay(host, entry, bag).await?;
            }
        }
        Ok(Shelf { index, missing: Arc::clone(&self.missing) })
    }

    /// Adds the object of an entry; whether it is there.
    async fn lay(&self, host: &Host, entry: &Entry, bag: &mut Bag) -> Result<bool, Error> {
        let Some(object) = self.object(host, entry).await? else { return Ok(false) };
        bag.add(entry.kind, entry.digest, &object);
        Ok(true)
    }

    /// What an admitted machine brought, about to be taken; nothing while another import is at work, or while there is
    /// no place.
    pub(crate) async fn taking(
        &self,
        host: &Host,
        fresh: Vec<Candidate>,
        now: UnixTime,
    ) -> Result<Option<Taking<'_>>, Error> {
        if fresh.is_empty() {
            return Ok(None);
        }
        let Some(turn) = self.turn_if_free() else { return Ok(None) };
        match Plan::of(self.index(host).await?.as_ref(), fresh, Origin::Client, now) {
            Ok(plan) if !plan.is_empty() => Ok(Some(Taking { store: self, plan, turn })),
            Ok(_nothing_new) => Ok(None),
            Err(why) => {
                events::collateral_not_kept(&why);
                Ok(None)
            }
        }
    }

    /// The certificates of issuers that are in store.
    pub(crate) async fn issuers(&self, host: &Host) -> Result<Issuers, Error> {
        let index = self.index(host).await?;
        let mut issuers = Issuers::default();
        for entry in index.of(Kind::Issuer) {
            if let Some(object) = self.object(host, entry).await? {
                issuers.add(&object);
            }
        }
        Ok(issuers)
    }

    /// The bytes of an entry, as they were when it was taken; `None` with a warning if the storage has others.
    pub(crate) async fn object(&self, host: &Host, entry: &Entry) -> Result<Option<Arc<[u8]>>, Error> {
        if let Some(object) = self.cache().get(&entry.digest) {
            return Ok(Some(object));
        }
        let stored = host.storage().get(&object_key(&entry.digest)).await?;
        let whole = stored.filter(|object| AwsLcRs.sha256(&[object]) == entry.digest);
        let Some(object) = whole else {
            events::collateral_damaged(&entry.digest);
            return Ok(None);
        };
        let object: Arc<[u8]> = object.into();
        self.cache().put(entry.digest, Arc::clone(&object));
        Ok(Some(object))
    }

    /// Whether it is time to warn again.
    pub(crate) fn may_warn(&self, now: UnixTime) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let due = now.since(*warned) >= WARN_EVERY;
        if due {
            *warned = now;
        }
        due
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where an object is; records find theirs in the same place.
pub(crate) fn object_key(name: &Digest<32>) -> String {
    format!("object/{name}")
}

/// Nothing was judged, and the challenge is good still: the client sends the bytes.
fn ask_for(unknown: &[Digest<32>]) -> Error {
    let unknown: Vec<String> = unknown.iter().map(ToString::to_string).collect();
    let message = format!("collateral: {} of the named objects are not in store, send them", unknown.len());
    Error::Refused { message, data: Map::from_iter([("unknown".to_owned(), json!(unknown))]) }
}

/// Once an hour.
const WARN_EVERY: u64 = 3600;
