//! From the programs' maps to everything that is told: events, metrics, the sign of life.
//!
//! The loop waits for [`Feed::fd`], calls [`Feed::ready`] when there is something, and [`Feed::tick`] every turn. Records are taken
//! in bites, so that a flood of them keeps nobody waiting who asks on the socket.
//!
//! Trusted: the kernel's side, and the operator's settings.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use aya::maps::{MapData, RingBuf};
use enforcer_abi::share::{CAPACITY, RESERVE, Table};
use enforcer_abi::{CATALOGUE, Vector};
use protocol::enforcer::{Event, Heartbeat, Matrix, Moment, Object, Place, Severity, Verified};
use rustix::process::{Pid, Signal, kill_process};

use super::aggregate::Settings;
use super::event::{notice, shown};
use super::metrics::Counts;
use super::outlet::{Origin, Outlet, Spec};
use super::pump::{Now, Pump};
use super::stopped::Stopped;
use super::{clock, heartbeat, metrics, ring};
use crate::{kernel, procfs};

/// Has a process go on.
fn resume(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // Gone: nobody waits.
    let _gone = pid.map(|pid| kill_process(pid, Signal::CONT));
}

/// What is told, and where.
#[derive(clap::Args, Debug)]
pub struct Outputs {
    /// Where events go, as FORM:PLACE: json, ocsf or otlp; -, a path, or unix:PATH; again for more.
    #[arg(long = "events", value_name = "FORM:PLACE", default_value = "json:-")]
    pub events: Vec<Spec>,
    /// Tell everything, one by one, and what is within the policy too.
    #[arg(long)]
    pub log_all: bool,
    /// The size at which a file of events is moved aside, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    pub events_file_size: u64,
    /// Where metrics are written, in Prometheus's text format: NAME.prom in the node exporter's folder.
    #[arg(long, value_name = "FILE")]
    pub metrics: Option<PathBuf>,
    /// Where the sign of life is written.
    #[arg(long, value_name = "FILE", default_value = protocol::enforcer::HEARTBEAT)]
    pub heartbeat: PathBuf,
}

/// What the kernel's side fills.
pub struct Maps {
    /// Records.
    pub records: RingBuf<MapData>,
    /// Per vector and processor: told, refused, lost.
    pub counts: OwnedFd,
    /// Per processor: calls that were searched, searched but for their ends, not to be read.
    pub searches: OwnedFd,
    /// By table: entries in use.
    pub fill: OwnedFd,
}

impl fmt::Debug for Maps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Maps").finish_non_exhaustive()
    }
}

/// Everything that is told.
#[derive(Debug)]
pub struct Feed {
    maps: Maps,
    pump: Pump,
    metrics: Option<PathBuf>,
    heartbeat: PathBuf,
    ticked: Option<u64>,
    beaten: Option<u64>,
    matrix: Option<Matrix>,
    troubles: Vec<String>,
    stopped: Stopped,
    /// Tables that are nearly full.
    full: Vec<&'static str>,
}

impl Feed {
    /// Opens what is written to.
    pub fn new(outputs: &Outputs, maps: Maps) -> Result<Self, Unopened> {
        let settings = if outputs.log_all { Settings::ALL } else { Settings::USUAL };
        let open = |spec: &Spec| {
            let opened = Outlet::new(spec.clone(), outputs.events_file_size);
            opened.map_err(|source| Unopened { spec: spec.to_string(), source })
        };
        let outlets: Result<Vec<Outlet>, Unopened> = outputs.events.iter().map(open).collect();
        Ok(Self {
            maps,
            pump: Pump::new(origin(clock::now()), settings, outlets?),
            metrics: outputs.metrics.clone(),
            heartbeat: outputs.heartbeat.clone(),
            ticked: None,
            beaten: None,
            matrix: None,
            troubles: Vec::new(),
            full: Vec::new(),
            stopped: Stopped::default(),
        })
    }

    /// Readable when there are records.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.maps.records.as_fd()
    }

    /// Takes a bite of records. Whether there may be more: then the loop does not wait.
    pub fn ready(&mut self, watch: &mut impl FnMut(&Event)) -> bool {
        let now = clock::now();
        let Self { maps, pump, stopped, .. } = self;
        let taken = ring::drain(&mut maps.records, BITE, |record| {
            stopped.note(record);
            pump.record(record, now, watch);
        });
        taken.records.saturating_add(taken.odd) >= BITE
    }

    /// What time brought; does something once a second at most. Answers what went wrong, once each.
    pub fn tick(&mut self, matrix: &Matrix, watch: &mut impl FnMut(&Event)) -> Vec<String> {
        let now = clock::now();
        if self.ticked.is_some_and(|before| now.boot.saturating_sub(before) < SECOND) {
            return Vec::new();
        }
        self.ticked = Some(now.boot);
        self.stopped.take().into_iter().for_each(resume);
        let counts = self.counts();
        self.pump.tick(now, counts.lost, watch);
        self.compare(matrix, now, watch);
        self.fill(&counts, now, watch);
        let due = |before: u64| now.boot.saturating_sub(before) >= Heartbeat::INTERVAL.saturating_mul(SECOND);
        if !self.beaten.is_none_or(due) {
            return Vec::new();
        }
        self.beaten = Some(now.boot);
        let beat = heartbeat::beat(matrix, now, std::process::id(), env!("CARGO_PKG_VERSION"));
        let mut troubles = Vec::new();
        troubles.extend(written(&self.heartbeat, &beat));
        if let Some(path) = &self.metrics {
            let text = metrics::text(matrix, &counts, self.pump.passed(), now);
            troubles.extend(written(path, text.as_bytes()));
        }
        let before = std::mem::replace(&mut self.troubles, troubles.clone());
        troubles.into_iter().filter(|trouble| !before.contains(trouble)).collect()
    }

    /// Tells something of the enforcer's own.
    pub fn say(&mut self, event: &str, severity: Severity, message: String, watch: &mut impl FnMut(&Event)) {
        self.pump.say(&notice(event, severity, 1, Moment(clock::now().unix), message), watch);
    }

    /// Tells something of the enforcer's own about a process, or a group.
    pub fn say_of(
        &mut self,
        (pid, group): (Option<u32>, Option<u64>),
        event: &str,
        severity: Severity,
        message: String,
        watch: &mut impl FnMut(&Event),
    ) {
        let place = pid.map_or_else(Place::default, |pid| self.pump.place(pid));
        let object = Some(Object { pid, group: group.and_then(shown), name: None, place });
        let notice = notice(event, severity, 1, Moment(clock::now().unix), message);
        self.pump.say(&Event { object, ..notice }, watch);
    }

    /// Tells what was held back, and takes the sign of life away: this is an end, not an absence.
    pub fn end(&mut self, watch: &mut impl FnMut(&Event)) {
        // Who goes on attacking does not keep us from ending: what is left is the next one's.
        for _ in 0..LAST_BITES {
            if !self.ready(watch) {
                break;
            }
        }
        self.pump.end(clock::now(), watch);
        self.say(Event::STOPPED, Severity::High, "what is pinned goes on".to_owned(), watch);
        // The next enforcer, which takes over, writes its own there.
        let ours = |beat: Heartbeat| beat.pid == std::process::id();
        let written = fs::read(&self.heartbeat).ok().and_then(|text| serde_json::from_slice(&text).ok());
        if written.is_some_and(ours) {
            // Else it is as if we had not ended in good order, which is told likewise.
            fs::remove_file(&self.heartbeat).unwrap_or_default();
        }
    }

    /// What the kernel's side counted, over all processors.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::zero();
        for vector in Vector::ALL {
            let number = vector.number();
            let [told, denied, lost] = over_all(&self.maps.counts, number.into());
            let at = usize::from(number);
            for (cell, sum) in [(counts.told.get_mut(at), told), (counts.denied.get_mut(at), denied)] {
                if let Some(cell) = cell {
                    *cell = sum;
                }
            }
            counts.lost = counts.lost.saturating_add(lost);
        }
        counts.searches = over_all(&self.maps.searches, 0);
        for (cell, table) in counts.fill.iter_mut().zip(Table::ALL) {
            let count: Option<i64> =
                kernel::lookup(self.maps.fill.as_fd(), &table.number()).unwrap_or_default();
            *cell = count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
        }
        counts
    }

    /// Tells which tables have come to be nearly full: what is left is for groups that have little.
    fn fill(&mut self, counts: &Counts, now: Now, watch: &mut impl FnMut(&Event)) {
        let much = u64::from(CAPACITY.saturating_sub(RESERVE));
        let full: Vec<&str> = Table::ALL
            .iter()
            .zip(counts.fill)
            .filter(|(_, fill)| *fill >= much)
            .map(|(table, _)| table.name())
            .collect();
        let before = std::mem::replace(&mut self.full, full.clone());
        for table in full.into_iter().filter(|table| !before.contains(table)) {
            let text = format!("{table}: {much} entries or more of {CAPACITY} are in use");
            self.pump.say(&notice(Event::TABLE_FULL, Severity::High, 1, Moment(now.unix), text), watch);
        }
    }

    /// Tells which defences changed.
    fn compare(&mut self, matrix: &Matrix, now: Now, watch: &mut impl FnMut(&Event)) {
        let before = self.matrix.replace(matrix.clone());
        let changes = match &before {
            None => Vec::new(),
            Some(before) if before == matrix => Vec::new(),
            Some(before) => changes(before, matrix),
        };
        if !changes.is_empty() {
            let count = u64::try_from(changes.len()).unwrap_or(u64::MAX);
            let event = Event::MATRIX_CHANGED;
            let is_worse = before.is_some_and(|before| is_worse(&before, matrix));
            let severity = if is_worse { Severity::High } else { Severity::Info };
            self.pump.say(&notice(event, severity, count, Moment(now.unix), changes.join("; ")), watch);
        }
    }
}

/// Three numbers, over all processors; zeros where the kernel does not tell.
fn over_all(map: &OwnedFd, at: u32) -> [u64; 3] {
    let Ok(each) = kernel::lookup_each::<[u64; 3]>(map.as_fd(), at) else { return [0; 3] };
    each.iter().fold([0; 3], |[a, b, c], [x, y, z]| {
        [a.saturating_add(*x), b.saturating_add(*y), c.saturating_add(*z)]
    })
}

/// Defence by defence, what was and what is.
fn changes(before: &Matrix, now: &Matrix) -> Vec<String> {
    let found = now.vectors.iter().filter_map(|is| {
        let was = before.vectors.iter().find(|was| was.vector == is.vector)?;
        let same = (&was.tier, &was.mode, was.verified) == (&is.tier, &is.mode, is.verified);
        let words =
            |one: &protocol::enforcer::Defence| format!("{} {} {}", one.tier, one.mode, one.verified.name());
        (!same).then(|| format!("{}: {}, was {}", is.vector, words(is), words(was)))
    });
    found.take(CATALOGUE.len()).collect()
}

/// Whether anything is refused less surely than it was.
fn is_worse(before: &Matrix, now: &Matrix) -> bool {
    now.vectors.iter().any(|is| {
        let was = before.vectors.iter().find(|was| was.vector == is.vector);
        was.is_some_and(|was| {
            let in_vain = is.verified == Verified::No && is.mode == "enforce";
            (&was.tier, &was.mode) != (&is.tier, &is.mode)
                || was.verified == Verified::Yes && is.verified != Verified::Yes
                || was.verified != is.verified && in_vain
        })
    })
}

/// Writes a file anew, so that a reader never sees half of one; what went wrong, if something did.
fn written(path: &Path, content: &[u8]) -> Option<String> {
    let mut draft = path.to_owned().into_os_string();
    draft.push(".new");
    let wrote = fs::write(&draft, content).and_then(|()| fs::rename(&draft, path));
    wrote.err().map(|error| format!("{}: {error}", path.display()))
}

/// The machine's name, and this very run.
fn origin(now: Now) -> Origin {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let boot = procfs::ours().and_then(|procfs| procfs.text("sys/kernel/random/boot_id")).unwrap_or_default();
    Origin { instance: format!("{}-{}", boot.trim(), now.boot), host, version: env!("CARGO_PKG_VERSION") }
}

/// Where events cannot go.
#[derive(Debug, thiserror::Error)]
#[error("{spec}: {source}")]
pub struct Unopened {
    /// Where.
    spec: String,
    /// Why not.
    source: io::Error,
}

const SECOND: u64 = 1_000_000_000;
/// Bites that are taken at the end.
const LAST_BITES: u32 = 16;
/// Some milliseconds' worth.
const BITE: u64 = 16_384;

#[cfg(test)]
mod tests {
    use super::super::metrics::tests::matrix;
    use super::*;

    #[test]
    fn a_defence_that_is_not_proved_any_more_is_news() {
        let before = matrix();
        let mut now = matrix();
        assert_eq!(changes(&before, &now), Vec::<String>::new());
        now.vectors[0].verified = Verified::No;
        assert_eq!(changes(&before, &now), ["proc-mem: lsm enforce no, was lsm enforce yes"]);
        assert!(is_worse(&before, &now) && !is_worse(&now, &before));
    }

    #[test]
    fn what_could_not_be_tried_and_is_told_only_is_no_alarm() {
        let mut before = matrix();
        before.vectors[0].verified = Verified::Untried;
        let mut now = before.clone();
        now.vectors[0].verified = Verified::No;
        assert!(is_worse(&before, &now), "it is to be refused");
        for matrix in [&mut before, &mut now] {
            matrix.vectors[0].mode = "detect".to_owned();
        }
        assert!(!is_worse(&before, &now));
    }

    #[test]
    fn a_file_is_written_whole_or_the_reason_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(written(&path, b"first"), None);
        assert_eq!(written(&path, b"second"), None);
        assert_eq!(fs::read(&path).unwrap(), b"second");
        let nowhere = folder.path().join("no/file");
        let why = written(&nowhere, b"").unwrap();
        assert!(why.ends_with("No such file or directory (os error 2)"), "{why}");
    }
}
