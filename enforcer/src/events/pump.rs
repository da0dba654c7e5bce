//! Joins the pieces: a record from the kernel, who it was, what it becomes, where it goes.
//!
//! One thread, and nothing waits. [`Pump::record`] for each record, [`Pump::tick`] about once a second, [`Pump::end`] at the end. What
//! is told goes to all outlets, and to `watch`, who passes it on to watchers.

use std::path::Path;

use enforcer_abi::Record;
use protocol::enforcer::{Decision, Event, Moment, Place, Severity};

use super::aggregate::{Aggregator, Settings};
use super::event::{self, Seen, Told, notice};
use super::look::{Cgroups, Programs};
use super::metrics::Passed;
use super::outlet::{Origin, Outlet};
use crate::procfs;

/// What the clocks say, in nanoseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Now {
    /// Since the machine started, sleep included: the clock of records.
    pub boot: u64,
    /// Since 1970.
    pub unix: u64,
}

impl Now {
    /// When the machine started, since 1970.
    #[must_use]
    pub const fn booted(self) -> u64 {
        self.unix.saturating_sub(self.boot)
    }
}

/// Records in, events out.
#[derive(Debug)]
pub struct Pump {
    origin: Origin,
    aggregator: Aggregator,
    /// Whether what the policy is not against is told too.
    all: bool,
    cgroups: Cgroups,
    programs: Programs,
    outlets: Vec<Outlet>,
    /// The ring buffer's losses as they were last told.
    lost: u64,
    passed: Passed,
}

impl Pump {
    /// With these places to write to. `settings` of [`Settings::ALL`] tell everything, one by one.
    #[must_use]
    pub fn new(origin: Origin, settings: Settings, outlets: Vec<Outlet>) -> Self {
        Self {
            origin,
            aggregator: Aggregator::new(settings),
            all: settings == Settings::ALL,
            cgroups: Cgroups::new(Path::new("/sys/fs/cgroup")),
            programs: Programs::new(procfs::ours().ok()),
            outlets,
            lost: 0,
            passed: Passed::default(),
        }
    }

    /// One record.
    pub fn record(&mut self, record: &Record, now: Now, watch: &mut impl FnMut(&Event)) {
        self.passed.records = self.passed.records.saturating_add(1);
        if !self.all && event::decision(record) == Decision::Allowed {
            return;
        }
        // Whom we protect shows its program to nobody, us included; to ask would be an event itself.
        let exe = if record.subject_group == 0 { self.programs.of(record.pid) } else { None };
        if let Some(told) = self.aggregator.take(record, exe.as_ref()) {
            self.tell(&told, now, watch);
        }
    }

    /// What time brought: windows that ended, and records that were lost up to now.
    pub fn tick(&mut self, now: Now, lost: u64, watch: &mut impl FnMut(&Event)) {
        for told in self.aggregator.due(now.boot) {
            self.tell(&told, now, watch);
        }
        let more = lost.saturating_sub(self.lost);
        self.lost = lost;
        if more > 0 {
            let message = format!("{more} records were lost: more came than were read");
            self.say(&notice(Event::LOST, Severity::High, more, Moment(now.unix), message), watch);
        }
        // A number is not another's within a second, as a rule; what is told of a program is best effort.
        self.programs.forget();
    }

    /// Tells what was held back.
    pub fn end(&mut self, now: Now, watch: &mut impl FnMut(&Event)) {
        for told in self.aggregator.rest() {
            self.tell(&told, now, watch);
        }
    }

    /// Where a process lives.
    #[must_use]
    pub fn place(&self, pid: u32) -> Place {
        self.programs.place(pid)
    }

    /// Tells an event of the enforcer's own.
    pub fn say(&mut self, event: &Event, watch: &mut impl FnMut(&Event)) {
        let sequence = self.passed.events;
        self.passed.events = sequence.saturating_add(1);
        for outlet in &mut self.outlets {
            outlet.write(event, &self.origin, sequence);
        }
        watch(event);
    }

    /// What passed here.
    #[must_use]
    pub fn passed(&self) -> Passed {
        let outlets_lost = self.outlets.iter().map(Outlet::lost).fold(0, u64::saturating_add);
        Passed { outlets_lost, ..self.passed }
    }

    fn tell(&mut self, told: &Told, now: Now, watch: &mut impl FnMut(&Event)) {
        let record = &told.record;
        let seen = Seen {
            booted: now.booted(),
            subject: self.cgroups.place(record.cgroup, now.boot),
            object: if record.object_pid == 0 {
                Place::default()
            } else {
                self.programs.place(record.object_pid)
            },
        };
        self.say(&event::event(told, &seen), watch);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use enforcer_abi::Vector;

    use super::super::event::tests::record;
    use super::*;

    fn pump(folder: &Path, settings: Settings) -> Pump {
        let origin = Origin { host: "node-1".to_owned(), version: "0.1.0", instance: "b00t".to_owned() };
        let spec = format!("json:{}", folder.join("events").display()).parse().unwrap();
        Pump::new(origin, settings, vec![Outlet::new(spec, u64::MAX).unwrap()])
    }

    fn told(folder: &Path) -> Vec<(String, Decision, u64)> {
        let text = fs::read_to_string(folder.join("events")).unwrap();
        let events = text.lines().map(|line| serde_json::from_str::<Event>(line).unwrap());
        events.map(|event| (event.event, event.decision, event.count)).collect()
    }

    const NOW: Now = Now { boot: 5_000_000_000, unix: 1_795_370_819_000_000_000 };
    const LATER: Now = Now { boot: 20_000_000_000, unix: 1_795_370_834_000_000_000 };

    #[test]
    fn alike_records_are_one_event_and_losses_are_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut pump = pump(folder.path(), Settings::USUAL);
        for _ in 0..105 {
            pump.record(&record(Vector::PidfdGetfd), NOW, &mut |_| {});
        }
        pump.tick(NOW, 3, &mut |_| {});
        pump.tick(LATER, 3, &mut |_| {});
        pump.end(LATER, &mut |_| {});
        let name = || "PIDFD_GETFD".to_owned();
        assert_eq!(
            told(folder.path()),
            [
                (name(), Decision::Denied, 1),
                (Event::LOST.to_owned(), Decision::Notice, 3),
                (name(), Decision::Denied, 104),
            ]
        );
        assert_eq!((pump.passed().records, pump.passed().events), (105, 3));
    }

    #[test]
    fn what_the_policy_is_not_against_is_told_to_whom_wants_everything() {
        let allowed = Record { ruling: 0, ..record(Vector::Mount) };
        for (settings, expected) in [(Settings::USUAL, 0), (Settings::ALL, 2)] {
            let folder = tempfile::tempdir().unwrap();
            let mut pump = pump(folder.path(), settings);
            pump.record(&allowed, NOW, &mut |_| {});
            pump.record(&allowed, NOW, &mut |_| {});
            assert_eq!(told(folder.path()).len(), expected);
        }
    }

    #[test]
    fn whoever_watches_is_told_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let mut pump = pump(folder.path(), Settings::USUAL);
        let mut watched = Vec::new();
        pump.record(&record(Vector::Environ), NOW, &mut |event| watched.push(event.event.clone()));
        assert_eq!(watched, ["ENVIRON_READ"]);
        assert_eq!(told(folder.path()).len(), 1);
    }
}
