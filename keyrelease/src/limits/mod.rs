//! How much those may ask who need no token.
//!
//! Three bounds, from cheap to dear: requests of a source (`Limits::enter`, before anything else is done), turns at the
//! processor ([`Turns`], round robin over mounts and their sources), and refusals that are put on record
//! (`Limits::refusal`), because the log only grows. An admitted machine costs its source no refusal, and a source whose
//! refusals are used up still has its admissions.
//!
//! Trusted: the settings, and the address that OpenBao saw. Untrusted: how often anybody asks.

mod bucket;
mod settings;
mod source;
mod table;
mod turns;

use std::sync::{Mutex, MutexGuard, PoisonError};

use attest::UnixTime;
use openbao_plugin::Error;

pub(crate) use settings::{Settings, configure};
pub(crate) use source::Source;
pub(crate) use turns::Turn;
pub use turns::Turns;

use bucket::Bucket;
use table::Table;

/// What the sources of one mount have used. In this process's memory: each node of a cluster counts for itself.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    sources: Table<Account>,
    refusals: Option<Bucket>,
}

/// What one source has used.
#[derive(Clone, Copy, Debug)]
struct Account {
    requests: Bucket,
    refusals: Bucket,
}

impl Limits {
    /// Counts one request of this source.
    pub(crate) fn enter(&self, source: Source, settings: &Settings, now: UnixTime) -> Result<(), Limited> {
        let mut used = self.used();
        let account = used.sources.of(source, settings.most_sources(), || Account::full(settings, now));
        let wait = account.requests.take(settings.requests(), now);
        wait.map_err(|seconds| Limited::Requests { per_second: settings.requests_per_second, seconds })
    }

    /// Spends one of the refusals that may be put on record, of this source and of the mount.
    pub(crate) fn refusal(&self, source: Source, settings: &Settings, now: UnixTime) -> Result<(), Limited> {
        let mut used = self.used();
        let Used { sources, refusals } = &mut *used;
        let in_all = refusals.get_or_insert_with(|| Bucket::full(settings.refusals_in_all(), now));
        let account = sources.of(source, settings.most_sources(), || Account::full(settings, now));
        let full = in_all.wait(settings.refusals_in_all(), now);
        if full > 0 {
            return Err(Limited::AllRefusals { per_hour: settings.refusals_per_hour_in_all, seconds: full });
        }
        let taken = account.refusals.take(settings.refusals(), now);
        taken.map_err(|seconds| Limited::Refusals { per_hour: settings.refusals_per_hour, seconds })?;
        // It has one: that was asked above, under the same lock.
        in_all.take(settings.refusals_in_all(), now).unwrap_or_default();
        Ok(())
    }

    /// Gives a refusal back that was not put on record after all.
    pub(crate) fn give_back(&self, source: Source, settings: &Settings, now: UnixTime) {
        let mut used = self.used();
        used.sources
            .of(source, settings.most_sources(), || Account::full(settings, now))
            .refusals
            .give_back(settings.refusals());
        if let Some(in_all) = &mut used.refusals {
            in_all.give_back(settings.refusals_in_all());
        }
    }

    /// How many sources are remembered.
    pub(crate) fn sources(&self) -> usize {
        self.used().sources.len()
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    fn full(settings: &Settings, now: UnixTime) -> Self {
        Self {
            requests: Bucket::full(settings.requests(), now),
            refusals: Bucket::full(settings.refusals(), now),
        }
    }
}

/// Which limit, and when to come again.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Limited {
    /// Requests of one source.
    #[error(
        "limit requests_per_second: this address may ask {per_second} times a second: retry after {seconds} s"
    )]
    Requests {
        /// The setting.
        per_second: u64,
        /// Until there is room for one.
        seconds: u64,
    },
    /// Refusals of one source. That this request would have been refused is not on record.
    #[error(
        "limit refusals_per_hour: {per_hour} refusals of this address are recorded in an hour: retry after {seconds} s"
    )]
    Refusals {
        /// The setting.
        per_hour: u64,
        /// Until there is room for one.
        seconds: u64,
    },
    /// Refusals of all sources.
    #[error(
        "limit refusals_per_hour_in_all: {per_hour} refusals are recorded in an hour: retry after {seconds} s"
    )]
    AllRefusals {
        /// The setting.
        per_hour: u64,
        /// Until there is room for one.
        seconds: u64,
    },
    /// Too many wait for the processor, and this source more than others.
    #[error("limit waiting: too many requests of this address wait to be judged: retry after 1 s")]
    Waiting,
}

impl Limited {
    /// Every name of a limit.
    pub(crate) const NAMES: [&str; 4] =
        ["requests_per_second", "refusals_per_hour", "refusals_per_hour_in_all", "waiting"];

    /// The name of the limit, as metrics and settings have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Requests { .. } => "requests_per_second",
            Self::Refusals { .. } => "refusals_per_hour",
            Self::AllRefusals { .. } => "refusals_per_hour_in_all",
            Self::Waiting => "waiting",
        }
    }
}

impl From<Limited> for Error {
    fn from(limited: Limited) -> Self {
        Self::Coded { status: 429, message: limited.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1000);

    fn settings() -> Settings {
        Settings {
            requests_per_second: 2,
            requests_burst: 3,
            refusals_per_hour: 1,
            refusals_burst: 2,
            refusals_per_hour_in_all: 1,
            refusals_burst_in_all: 3,
            sources: 4,
        }
    }

    fn source(last: u8) -> Source {
        Source::of(&format!("192.0.2.{last}"))
    }

    #[test]
    fn a_source_that_used_its_requests_up_waits_and_others_do_not() {
        let (limits, settings) = (Limits::default(), settings());
        for _ in 0..3 {
            assert_eq!(limits.enter(source(1), &settings, NOW), Ok(()));
        }
        let limited = limits.enter(source(1), &settings, NOW).unwrap_err();
        assert_eq!(limited, Limited::Requests { per_second: 2, seconds: 1 });
        let words = "limit requests_per_second: this address may ask 2 times a second: retry after 1 s";
        assert_eq!(Error::from(limited), Error::Coded { status: 429, message: words.to_owned() });
        assert_eq!(limits.enter(source(2), &settings, NOW), Ok(()));
        assert_eq!(limits.enter(source(1), &settings, NOW.plus(1)), Ok(()));
    }

    #[test]
    fn exactly_as_many_refusals_go_on_record_as_the_budgets_say() {
        let (limits, settings) = (Limits::default(), settings());
        let spend = |last| limits.refusal(source(last), &settings, NOW);
        assert_eq!([spend(1), spend(1)], [Ok(()), Ok(())]);
        assert_eq!(spend(1), Err(Limited::Refusals { per_hour: 1, seconds: 3600 }));
        assert_eq!(spend(2), Ok(()));
        assert_eq!(spend(2), Err(Limited::AllRefusals { per_hour: 1, seconds: 3600 }));
        limits.give_back(source(2), &settings, NOW);
        assert_eq!(spend(2), Ok(()));
        assert_eq!(spend(2), Err(Limited::AllRefusals { per_hour: 1, seconds: 3600 }));
        assert_eq!(limits.refusal(source(2), &settings, NOW.plus(3600)), Ok(()));
    }

    #[test]
    fn no_more_sources_are_remembered_than_the_settings_say() {
        let (limits, settings) = (Limits::default(), settings());
        for last in 0..=255 {
            assert_eq!(limits.enter(source(last), &settings, NOW), Ok(()));
            assert_eq!(limits.refusal(source(last), &settings, NOW).is_ok(), last < 3);
        }
        assert_eq!(limits.sources(), 4);
    }
}
