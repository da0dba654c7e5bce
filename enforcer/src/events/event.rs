//! A record becomes an event.
//!
//! The record says what the kernel knows; [`Seen`] what was asked of procfs and of the control groups after the fact, and may be missing.
//!
//! Trusted: the numbers of a record. Untrusted: its names, which are shown without control characters and never believed.

use std::sync::Arc;

use enforcer_abi::{Guard, Record, Ruling, Tier, Vector};
use protocol::enforcer::{Decision, Event, Moment, Object, Place, Severity, Subject, Syscall};

use super::call;

/// Several records that are alike, or one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Told {
    /// The last of them.
    pub record: Record,
    /// `at` of the first.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// The program of the subject.
    pub exe: Option<Arc<str>>,
    /// There were more kinds than can be told apart: only vector, ruling and tier are common to them.
    pub mixed: bool,
}

/// What was asked after the fact.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Seen {
    /// When this machine was started, in nanoseconds since 1970.
    pub booted: u64,
    /// Where the subject lives.
    pub subject: Place,
    /// Where the object lives.
    pub object: Place,
}

/// The event that these records are.
#[must_use]
pub fn event(told: &Told, seen: &Seen) -> Event {
    let record = &told.record;
    let vector = Vector::of(record.vector);
    let decision = decision(record);
    let when = |at: u64| Moment(seen.booted.saturating_add(at));
    let own = !told.mixed;
    Event {
        time: when(record.at),
        event: vector.map_or_else(|| "UNKNOWN".to_owned(), |vector| vector.row().event.to_owned()),
        vector: vector.map(|vector| vector.row().name.to_owned()),
        decision,
        severity: severity(vector, decision),
        count: told.count,
        first: (told.count > 1).then(|| when(told.first)),
        tier: Tier::of(record.tier).map(|tier| tier.name().to_owned()),
        subject: own.then(|| subject(told, seen)),
        object: own.then(|| object(record, seen)).filter(|object| *object != Object::default()),
        syscall: (own && record.syscall >= 0).then(|| syscall(record.syscall)),
        detail: (own && record.detail != 0).then_some(record.detail),
        message: message(vector, told),
    }
}

/// What came of it. A ruling to deny is as strong as the hook that had to carry it out.
#[must_use]
pub fn decision(record: &Record) -> Decision {
    if record.ruling == number(Ruling::Deny) {
        return match Tier::of(record.tier) {
            Some(Tier::Lsm | Tier::ModifyReturn | Tier::Override) => Decision::Denied,
            Some(Tier::Kill | Tier::Tracepoint) => Decision::Killed,
            Some(Tier::Observe) | None => Decision::Told,
        };
    }
    if record.ruling == number(Ruling::Tell) { Decision::Told } else { Decision::Allowed }
}

/// The ruling's number in a record.
#[must_use]
pub const fn number(ruling: Ruling) -> u8 {
    match ruling {
        Ruling::Allow => 0,
        Ruling::Tell => 1,
        Ruling::Deny => 2,
    }
}

fn severity(vector: Option<Vector>, decision: Decision) -> Severity {
    let guard = vector.map(Vector::guard);
    match (decision, guard) {
        (Decision::Allowed, _) => Severity::Info,
        // Administration does such things too.
        (Decision::Told, Some(Guard::Node)) => Severity::Low,
        (Decision::Notice, _) | (Decision::Denied | Decision::Killed, Some(Guard::Node | Guard::Inside)) => {
            Severity::Medium
        }
        (Decision::Told, Some(Guard::Inside)) | (Decision::Denied | Decision::Killed, _) => Severity::High,
        // A way to a secret, or to the guard in front of it, that was open.
        (Decision::Told, _) => Severity::Critical,
    }
}

fn subject(told: &Told, seen: &Seen) -> Subject {
    let record = &told.record;
    Subject {
        pid: record.pid,
        tid: record.tid,
        uid: record.uid,
        comm: text(&record.comm).unwrap_or_default(),
        exe: told.exe.as_deref().map(str::to_owned),
        group: shown(record.subject_group),
        place: seen.subject.clone(),
    }
}

fn object(record: &Record, seen: &Seen) -> Object {
    Object {
        pid: (record.object_pid != 0).then_some(record.object_pid),
        group: shown(record.object_group),
        name: leak(record).or_else(|| text(&record.name)),
        place: seen.object.clone(),
    }
}

/// What was found on its way out, in a word.
fn leak(record: &Record) -> Option<String> {
    let (verdict, _) = enforcer_abi::leak::Verdict::of(record.detail);
    (record.vector == Vector::SecretLeak.number()).then(|| verdict.name().to_owned())
}

fn syscall(number: i32) -> Syscall {
    Syscall { number, name: call::name(number).map(str::to_owned) }
}

/// A group's number has no meaning of its own and no order: a text. None for nobody's.
#[must_use]
pub fn shown(number: u64) -> Option<String> {
    (number != 0).then(|| format!("{number:016x}"))
}

/// What the kernel wrote up to the first zero, without what would move a terminal's cursor.
fn text(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.split(|byte| *byte == 0).next().filter(|bytes| !bytes.is_empty())?;
    Some(
        String::from_utf8_lossy(bytes)
            .chars()
            .map(|letter| if letter.is_control() { '?' } else { letter })
            .collect(),
    )
}

fn message(vector: Option<Vector>, told: &Told) -> String {
    let what = vector.map_or("an access that this version does not know", |vector| vector.row().what);
    if told.mixed { format!("{what}; by and to many, more than are told apart") } else { what.to_owned() }
}

/// A word of the enforcer's own.
#[must_use]
pub fn notice(event: &str, severity: Severity, count: u64, time: Moment, message: String) -> Event {
    Event {
        time,
        event: event.to_owned(),
        vector: None,
        decision: Decision::Notice,
        severity,
        count,
        first: None,
        tier: None,
        subject: None,
        object: None,
        syscall: None,
        detail: None,
        message,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A record of `vector`, denied by LSM.
    pub(in crate::events) fn record(vector: Vector) -> Record {
        let mut comm = [0; 16];
        comm[..3].copy_from_slice(b"gdb");
        Record {
            at: 5_000_000_000,
            cgroup: 77,
            object_group: 0xabc,
            subject_group: 0,
            detail: 0,
            pid: 10,
            tid: 11,
            uid: 0,
            object_pid: 20,
            vector: vector.number(),
            tier: 1,
            ruling: 2,
            syscall: i32::try_from(libc::SYS_openat).unwrap(),
            comm,
            name: [0; 48],
        }
    }

    pub(in crate::events) fn told(record: Record) -> Told {
        Told { first: record.at, record, count: 1, exe: Some("/usr/bin/gdb".into()), mixed: false }
    }

    pub(in crate::events) fn seen() -> Seen {
        let pod = super::super::place::of(&format!(
            "/kubepods/pod0f6d8f3a-2c1e-4b7a-9d55-3e1f0a9b8c7d/{}",
            "3d".repeat(32)
        ));
        Seen {
            booted: 1_795_370_814_000_000_000,
            subject: super::super::place::of("/user.slice"),
            object: pod,
        }
    }

    #[test]
    fn an_event_says_who_did_what_to_whom_and_what_came_of_it() {
        let event = event(&told(record(Vector::ProcMem)), &seen());
        assert_eq!(
            serde_json::to_value(&event).unwrap(),
            serde_json::json!({
                "time": "2026-11-22T18:06:59.000000000Z",
                "event": "PROCMEM_READ",
                "vector": "proc-mem",
                "decision": "denied",
                "severity": "high",
                "count": 1,
                "tier": "lsm",
                "subject": {"pid": 10, "tid": 11, "uid": 0, "comm": "gdb", "exe": "/usr/bin/gdb", "cgroup": "/user.slice"},
                "object": {
                    "pid": 20,
                    "group": "0000000000000abc",
                    "cgroup": format!("/kubepods/pod0f6d8f3a-2c1e-4b7a-9d55-3e1f0a9b8c7d/{}", "3d".repeat(32)),
                    "container": "3d".repeat(32),
                    "pod": "0f6d8f3a-2c1e-4b7a-9d55-3e1f0a9b8c7d",
                },
                "syscall": {"number": libc::SYS_openat, "name": "openat"},
                "message": "read or write /proc/PID/mem, of a thread, through another procfs mount, or by io_uring",
            })
        );
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
        let other = text.replace("\"tid\"", "\"tib\"");
        assert!(serde_json::from_str::<Event>(&other).is_err());
    }

    #[test]
    fn a_ruling_is_worth_what_the_hook_can_do() {
        let of = |tier, ruling| decision(&Record { tier, ruling, ..record(Vector::Ptrace) });
        assert_eq!([1, 2, 3].map(|tier| of(tier, 2)), [Decision::Denied; 3]);
        assert_eq!([4, 5].map(|tier| of(tier, 2)), [Decision::Killed; 2]);
        assert_eq!([6, 0, 9].map(|tier| of(tier, 2)), [Decision::Told; 3], "nothing stopped it");
        assert_eq!([of(1, 1), of(1, 0)], [Decision::Told, Decision::Allowed]);
    }

    #[test]
    fn what_went_through_to_a_secret_is_worse_than_what_was_stopped() {
        let of = |vector, ruling| event(&told(Record { ruling, ..record(vector) }), &seen()).severity;
        assert_eq!([of(Vector::Ptrace, 1), of(Vector::Ptrace, 2)], [Severity::Critical, Severity::High]);
        assert_eq!([of(Vector::Mount, 1), of(Vector::Mount, 2)], [Severity::Low, Severity::Medium]);
    }

    #[test]
    fn a_name_moves_no_cursor() {
        let mut hostile = record(Vector::ModuleLoad);
        hostile.comm = *b"\x1b[2J\nfake\xff\0left!";
        hostile.name[..6].copy_from_slice("ev\u{9b}il".as_bytes());
        let event = event(&told(hostile), &Seen::default());
        assert_eq!(event.subject.unwrap().comm, "?[2J?fake\u{fffd}");
        assert_eq!(event.object.unwrap().name.unwrap(), "ev?il");
    }

    #[test]
    fn a_vector_of_a_later_version_is_told_all_the_same() {
        let event = event(&told(Record { vector: u16::MAX, ..record(Vector::Ptrace) }), &Seen::default());
        assert_eq!((event.event.as_str(), event.vector), ("UNKNOWN", None));
    }
}
