//! The writer: many decisions, one commit.
//!
//! Whoever has a decision to record puts it into the queue; whoever holds the end of the log takes all that wait there.
//! The work is done in a task of its own, because a caller that goes away must not take others' records with it.
//!
//! Trusted: OpenBao's transactions: what one has read has not changed when it is committed.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use attest::crypto::AwsLcRs;
use attest::log::{Edge, Level, Tail, Tile, Width, bundle, leaf_hash};
use attest::{Digest, UnixTime};
use openbao_plugin::{Error, Host, HostError, Storage, Transaction};
use tokio::sync::oneshot;

use super::draft::Draft;
use super::file::{StoredRecord, key, object_key};
use super::signer::LogSigner;
use super::tip::{BUNDLE, Head, Piece, Tip, damaged, slot, tile_key};
use crate::memory::Memory;
use crate::metrics::Batches;
use crate::record::{DecisionId, LedgerError};
use crate::standing::{self, Bars, Change};

/// The log of one mount.
#[derive(Debug)]
pub(crate) struct Log {
    queue: Mutex<Vec<Waiting>>,
    /// Shared objects that are in storage for sure.
    objects: Mutex<HashSet<Digest<32>>>,
    tip: tokio::sync::Mutex<Option<Tip>>,
    bars: Memory<Bars>,
    rules: AtomicU64,
    /// The latest revision of the collateral's index that was stored with an entry.
    pub(crate) collateral: Arc<AtomicU64>,
    pub(crate) batches: Batches,
}

#[derive(Debug)]
struct Waiting {
    draft: Draft,
    answer: oneshot::Sender<Result<(), LedgerError>>,
}

impl Log {
    /// Nothing was read or written.
    pub(crate) fn new() -> Self {
        Self {
            queue: Mutex::default(),
            objects: Mutex::default(),
            tip: tokio::sync::Mutex::default(),
            bars: Memory::new(),
            rules: AtomicU64::new(0),
            collateral: Arc::default(),
            batches: Batches::default(),
        }
    }

    /// What is known of machines.
    pub(crate) async fn bars(&self, storage: &Storage) -> Result<Arc<Bars>, Error> {
        match self.bars.recall() {
            Ok(bars) => Ok(bars),
            Err(reading) => {
                let bars = Arc::new(standing::load(storage).await?);
                self.bars.keep(&reading, &bars);
                Ok(bars)
            }
        }
    }

    /// How many steps of the rule over the mount this process has put on record. What was read before the last of them is
    /// old.
    pub(crate) fn rules(&self) -> u64 {
        self.rules.load(Ordering::SeqCst)
    }

    /// Another node changed what is known of machines.
    pub(crate) fn forget_bars(&self) {
        self.bars.forget();
    }

    /// Returns when the draft is on record, with all that it brings; or why it is not.
    pub(crate) async fn append(
        self: &Arc<Self>,
        host: &Host,
        signer: &Arc<LogSigner>,
        draft: Draft,
        now: UnixTime,
    ) -> Result<(), LedgerError> {
        let (answer, answered) = oneshot::channel();
        self.queue().push(Waiting { draft, answer });
        let (log, host, signer) = (Arc::clone(self), host.clone(), Arc::clone(signer));
        drop(tokio::spawn(async move { log.commit(&host, &signer, now).await }));
        answered.await.unwrap_or(Err(LedgerError::Lost))
    }

    /// Whether an object of this name is in storage for sure.
    pub(crate) fn has(&self, name: &Digest<32>) -> bool {
        self.objects().contains(name)
    }

    async fn commit(&self, host: &Host, signer: &LogSigner, now: UnixTime) {
        let mut tip = self.tip.lock().await;
        let (drafts, answers): (Vec<_>, Vec<_>) = self.take().into_iter().unzip();
        if drafts.is_empty() {
            return;
        }
        self.batches.observe(drafts.len());
        let results = match self.write(&mut tip, host, signer, &drafts, now).await {
            Ok(results) => results,
            // One that cannot be stored must not keep the others from it.
            Err(error) if drafts.len() > 1 && error != LedgerError::Storage(HostError::ReadOnly) => {
                let mut results = Vec::new();
                for draft in &drafts {
                    let result = self.write(&mut tip, host, signer, std::slice::from_ref(draft), now).await;
                    results
                        .push(result.map_or_else(Err, |mut one| one.pop().unwrap_or(Err(LedgerError::Lost))));
                }
                results
            }
            Err(error) => vec![Err(error); drafts.len()],
        };
        drop(tip);
        for (answer, result) in answers.into_iter().zip(results) {
            // A caller that left needs no answer.
            answer.send(result).unwrap_or_default();
        }
    }

    /// As many as one commit takes.
    fn take(&self) -> Vec<(Draft, oneshot::Sender<Result<(), LedgerError>>)> {
        let mut queue = self.queue();
        let (mut count, mut bytes) = (0_usize, 0_usize);
        for waiting in queue.iter() {
            bytes = bytes.saturating_add(waiting.draft.size());
            if count >= MOST_AT_ONCE || (count > 0 && bytes > MOST_BYTES) {
                break;
            }
            count = count.saturating_add(1);
        }
        queue.drain(..count).map(|waiting| (waiting.draft, waiting.answer)).collect()
    }

    /// Writes drafts in one transaction, again if another writer was faster. An error means that it is not known to be
    /// stored: the end of the log is read anew.
    async fn write(
        &self,
        kept: &mut Option<Tip>,
        host: &Host,
        signer: &LogSigner,
        drafts: &[Draft],
        now: UnixTime,
    ) -> Result<Results, LedgerError> {
        let mut error = LedgerError::Lost;
        for _ in 0..ATTEMPTS {
            match self.attempt(kept, host, signer, drafts, now).await {
                Ok(results) => return Ok(results),
                Err(why) => error = why,
            }
            *kept = None;
            if !matches!(&error, LedgerError::Storage(error) if error.is_conflict()) {
                break;
            }
        }
        Err(error)
    }

    async fn attempt(
        &self,
        kept: &mut Option<Tip>,
        host: &Host,
        signer: &LogSigner,
        drafts: &[Draft],
        now: UnixTime,
    ) -> Result<Results, LedgerError> {
        let transaction = host.transaction().await?;
        let stored = transaction.get(Head::KEY).await?;
        let mut tip = match kept.take() {
            Some(tip) if tip.stored == stored => tip,
            _ => {
                // Another writer wrote, and may have barred somebody.
                self.forget_bars();
                Tip::load(&transaction, stored, now).await?
            }
        };
        let bars = self.bars(&transaction).await?;
        let unfounded = unfounded(&transaction, drafts).await?;
        let known = Known { bars: &bars, unfounded, rules: self.rules() };
        let step = Step::plan(&tip, &known, drafts, signer)?;
        if !step.is_empty() {
            let objects = self.missing(&step, drafts);
            let writes = step.writes(&transaction, drafts, &objects).await?;
            transaction.write(writes).await?;
            if let Err(error) = transaction.commit().await {
                self.forget_bars();
                return Err(error.into());
            }
            self.objects().extend(objects.keys());
            self.follow(&bars, step.changes(drafts));
            let revision = step.taken(drafts).filter_map(|draft| draft.collateral).max();
            self.collateral.fetch_max(revision.unwrap_or(0), Ordering::SeqCst);
            if step.taken(drafts).any(Draft::rules) {
                self.rules.fetch_add(1, Ordering::SeqCst);
            }
        }
        let results = step.apply(&mut tip);
        tip.recent.forget(now);
        *kept = Some(tip);
        Ok(results)
    }

    /// Remembers changes of standing that were stored. Whoever was reading the bars meanwhile may have read them without.
    fn follow<'c>(&self, bars: &Arc<Bars>, changes: impl Iterator<Item = &'c Change>) {
        let mut changes = changes.peekable();
        if changes.peek().is_some() {
            changes.for_each(|change| bars.apply(change));
            self.bars.replace(bars);
        }
    }

    /// The shared objects that are not known to be in storage.
    fn missing<'d>(&self, step: &Step, drafts: &'d [Draft]) -> BTreeMap<Digest<32>, &'d [u8]> {
        let stored = self.objects();
        let taken = step.taken.iter().filter_map(|(place, _)| drafts.get(*place));
        let named = taken.flat_map(|draft| &draft.shared).filter(|(name, _)| !stored.contains(name));
        named.map(|(name, object)| (*name, object.as_slice())).collect()
    }

    fn objects(&self) -> MutexGuard<'_, HashSet<Digest<32>>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The places of the drafts that rest on what is not in storage any more.
async fn unfounded(transaction: &Transaction, drafts: &[Draft]) -> Result<HashSet<usize>, LedgerError> {
    let mut unfounded = HashSet::new();
    for (place, draft) in drafts.iter().enumerate() {
        for (key, bytes) in &draft.rests_on {
            if transaction.get(key).await? != *bytes {
                unfounded.insert(place);
            }
        }
    }
    Ok(unfounded)
}

/// What holds when drafts are to be written.
struct Known<'b> {
    bars: &'b Bars,
    /// The places of the drafts that rest on what is not in storage any more.
    unfounded: HashSet<usize>,
    rules: u64,
}

type Results = Vec<Result<(), LedgerError>>;

/// What one commit does to the log.
struct Step {
    results: Results,
    tail: Tail,
    edge: Edge,
    /// The drafts that are taken, with the index of their entry.
    taken: Vec<(usize, u64)>,
    entries: Vec<(UnixTime, DecisionId, Vec<u8>)>,
    puts: Vec<(String, Vec<u8>)>,
    head: Vec<u8>,
    /// The new entries of the bundle that is not full, afterwards.
    open: Vec<Vec<u8>>,
    /// Whether that bundle is another than the one that was not full before.
    is_next: bool,
}

impl Step {
    fn plan(tip: &Tip, known: &Known<'_>, drafts: &[Draft], signer: &LogSigner) -> Result<Self, Error> {
        let mut step = Self {
            results: Vec::new(),
            tail: tip.tail,
            edge: tip.edge.clone(),
            taken: Vec::new(),
            entries: Vec::new(),
            puts: Vec::new(),
            head: Vec::new(),
            open: Vec::new(),
            is_next: false,
        };
        for (place, draft) in drafts.iter().enumerate() {
            let is_overtaken = step.taken(drafts).any(|earlier| earlier.changes_ground_of(draft));
            let is_old = draft.grants() && step.rules_changed(known, draft, drafts);
            let has_ground = !known.unfounded.contains(&place) && !is_overtaken && !is_old;
            let ground = if has_ground { Ok(()) } else { Err(LedgerError::Changed) };
            let result = ground.and_then(|()| step.admits(tip, draft));
            let result = result.and_then(|()| step.stands(known.bars, draft, drafts));
            if result.is_ok() {
                step.append(tip, place, draft)?;
            }
            step.results.push(result);
        }
        if !step.is_empty() {
            step.close(tip, signer)?;
        }
        Ok(step)
    }

    fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// One challenge, one answer.
    fn admits(&self, tip: &Tip, draft: &Draft) -> Result<(), LedgerError> {
        let id = draft.id();
        let answered = match draft.answers {
            Some(expires) => tip.recent.answered(id, expires),
            None => tip.recent.contains(id),
        };
        let in_this_step = self.entries.iter().any(|(_, taken, _)| *taken == id);
        if answered || in_this_step { Err(LedgerError::Taken) } else { Ok(()) }
    }

    /// Nothing is given to whom a bar concerns, also one that was written after the decision, or stands in this very step.
    fn stands(&self, bars: &Bars, draft: &Draft, drafts: &[Draft]) -> Result<(), LedgerError> {
        let whom = &draft.event.subject;
        let concerns = |change: &&Change| matches!(change, Change::Bar(bar) if bar.concerns(whom));
        let barred = draft.grants()
            && (bars.against(whom).is_some() || self.changes(drafts).any(|change| concerns(&change)));
        if barred { Err(LedgerError::Barred) } else { Ok(()) }
    }

    /// Whether the rules changed since this was judged, also by what stands in this very step.
    fn rules_changed(&self, known: &Known<'_>, draft: &Draft, drafts: &[Draft]) -> bool {
        draft.rules.is_some_and(|rules| rules != known.rules) || self.taken(drafts).any(Draft::rules)
    }

    /// The drafts that are taken.
    fn taken<'d>(&self, drafts: &'d [Draft]) -> impl Iterator<Item = &'d Draft> {
        self.taken.iter().filter_map(|(place, _)| drafts.get(*place))
    }

    /// The changes of standing that the taken drafts bring.
    fn changes<'d>(&self, drafts: &'d [Draft]) -> impl Iterator<Item = &'d Change> {
        self.taken(drafts).filter_map(|draft| draft.change.as_ref())
    }

    fn append(&mut self, tip: &Tip, place: usize, draft: &Draft) -> Result<(), Error> {
        let unfit = |why: attest::log::BadEntry| Error::Internal(format!("log entry: {why}"));
        let (entry, bytes) = self.tail.append(&AwsLcRs, draft.event.clone()).map_err(unfit)?;
        let full = self.edge.append(&AwsLcRs, leaf_hash(&AwsLcRs, &bytes));
        self.puts.extend(full.into_iter().map(|(tile, bytes)| (tile_key(tile), bytes)));
        self.open.push(bytes.clone());
        let before = if self.is_next { &[] } else { tip.open.as_slice() };
        if u64::try_from(before.len().saturating_add(self.open.len())) == Ok(BUNDLE) {
            let tile = Tile { level: Level::Entries, index: entry.index / BUNDLE, width: Width::FULL };
            let entries = bundle(before.iter().chain(&self.open).map(Vec::as_slice));
            self.puts.push((tile_key(tile), entries.ok_or_else(|| damaged(&"an entry is too long"))?));
            self.open.clear();
            self.is_next = true;
        }
        self.taken.push((place, entry.index));
        self.entries.push((draft.event.at, draft.id(), bytes));
        Ok(())
    }

    /// The piece of the open bundle and the new head.
    fn close(&mut self, tip: &Tip, signer: &LogSigner) -> Result<(), Error> {
        let (before, size) = (tip.tail.count(), self.tail.count());
        let first = before.max(size.saturating_sub(size % BUNDLE));
        if !self.open.is_empty() {
            let piece = Piece::encode(first, self.open.iter().map(Vec::as_slice));
            self.puts.push((slot(first), piece.ok_or_else(|| damaged(&"an entry is too long"))?));
        }
        let level = |(tile, bytes): (Tile, Vec<u8>)| match tile.level {
            Level::Hashes(level) => Some((level, bytes.into())),
            Level::Entries => None,
        };
        let last = self.entries.last().map(|(_, _, bytes)| bytes.clone()).unwrap_or_default();
        let head = Head {
            size,
            last: last.into(),
            edge: self.edge.partial().filter_map(level).collect(),
            checkpoint: signer.sign(self.edge.head(&AwsLcRs))?.into(),
        };
        self.head = head.encode()?;
        Ok(())
    }

    /// All that this commit writes; what has no value is deleted.
    async fn writes(
        &self,
        transaction: &Transaction,
        drafts: &[Draft],
        objects: &BTreeMap<Digest<32>, &[u8]>,
    ) -> Result<BTreeMap<String, Option<Vec<u8>>>, LedgerError> {
        let mut writes = BTreeMap::new();
        for (place, index) in &self.taken {
            let Some(draft) = drafts.get(*place) else { continue };
            let own = draft.own.iter().cloned().map(Into::into).collect();
            let record = StoredRecord { index: *index, signed: draft.signed.clone().into(), own };
            writes.insert(key(&draft.id().to_string()), Some(record.to_cbor()?));
            writes.extend(draft.puts.iter().cloned().map(|(key, bytes)| (key, Some(bytes))));
            writes.extend(draft.deletes.iter().cloned().map(|key| (key, None)));
        }
        let changes: Vec<&Change> = self.changes(drafts).collect();
        writes.extend(standing::writes(transaction, &changes).await?);
        writes.extend(objects.iter().map(|(name, object)| (object_key(*name), Some(object.to_vec()))));
        writes.extend(self.puts.iter().cloned().map(|(key, bytes)| (key, Some(bytes))));
        writes.insert(Head::KEY.to_owned(), Some(self.head.clone()));
        Ok(writes)
    }

    /// The commit is done: this is the end of the log now.
    fn apply(self, tip: &mut Tip) -> Results {
        if self.is_empty() {
            return self.results;
        }
        tip.stored = Some(self.head);
        tip.tail = self.tail;
        tip.edge = self.edge;
        if self.is_next {
            tip.open.clear();
        }
        tip.open.extend(self.open);
        for (at, id, _) in self.entries {
            tip.recent.insert(at, id);
        }
        self.results
    }
}

/// How often a writer begins again because another was faster.
const ATTEMPTS: u32 = 8;
/// The most decisions that one commit takes.
const MOST_AT_ONCE: usize = 128;
/// And about how many bytes: raft takes entries of 1 MiB unless told otherwise.
const MOST_BYTES: usize = 512 * 1024;
