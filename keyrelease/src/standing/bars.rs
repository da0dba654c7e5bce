//! The bars of a mount, in memory, found by what they name.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use attest::log::{Measurement, Selector, Subject};
use attest::{Bar, Cause, Digest, Known, Standing};

use super::shards::Change;

/// All bars.
#[derive(Debug, Default)]
pub(crate) struct Bars {
    index: RwLock<Index>,
}

#[derive(Debug, Default)]
struct Index {
    hardware: HashMap<Digest<32>, Vec<Bar>>,
    instance: HashMap<Digest<32>, Vec<Bar>>,
    measurement: HashMap<Measurement, Vec<Bar>>,
    /// Those that name policies, product lines and platforms: few.
    wide: Vec<Bar>,
}

impl Bars {
    pub(crate) fn of(bars: impl IntoIterator<Item = Bar>) -> Self {
        let mut index = Index::default();
        bars.into_iter().for_each(|bar| index.insert(bar));
        Self { index: RwLock::new(index) }
    }

    /// Follows a change that was stored.
    pub(crate) fn apply(&self, change: &Change) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        match change {
            Change::Bar(bar) => index.insert(bar.clone()),
            Change::Lift(subject, cause) => {
                index.place(subject).retain(|bar| !(bar.subject == *subject && bar.cause == *cause));
            }
        }
    }

    /// The first bar that concerns a machine.
    pub(crate) fn against(&self, whom: &Subject) -> Option<Bar> {
        self.read().near(whom).find(|bar| bar.concerns(whom)).cloned()
    }

    /// All of one cause, in the order of what they name.
    pub(crate) fn all(&self, cause: Cause) -> Vec<Bar> {
        let mut all: Vec<Bar> = self.read().of(cause).cloned().collect();
        all.sort_by(|one, other| one.subject.cmp(&other.subject));
        all
    }

    /// How many there are of one cause.
    pub(crate) fn count(&self, cause: Cause) -> usize {
        self.read().of(cause).count()
    }

    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known for Bars {
    fn standing(&self, whom: &Subject) -> Standing {
        let index = self.read();
        let bars = index.near(whom).filter(|bar| bar.concerns(whom)).cloned().collect();
        Standing { bars, ..Standing::default() }
    }
}

impl Index {
    /// A bar takes the place of an earlier one of the same subject and cause.
    fn insert(&mut self, bar: Bar) {
        let place = self.place(&bar.subject);
        place.retain(|other| !(other.subject == bar.subject && other.cause == bar.cause));
        place.push(bar);
    }

    fn place(&mut self, subject: &Selector) -> &mut Vec<Bar> {
        match subject {
            Selector::Hardware(name) => self.hardware.entry(*name).or_default(),
            Selector::Instance(name) => self.instance.entry(*name).or_default(),
            Selector::Measurement(measurement) => self.measurement.entry(measurement.clone()).or_default(),
            // Policies, product lines and platforms, and whatever else may be named one day.
            Selector::Policy { .. } | Selector::ProductLine(_) | Selector::Platform(_) | _ => &mut self.wide,
        }
    }

    /// All of one cause.
    fn of(&self, cause: Cause) -> impl Iterator<Item = &Bar> {
        let named = [&self.hardware, &self.instance].into_iter().flat_map(HashMap::values);
        let all = named.chain(self.measurement.values()).chain([&self.wide]).flatten();
        all.filter(move |bar| bar.cause == cause)
    }

    /// Those that may concern a machine.
    fn near(&self, whom: &Subject) -> impl Iterator<Item = &Bar> {
        let hardware = whom.hardware.and_then(|name| self.hardware.get(&name));
        let instance = whom.instance.and_then(|name| self.instance.get(&name));
        let measurement = whom.measurement.as_ref().and_then(|measurement| self.measurement.get(measurement));
        [hardware, instance, measurement].into_iter().flatten().chain([&self.wide]).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use attest::UnixTime;

    fn bar(subject: &str, cause: Cause) -> Bar {
        let subject = subject.parse().unwrap();
        Bar { subject, cause, reason: "test".to_owned(), since: UnixTime(1), under: None }
    }

    fn machine() -> Subject {
        Subject {
            hardware: Some(Digest([1; 32])),
            instance: Some(Digest([2; 32])),
            measurement: "07".repeat(48).parse().ok(),
            product_line: Some(attest::log::Text::fitting("Milan")),
            ..Subject::default()
        }
    }

    #[test]
    fn a_machine_is_found_by_each_of_its_names_and_no_other_is() {
        let names = [
            format!("hardware={}", "01".repeat(32)),
            format!("instance={}", "02".repeat(32)),
            format!("measurement={}", "07".repeat(48)),
            "product-line=Milan".to_owned(),
        ];
        for name in names {
            let bars = Bars::of([bar(&name, Cause::Revoked)]);
            assert!(bars.against(&machine()).is_some(), "{name}");
            assert!(bars.against(&Subject::default()).is_none(), "{name}");
        }
    }

    #[test]
    fn what_is_lifted_no_longer_bars_and_the_other_cause_does() {
        let name = format!("instance={}", "02".repeat(32));
        let bars = Bars::of([bar(&name, Cause::Revoked), bar(&name, Cause::Failed)]);
        bars.apply(&Change::Lift(name.parse().unwrap(), Cause::Failed));
        assert_eq!(bars.against(&machine()).unwrap().cause, Cause::Revoked);
        bars.apply(&Change::Lift(name.parse().unwrap(), Cause::Revoked));
        assert_eq!(bars.against(&machine()), None);
    }

    #[test]
    fn a_failure_under_one_policy_does_not_bar_under_another() {
        let name = format!("instance={}", "02".repeat(32));
        let under = Some(Digest([5; 32]));
        let bars = Bars::of([Bar { under, ..bar(&name, Cause::Failed) }]);
        let asking = |digest| {
            let policy = attest::log::PolicyRef { name: attest::log::Text::default(), version: 1, digest };
            Subject { policy: Some(policy), ..machine() }
        };
        assert!(bars.against(&asking(Digest([5; 32]))).is_some());
        assert!(bars.against(&asking(Digest([6; 32]))).is_none());
        assert!(bars.against(&machine()).is_none());
    }
}
