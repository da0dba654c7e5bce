//! What a mount did, counted: `metrics`, as Prometheus text.
//!
//! Counters live in this process, begin at zero with it and speak of this node alone; gauges of what is stored are the same
//! on every node. Every label has a closed set of
//! values: platforms, limits, causes, kinds of collateral, and the ids of the catalogue's checks with their braces. No key, machine or caller is a
//! label, so nobody can make the text grow.
//!
//! Trusted: the caller, who was allowed to read. Untrusted: whatever is counted.

mod histogram;
mod serve;
mod stored;
mod text;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use attest::{Appraisal, Platform, UnixTime, catalogue};

use crate::limits::Limited;

pub(crate) use histogram::Batches;
pub(crate) use serve::read;

use histogram::{Histogram, MICROSECONDS};

/// The counters of one mount.
#[derive(Debug)]
pub(crate) struct Metrics {
    started: UnixTime,
    admitted: PerPlatform,
    refused: PerPlatform,
    unjudged: PerPlatform,
    failing: BTreeMap<&'static str, AtomicU64>,
    /// Each with what was told of it already.
    limited: BTreeMap<&'static str, (AtomicU64, AtomicU64)>,
    challenges: AtomicU64,
    token_releases: AtomicU64,
    steps: BTreeMap<Step, Histogram>,
}

/// What takes its time in a decision.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Step {
    /// Until it is this source's turn at the processor.
    Wait,
    /// To judge, with the record's signature.
    Judge,
    /// Until the record is stored.
    Commit,
    /// To seal.
    Seal,
}

impl Metrics {
    pub(crate) fn new(started: UnixTime) -> Self {
        let ids = catalogue::entries().map(|entry| entry.id).chain([OTHER]);
        let steps = Step::ALL.into_iter().map(|step| (step, Histogram::new(MICROSECONDS)));
        Self {
            started,
            admitted: PerPlatform::default(),
            refused: PerPlatform::default(),
            unjudged: PerPlatform::default(),
            failing: ids.map(|id| (id, AtomicU64::new(0))).collect(),
            limited: Limited::NAMES.into_iter().map(|name| (name, Default::default())).collect(),
            challenges: AtomicU64::new(0),
            token_releases: AtomicU64::new(0),
            steps: steps.collect(),
        }
    }

    pub(crate) fn challenged(&self) {
        one_more(&self.challenges);
    }

    /// An admission, once it is on record.
    pub(crate) fn admitted(&self, platform: Platform) {
        self.admitted.count(platform);
    }

    /// A refusal, once it is on record.
    pub(crate) fn refused(&self, appraisal: &Appraisal) {
        self.refused.count(appraisal.platform);
        for check in appraisal.failing() {
            let id = catalogue::entry(&check.id).map_or(OTHER, |entry| entry.id);
            self.failing.get(id).into_iter().for_each(one_more);
        }
    }

    /// Evidence that could not be judged: nothing is on record.
    pub(crate) fn unjudged(&self, platform: Platform) {
        self.unjudged.count(platform);
    }

    /// A release to the holder of an attested token.
    pub(crate) fn released_by_token(&self) {
        one_more(&self.token_releases);
    }

    /// A request that a limit turned away.
    pub(crate) fn limited(&self, limited: Limited) {
        self.limited.get(limited.name()).into_iter().for_each(|(counter, _)| one_more(counter));
    }

    /// The limits that turned requests away since this was last asked, with how many.
    pub(crate) fn newly_limited(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let new = |(counter, told): &(AtomicU64, AtomicU64)| {
            let now = value(counter);
            now.saturating_sub(told.swap(now, Ordering::Relaxed))
        };
        self.limited.iter().map(move |(name, counters)| (*name, new(counters))).filter(|(_, new)| *new > 0)
    }

    /// Measures from now until what it returns is dropped, also by a caller that went away.
    pub(crate) fn time(&self, step: Step) -> Timer<'_> {
        Timer { histogram: self.steps.get(&step), began: Instant::now() }
    }
}

impl Step {
    const ALL: [Self; 4] = [Self::Wait, Self::Judge, Self::Commit, Self::Seal];

    fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Judge => "judge",
            Self::Commit => "commit",
            Self::Seal => "seal",
        }
    }
}

/// A running measurement.
#[derive(Debug)]
pub(crate) struct Timer<'m> {
    histogram: Option<&'m Histogram>,
    began: Instant,
}

impl Drop for Timer<'_> {
    fn drop(&mut self) {
        let micros = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.histogram.into_iter().for_each(|histogram| histogram.observe(micros));
    }
}

/// One counter for each platform, by the platform's number.
#[derive(Debug)]
struct PerPlatform(BTreeMap<u8, (&'static str, AtomicU64)>);

impl Default for PerPlatform {
    fn default() -> Self {
        let zero = |platform: Platform| (platform.number(), (platform.name(), AtomicU64::new(0)));
        Self(Platform::ALL.into_iter().map(zero).collect())
    }
}

impl PerPlatform {
    fn count(&self, platform: Platform) {
        self.0.get(&platform.number()).into_iter().for_each(|(_, counter)| one_more(counter));
    }

    fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.values().map(|(name, counter)| (*name, value(counter)))
    }
}

fn one_more(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn value(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// A check that is not in the catalogue; a test of attest says that there is none.
const OTHER: &str = "other";
